// The cases, and what they share.
#pragma once

#include <sstream>
#include <string>
#include <vector>

#include "program_model.h"
#include "program_rig.h"

namespace longsplice::programs {

// What a case found wrong.
class Report {
 public:
  template <typename T>
  void equal(const std::string& what, const T& got, const T& want) {
    if (got == want) return;
    std::ostringstream text;
    text << what << ": " << got << " instead of " << want;
    fail(text.str());
  }
  void frame(const std::string& what, const Bytes& got, const Bytes& want) {
    const std::string text = difference(got, want);
    if (!text.empty()) fail(what + ": " + text);
  }
  void fail(const std::string& text) {
    failed_++;
    // The first ones tell enough.
    if (failed_ <= 8) lines_ += "\n    " + where + text;
  }
  const std::string& lines() const { return lines_; }

  std::string where;  // in front of what fails

 private:
  std::string lines_;
  int failed_ = 0;
};

struct Case {
  const char* group;
  const char* name;
  void (*run)(Rig& rig, Report& report);
};

std::vector<Case> translate_cases();
std::vector<Case> option_cases();
std::vector<Case> ignored_cases();
std::vector<Case> stack_cases();
std::vector<Case> copy_cases();
std::vector<Case> end_cases();
std::vector<Case> resume_cases();
std::vector<Case> icmp_cases();
std::vector<Case> head_cases();
std::vector<Case> route_cases();
std::vector<Case> verdict_cases();
std::vector<Case> direct_cases();
std::vector<Case> response_cases();
std::vector<Case> random_cases();

// Where the remote ends of a link are, and what they speak.
struct Shape {
  bool v6;
  bool client_on_lo;
  bool backend_on_lo;
  std::string name() const;
};
// Every family with every placement.
std::vector<Shape> all_shapes();
constexpr Shape kPlain{false, false, false};

// Two parked sockets that are linked, with numbers that have nothing in common.
class Link {
 public:
  Link(Rig& rig, Report& report, const Shape& shape = kPlain);
  // Makes them known, under the keys that they have now.
  void publish();
  // After one of the numbers that the two deltas are made of was changed.
  void relate();

  // A segment of a remote end, right behind what it sent before; without payload.
  Segment from_client() const { return from_remote(client); }
  Segment from_backend() const { return from_remote(backend); }
  // A segment of a parked socket's own stack, in its own numbers.
  Segment from_stack_of(const ls_record& record) const;

  // Gives a program what arrives from the remote end of `record`, or what its own stack sends.
  Run arrive(const ls_record& record, const Segment& segment, Sums sums = Sums::none, Tag tag = Tag::none);
  Run leave(const ls_record& record, const Segment& segment, Sums sums = Sums::none);

  // These check verdict, frame, counts.
  void expect_spliced(const ls_record& from, const Segment& in, const Segment& want, Sums sums = Sums::none,
                      const std::string& counts = "spliced 1");
  void expect_passed(const Run& run, const Segment& want, const std::string& counts, Sums sums = Sums::none);
  void expect_untouched(Program program, const Bytes& frame, const std::string& counts = "");
  void expect_dropped(const Run& run, const std::string& counts);
  // Gone as well, while its sender believes that it was sent.
  void expect_taken(const Run& run, const std::string& counts);

  ls_record& client;
  ls_record& backend;

 private:
  Segment from_remote(const ls_record& record) const;
  Program arriving(const ls_record& record) const;

  Rig& rig_;
  Report& report_;
  Shape shape_;
};

// What the card added up does not fit a packet that was cut; what it is to complete, it still is.
constexpr Sums after_cut(Sums sums) { return sums == Sums::partial ? sums : Sums::none; }

// Options as hosts write them.
Bytes timestamps_option(uint32_t tsval, uint32_t tsecr);
Bytes sack_option(const std::vector<uint32_t>& edges);
Bytes joined(const std::vector<Bytes>& parts);
Bytes nops(size_t count);

}  // namespace longsplice::programs
