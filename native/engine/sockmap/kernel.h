// The program of handoff.bpf.c and its maps. One for the process; gone with it.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "../../bpf/include/handoff.h"

struct bpf_object;

namespace longsplice::sockmap {

struct LoadResult;

// Names a socket, and never another.
uint64_t cookie_of(int fd);

class Enrolment;

class Kernel : public std::enable_shared_from_this<Kernel> {
 public:
  // What may be in queues of sinks, of all bodies together: a redirected byte is taken off its source at once, so nothing
  // else bounds them.
  static constexpr uint64_t kMostUnderWay = 64 * 1024 * 1024;

  static LoadResult load();
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // nullptr if it cannot be; `reason` says why in one word. `received`: bytes that user space has read from the socket; the
  // `bytes` behind them are for `peer`.
  std::shared_ptr<Enrolment> enrol(int fd, uint64_t received, uint32_t bytes, uint64_t peer,
                                   const char*& reason);
  // From here on the socket can be a peer.
  bool add_sink(int fd, uint64_t cookie);

  // False if so many bytes more would be too many.
  bool set_out(uint64_t bytes);
  void arrived(uint64_t bytes) { under_way_ -= bytes; }

 private:
  friend class Enrolment;
  Kernel() = default;
  std::string open();
  bool take_place(uint32_t& place);
  void free_place(uint32_t place);

  bpf_object* object_ = nullptr;
  int sources_ = -1;
  int sinks_ = -1;
  int places_ = -1;
  ls_handoff* handoffs_ = nullptr;
  std::mutex mutex_;
  std::deque<uint32_t> free_;
  std::atomic<uint64_t> under_way_{0};
};

// As long as it lives the program sees what arrives at a socket. Used by one thread.
class Enrolment {
 public:
  Enrolment(std::shared_ptr<Kernel> kernel, uint64_t cookie, uint32_t place, uint64_t received)
      : kernel_(std::move(kernel)), cookie_(cookie), place_(place), before_(received) {}
  ~Enrolment();
  Enrolment(const Enrolment&) = delete;
  Enrolment& operator=(const Enrolment&) = delete;

  // The program does not see the socket any more. False if bytes are lost by that, because they had gone to user space and
  // were not read: so it is for a socket at which none can come.
  bool let_go(uint64_t received);

  // Bytes have gone to user space that it has not read. Whatever is redirected meanwhile does not count.
  bool owes(uint64_t received) const {
    const uint64_t all = std::atomic_ref(handoff().seen).load(std::memory_order_acquire);
    return all > position(received);
  }
  uint64_t redirected() const {
    return std::atomic_ref(handoff().redirected).load(std::memory_order_acquire);
  }
  bool damaged() const { return std::atomic_ref(handoff().damaged).load() != 0; }

  // The `bytes` behind the `received` ones are for `peer`.
  void order(uint64_t received, uint32_t bytes, uint64_t peer);
  void cancel() { std::atomic_ref(handoff().order).store(0); }
  // Nothing is redirected any more. The socket is of no use after that.
  void halt() { std::atomic_ref(handoff().halted).store(1); }

 private:
  ls_handoff& handoff() const { return kernel_->handoffs_[place_]; }
  // Where the next byte for user space stands among all that were seen.
  uint64_t position(uint64_t received) const { return received - before_ + redirected(); }

  std::shared_ptr<Kernel> kernel_;
  uint64_t cookie_;
  uint32_t place_;
  uint64_t before_;
};

struct LoadResult {
  enum class Status : uint8_t { loaded, unsupported, denied, failed };
  Status status;
  // unsupported: what it takes. denied: the capability. failed: what the kernel said, at the end of it.
  std::string detail;
  std::shared_ptr<Kernel> kernel;
};

}  // namespace longsplice::sockmap
