// A link whose requests are judged one by one.
#pragma once

#include <functional>
#include <string>

#include "program_cases.h"

namespace longsplice::programs {

constexpr const char* kHost = "test.example";
constexpr uint32_t kPool = 3, kBackend = 77, kRoute = 5;
constexpr uint32_t kLinkNumber = 6;

// Everything leads to kRoute, and so to kPool.
VerdictTable plain_table();
VerdictTable::Destination to_route(uint32_t route, uint32_t pool = kPool, bool placed = false);

// "GET /x HTTP/1.1", and fields behind Host; each with its line end.
std::string head_of(const std::string& line, const std::string& fields = "");
inline const std::string kAsk = head_of("GET /one HTTP/1.1", "accept: */*\r\n");
inline const std::string kAskAnother = head_of("GET /another HTTP/1.1");
inline const std::string kOk = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
// What passes, said plainly (docs/verdicts.md).
bool is_plain(const std::string& head, const VerdictTable& table);

// On IPv4 and on IPv6.
void on_both_families(Report& report, const std::function<void(const Shape&)>& run);
// `segment` with more flags.
Segment with(Segment segment, uint8_t flags);

// Nothing is under way on it at first: the last response is complete and acknowledged.
class Judged : public Link {
 public:
  Judged(Rig& rig, Report& report, const Shape& shape = kPlain, const VerdictTable& table = plain_table());

  // Behind all that its sender has sent, and acknowledging all that the other end has.
  Segment request(const std::string& text) const;
  Segment response(const std::string& text) const;
  Segment acknowledgement_of_backend() const { return response(""); }

  void expect_passes(const Segment& in);
  void expect_returns(const Segment& in, const std::string& why = "returned 1");
  // It has just returned, and user space has the payload.
  void expect_handed(const Segment& in);
  // Of the packet an acknowledgement is left, with the number `seq`.
  void expect_acknowledges(const Segment& in, uint32_t seq, const std::string& counts);
  // Of the backend, a part of a response.
  void expect_answers(const Segment& in);

  // A request that passes, and its response, which the client acknowledges with its next segment.
  void ask(const std::string& head = head_of("GET / HTTP/1.1")) { expect_passes(request(head)); }
  void answer(const std::string& text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") {
    expect_answers(response(text));
  }
  // The backend has the request.
  void acknowledge();

  ls_judge& judge;

 private:
  Rig& rig_;
  Report& report_;
};

// A request that passes, or returns.
void expect_verdict(Judged& link, const std::string& head, bool passes);
// On a link of its own.
void expect_verdict(Rig& rig, Report& report, const std::string& head, bool passes,
                    const VerdictTable& table = plain_table(), const Shape& shape = kPlain);
// `length` bytes of its payload, as a segment.
Segment part_of(const Segment& whole, size_t from, size_t length);
// What was judged comes again, and passes as `want`.
void expect_repeats(Judged& link, const Segment& in, Segment want, Sums sums = Sums::none);
// Of events there is one, of this kind.
void expect_event(Rig& rig, Report& report, uint32_t kind);
// Of requests that passed one is told, with this response.
void expect_told(Rig& rig, Report& report, uint32_t status, uint32_t body, const std::string& text = "",
                 uint32_t route = kRoute);

}  // namespace longsplice::programs
