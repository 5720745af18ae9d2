// The links of one worker: sockets that are parked, and the records by which the programs in the kernel carry their
// packets past them.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "../splicer.h"
#include "kernel.h"
#include "socket_facts.h"

namespace longsplice::packet {

// Answers which interface packets to an address leave by.
class Routes {
 public:
  virtual ~Routes() = default;
  // 0: none where the programs are.
  virtual uint32_t interface_to(const SocketAddress& from, const SocketAddress& to) = 0;
  // The largest packet that the way to `to` takes; 0 if it does not leave this host.
  virtual uint32_t mtu_to(const SocketAddress& to) = 0;
  // The word for the fallback when traffic between these must not be spliced, else nullptr.
  virtual const char* objection(uint32_t interface) = 0;
};

class Links final : public Splicer {
 public:
  // `worker` of `kernel.workers()`: each has a share of the records, and its own ring.
  Links(std::shared_ptr<Kernel> kernel, std::unique_ptr<Routes> routes, uint32_t worker);
  ~Links() override;

  uint32_t upstream_mss(int client) override;
  uint32_t path_mss(const SocketAddress& backend) override;
  const char* join(int client, int backend, uint64_t pending, Owner& owner, LinkId& id) override;
  void relay_to_backend(LinkId id, uint64_t bytes) override;
  void relay_to_client(LinkId id, uint64_t bytes) override;
  Totals totals(LinkId id) const override;
  void release(LinkId id) override;
  void resume(LinkId id) override;
  bool quiet(LinkId id) const override;
  uint64_t idle_ms(LinkId id) const override { return now_ms_ - links_[id - first_record_].active_ms; }
  int fd() const override { return kernel_->ring(worker_); }
  void handle_events() override;
  void sweep(uint64_t now_ms, uint64_t idle_ms) override;
  bool busy() const override { return active_ > 0 || !ended_.empty(); }
  uint32_t active() const override { return active_; }
  uint32_t free_records() const override { return static_cast<uint32_t>(free_records_.size()); }
  uint32_t ended_records() const override { return static_cast<uint32_t>(ended_.size()); }

 private:
  struct Link {
    Owner* owner = nullptr;  // nullptr: free, or ended
    uint32_t client = 0;     // records
    uint32_t backend = 0;
    int client_fd = -1;
    int backend_fd = -1;
    uint32_t client_unread = 0;  // bytes that were in the client's queue when its number was read
    uint64_t packets = 0;        // at the last sweep that saw new ones ...
    uint64_t active_ms = 0;      // ... and when that was
  };
  // A record whose addresses may still see a late segment.
  struct Ended {
    uint32_t record;
    uint64_t since_ms;
  };
  struct Ring;

  ls_record& record(uint32_t index) const { return kernel_->records()[index]; }
  const char* check(const SocketFacts& client, const SocketFacts& backend, uint32_t& client_if,
                    uint32_t& backend_if) const;
  bool take_record(uint32_t& index);
  void free_record(uint32_t index);
  bool publish(uint32_t index);
  void relay(ls_record& from, ls_record& to, uint32_t sent, uint32_t received);
  void return_to_stacks(const Link& link);
  void leave_link(Link& link);
  void on_event(const ls_event& event);

  std::shared_ptr<Kernel> kernel_;
  std::unique_ptr<Routes> routes_;
  uint32_t worker_;
  std::unique_ptr<Ring> ring_;
  std::vector<uint32_t> free_records_;
  std::vector<Link> links_;  // by client record, counted from the worker's first
  std::deque<Ended> ended_;
  uint32_t first_record_;
  uint32_t active_ = 0;
  uint64_t now_ms_ = 0;
};

}  // namespace longsplice::packet
