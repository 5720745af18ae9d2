// The sockets of one worker that were ever part of a link, and their records, by which the programs know them until the
// sockets are closed and TCP's time-wait period is over.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "kernel.h"
#include "socket_facts.h"

namespace longsplice::packet {

// What decides whether a connection can be joined to another; it does not change while the connection lasts.
struct Fit {
  uint32_t interface;  // where the remote end is; 0: where no programs are
  uint32_t advertised_mss;
  uint32_t mss_clamp;
  uint32_t path_mss;
  uint32_t segment;
  uint8_t options;
  bool v4;
};
Fit fit_of(const SocketFacts& facts, uint32_t interface);
// What rules a pair out, in one word, or nullptr.
const char* misfit(const Fit& client, const Fit& backend);

struct Parked {
  uint32_t record;
  // Local numbers of the first byte that the socket got, and of the first that it sent.
  uint32_t first_rcv;
  uint32_t first_snd;
  Fit fit;
  // Until it has received so many bytes, it may hold some out of order that no program has seen.
  uint64_t in_order_from = 0;
};

class ParkedSockets {
 public:
  // `worker` of `kernel.workers()`: each has a share of the records.
  ParkedSockets(std::shared_ptr<Kernel> kernel, uint32_t worker);

  // nullptr: it has no record.
  const Parked* find(int fd) const;
  // Gives a socket a record, sets `parked.record`, and lets the programs know. False: there is none.
  bool park(int fd, const SocketFacts& facts, Parked& parked);
  // Sets `in_order_from` of a parked socket.
  void doubt(int fd, uint64_t received);
  // The socket is about to be closed.
  void forget(int fd);
  // Takes back records of sockets that were closed long ago.
  void sweep(uint64_t now_ms);
  // Records that nobody holds.
  uint32_t free() const { return static_cast<uint32_t>(free_.size()); }
  // ... and those of sockets that are closed.
  uint32_t lingering() const { return static_cast<uint32_t>(closed_.size()); }

  ls_record& record(uint32_t index) const { return kernel_->records()[index]; }
  uint32_t first_record() const { return first_record_; }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  // A record whose addresses may still see a late segment.
  struct Closed {
    uint32_t record;
    uint64_t since_ms;
  };

  std::vector<uint32_t> named_in_share(uint32_t share) const;
  void release(uint32_t index);
  void free_record(uint32_t index);

  std::shared_ptr<Kernel> kernel_;
  uint32_t worker_;
  uint32_t first_record_;
  std::vector<uint32_t> of_fd_;    // record, or kNone
  std::vector<Parked> by_record_;  // counted from the worker's first
  std::vector<uint32_t> free_;
  std::deque<Closed> closed_;
  uint64_t now_ms_ = 0;
};

}  // namespace longsplice::packet
