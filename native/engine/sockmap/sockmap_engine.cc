#include "sockmap_engine.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <optional>

#include "../../core/stream.h"

namespace longsplice {

namespace {

using sockmap::Enrolment;
using sockmap::Kernel;

// An order has 32 bits for a number of bytes; and nobody should want more of them in a queue.
constexpr uint64_t kMostByOrder = 1u << 30;
// The kernel sends what it redirects from a thread of its own, mostly at once: so often is it looked for in the same
// millisecond.
constexpr int kHastyLooks = 8;
constexpr uint64_t kWhileSendingMs = 1;
// While bytes are still to come nothing has to be done: but who waits for progress shall see some.
constexpr uint64_t kWhileComingMs = 100;
constexpr uint64_t kWhileBothMs = 10;

std::optional<uint64_t> acknowledged(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  return info.tcpi_bytes_acked;
}

// Bytes that have been given to a TCP socket since it was made, plus something that stays the same.
std::optional<uint64_t> given_to(int fd) {
  for (;;) {
    const auto before = acknowledged(fd);
    int queued = 0;
    if (!before || ioctl(fd, SIOCOUTQ, &queued) != 0) return std::nullopt;
    if (before == acknowledged(fd)) return *before + static_cast<uint64_t>(queued);
  }
}

// What is known of a socket that was an end of a handoff.
struct End {
  uint64_t cookie;
  bool is_sink = false;
  bool engaged = false;  // in a handoff: there can be one at a time
  std::shared_ptr<Enrolment> enrolment = nullptr;
};

class KeptEnd final : public Kept {
 public:
  explicit KeptEnd(uint64_t cookie) : end_(std::make_shared<End>(End{.cookie = cookie})) {}
  ~KeptEnd() override { end_->enrolment.reset(); }
  bool owes(uint64_t received) const override { return end_->enrolment && end_->enrolment->owes(received); }
  bool let_go(uint64_t received) override {
    const bool whole = !end_->enrolment || end_->enrolment->let_go(received);
    end_->enrolment.reset();
    return whole;
  }
  const std::shared_ptr<End>& get() const { return end_; }

 private:
  std::shared_ptr<End> end_;
};

std::shared_ptr<End> end_of(Stream& stream) {
  if (stream.kept() == nullptr) stream.keep(std::make_unique<KeptEnd>(sockmap::cookie_of(stream.fd())));
  return static_cast<KeptEnd*>(stream.kept())->get();
}

class SockmapHandoff final : public Handoff {
 public:
  SockmapHandoff(std::shared_ptr<Kernel> kernel, std::shared_ptr<End> from, std::shared_ptr<End> to,
                 uint32_t bytes, uint64_t given)
      : kernel_(std::move(kernel)),
        from_(std::move(from)),
        to_(std::move(to)),
        bytes_(bytes),
        given_before_(given) {
    from_->engaged = to_->engaged = true;
  }
  ~SockmapHandoff() override {
    if (source_) source_->cancel();
    // Left in the middle: both connections are over.
    if (source_ && !ended_) source_->halt();
    from_->engaged = to_->engaged = false;
    kernel_->arrived(bytes_);
  }

  // Has the kernel begin. False if it cannot; `reason` says why in one word.
  bool begin(Stream& source, const char*& reason) {
    source_ = from_->enrolment;
    if (source_) {
      redirected_before_ = source_->redirected();
      source_->order(source.received(), bytes_, to_->cookie);
      return true;
    }
    source_ = from_->enrolment = kernel_->enrol(source.fd(), source.received(), bytes_, to_->cookie, reason);
    // The program sees the next packet. What has come already, it sees when somebody asks for it.
    if (source_) source.peek();
    return static_cast<bool>(source_);
  }

  // Notes how far it is.
  void look(Stream& source, Stream& sink, Passage& passage) {
    const bool owes = source_->owes(source.received());
    const uint64_t taken = source_->redirected() - redirected_before_;
    ended_ = owes || taken == bytes_;
    passage.remaining -= taken - taken_;
    taken_ = taken;
    const uint64_t given = std::min(given_to(sink.fd()).value_or(given_before_) - given_before_, taken_);
    if (given > given_) {
      passage.moved.redirected += given - given_;
      given_ = given;
      looks_ = 0;
    }
    held_ = taken_ - given_;
  }

