// The programs, ready to be given one packet at a time. Two kinds: in the kernel by BPF_PROG_TEST_RUN, and compiled
// for this machine with helpers of our own, under AddressSanitizer and UndefinedBehaviorSanitizer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../../../native/engine/verdict_table.h"
#include "program_packet.h"

namespace longsplice::programs {

enum class Program : uint8_t { loopback_egress, outer_ingress, outer_egress };
// What another program of ours said of the packet before.
enum class Tag : uint8_t { none, translated, stack_copy };

// Verdicts of tc.
constexpr int kNext = -1, kDrop = 2, kRedirect = 7;

// Sent by the side of a packet.
struct Copy {
  Bytes packet;
  std::optional<Tag> tag;  // as below
};

struct Run {
  int verdict = 0;
  Bytes packet;  // empty when what the card added up does not fit any more
  std::vector<Copy> copies;
  // Only where it can be seen, which is not in the kernel.
  std::optional<Tag> tag;
  std::optional<uint32_t> redirected_to;  // interface
  std::optional<size_t> calls;            // of the reader of events
};

// A request that passed by a verdict and was answered.
struct Passed {
  ls_passed passed;
  std::string text;
};

class Rig {
 public:
  virtual ~Rig() = default;
  virtual ls_record& record(uint32_t index) = 0;
  virtual void publish(const ls_key& key, uint32_t index) = 0;
  virtual bool published(const ls_key& key) = 0;
  // Takes back what was published, forgets events and counts.
  virtual void clear() = 0;
  virtual Run run(Program program, const Bytes& frame, Sums sums = Sums::none, Tag tag = Tag::none) = 0;
  // All but LS_EVENT_PASSED.
  virtual std::vector<ls_event> events() = 0;
  virtual std::vector<Passed> passed() = 0;
  virtual ls_judge& judge() = 0;  // number 0
  virtual ls_worker& worker() = 0;
  // As Kernel does it.
  virtual uint32_t publish(const VerdictTable& table) = 0;
  virtual void place(const ls_place_key& key, uint32_t backend) = 0;
  virtual uint64_t seed() const = 0;
  // Of an interface that is not lo.
  virtual uint32_t outer() const = 0;
  // Not everything can be tried in the kernel.
  virtual bool takes(Sums sums) const = 0;
  virtual bool takes(const Bytes& frame) const = 0;
  virtual bool takes_cut(Sums sums) const = 0;
  // "spliced 1, split_acks 1": what was counted since it was asked last.
  std::string counted();

 protected:
  virtual std::vector<uint64_t> counters() = 0;

 private:
  std::vector<uint64_t> last_ = std::vector<uint64_t>(LS_COUNTER_MAX);
};

constexpr uint32_t kLoopback = 1;
// Records of a rig that exist for sure, from 0.
constexpr uint32_t kRigRecords = 16;

// `outer`: name of an interface. The rig in the kernel throws when it cannot be had.
std::unique_ptr<Rig> make_kernel_rig(const std::string& outer);
std::unique_ptr<Rig> make_host_rig();

}  // namespace longsplice::programs