  // There is nothing more to come: all was taken, or bytes have come to user space.
  bool ended() const { return ended_; }
  bool damaged() const { return source_->damaged(); }
  bool hasty() { return looks_++ < kHastyLooks; }

 private:
  std::shared_ptr<Kernel> kernel_;
  std::shared_ptr<End> from_;
  std::shared_ptr<End> to_;
  std::shared_ptr<Enrolment> source_;  // of `from_`, which may leave before this
  uint32_t bytes_;
  uint64_t redirected_before_ = 0;
  uint64_t given_before_;
  uint64_t taken_ = 0;
  uint64_t given_ = 0;
  int looks_ = 0;
  bool ended_ = false;
};

MoveResult wait(Passage& passage, uint64_t milliseconds) {
  passage.look_again_ms = milliseconds;
  return MoveResult::away;
}

// nullopt: the handoff is over, and the body may go on.
std::optional<MoveResult> go_on(Stream& source, Stream& sink, Passage& passage) {
  auto& handoff = static_cast<SockmapHandoff&>(*passage.handoff);
  if (sink.broken()) return MoveResult::sink_failed;
  handoff.look(source, sink, passage);
  if (handoff.damaged()) return MoveResult::source_failed;
  if (handoff.ended() && handoff.held() == 0) {
    passage.handoff.reset();
    return std::nullopt;
  }
  if (!handoff.ended()) {
    const Stream::Read end = source.readable() ? source.peek() : Stream::Read::would_block;
    if (end == Stream::Read::failed) return MoveResult::source_failed;
    if (end != Stream::Read::closed) return wait(passage, handoff.held() > 0 ? kWhileBothMs : kWhileComingMs);
    if (handoff.held() == 0) return MoveResult::source_closed;
  }
  return handoff.hasty() ? MoveResult::turn_over : wait(passage, kWhileSendingMs);
}

}  // namespace

MoveResult SockmapEngine::move(Stream& source, Stream& sink, Passage& passage) {
  for (;;) {
    if (passage.handoff) {
      const auto result = go_on(source, sink, passage);
      if (result) return *result;
    }
    MoveResult result = MoveResult::done;
    if (!begin(source, sink, passage, result)) return result;
  }
}

// True when a handoff has begun; else `result` says what became of the bytes.
bool SockmapEngine::begin(Stream& source, Stream& sink, Passage& passage, MoveResult& result) {
  const bool fits = passage.remaining >= least_ && passage.remaining <= std::min(most_, kMostByOrder);
  if (!fits || passage.fallback != nullptr) {
    result = lesser_->move(source, sink, passage);
    return false;
  }
  const auto from = end_of(source);
  const auto to = end_of(sink);
  // What the program has sent to user space is copied; and nothing of ours may come behind what the kernel sends.
  const bool copies = from->enrolment || from->engaged || to->engaged;
  if (copies) result = lesser_->move(source, sink, passage);
  if (copies && result != MoveResult::source_empty) return false;
  if (!sink.flush_now()) {
    result = MoveResult::sink_failed;
    return false;
  }
  if (sink.blocked()) {
    result = MoveResult::sink_full;
    return false;
  }
  result = MoveResult::source_empty;
  // The event that tells of the rest is on its way.
  if (from->engaged || to->engaged || (from->enrolment && from->enrolment->owes(source.received())))
    return false;
  if (passage.remaining < least_) return false;
  passage.handoff = hand_over(source, sink, passage);
  if (!passage.handoff) result = lesser_->move(source, sink, passage);
  return static_cast<bool>(passage.handoff);
}

// nullptr if it cannot be; the passage has the reason then.
std::unique_ptr<Handoff> SockmapEngine::hand_over(Stream& source, Stream& sink, Passage& passage) {
  const auto to = end_of(sink);
  const auto given = given_to(sink.fd());
  if (given && !to->is_sink) to->is_sink = kernel_->add_sink(sink.fd(), to->cookie);
  if (!given || !to->is_sink) {
    passage.fallback = "socket";
    return nullptr;
  }
  // The last byte comes to user space.
  const auto bytes = static_cast<uint32_t>(passage.remaining - 1);
  if (!kernel_->set_out(bytes)) {
    passage.fallback = "queued";
    return nullptr;
  }
  auto handoff = std::make_unique<SockmapHandoff>(kernel_, end_of(source), to, bytes, *given);
  if (!handoff->begin(source, passage.fallback)) return nullptr;
  return handoff;
}

}  // namespace longsplice
