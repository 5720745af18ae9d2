// The links of one worker: pairs of parked sockets, and the records by which the programs in the kernel carry their
// packets past them.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "../splicer.h"
#include "kernel.h"
#include "parked_sockets.h"
#include "segments.h"

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
  // Whether packets to an address by this interface come to a packet engine once more.
  virtual bool leads_to_engine(uint32_t interface, const SocketAddress& to) = 0;
  // Clients are accepted at this address.
  virtual void serve(const SocketAddress& listener) = 0;
};

class Links final : public Splicer {
 public:
  // `worker` of `kernel.workers()`: each has a share of the records, and its own ring.
  Links(std::shared_ptr<Kernel> kernel, std::unique_ptr<Routes> routes, uint32_t worker);
  ~Links() override;

  void serve(const SocketAddress& listener) override { routes_->serve(listener); }
  void publish(const VerdictTable& table) override;
  void place(uint32_t route, std::string_view host, std::string_view target, uint32_t backend) override;
  uint32_t upstream_mss(int client) override;
  uint32_t path_mss(const SocketAddress& backend) override;
  const char* join(const Socket& client, const Socket& backend, const Terms& terms, Owner& owner,
                   LinkId& id) override;
  bool has_room(int client, int backend, uint64_t from_client, uint64_t from_backend) const override;
  uint32_t unread(int fd) const override;
  void keep_rest(LinkId id) override;
  void relay_to_backend(LinkId id, uint32_t bytes) override;
  void relay_to_client(LinkId id, uint32_t bytes) override;
  Standing standing(LinkId id) const override;
  bool exchanging(LinkId id) const override { return exchange_on(id) != Standing::Exchange::none; }
  void recall(LinkId id) override;
  bool await_quiet(LinkId id) override;
  void keep_early_request(LinkId id, uint32_t bytes) override;
  bool direct(LinkId id) const override { return at(id).direct != 0; }
  void send_past_stack(LinkId id, std::string_view bytes) override;
  std::string_view handed(LinkId id) const override;
  void flush() override;
  Totals totals(LinkId id) const override;
  bool release(LinkId id) override;
  void cut(LinkId id) override;
  bool take_back(LinkId id) override;
  bool undo(LinkId id) override;
  void pause_client(LinkId id) override;
  bool resumed(LinkId id) const override;
  bool quiet(LinkId id) const override;
  uint64_t idle_ms(LinkId id) const override { return now_ms_ - at(id).active_ms; }
  void forget(int fd) override { sockets_.forget(fd); }
  int fd() const override { return kernel_->ring(worker_); }
  void handle_events() override;
  void attend() override;
  bool rest() override;
  void sweep(uint64_t now_ms, const Patience& patience) override;
  bool busy() const override { return active_ > 0 || sockets_.lingering() > 0; }
  uint32_t active() const override { return active_; }
  uint32_t free_records() const override { return sockets_.free(); }
  uint32_t ended_records() const override { return sockets_.lingering(); }

 private:
  struct Half {
    uint32_t record = 0;
    int fd = -1;
    uint32_t unread = 0;  // bytes of the link that are in the socket's queue from before it
    uint32_t begin = 0;   // real number of the first byte of the link
    uint32_t kept = 0;    // bytes in the queue that are not the link's, because they are beyond the budget
  };
  struct Link {
    Owner* owner = nullptr;  // nullptr: there is no link
    Half client;
    Half backend;
    // At the last sweep that saw progress, and when that was.
    uint32_t numbers = 0;   // all of them together; a probe moves none
    uint32_t uploaded = 0;  // the client's
    uint64_t active_ms = 0;
    bool swept = false;  // before that the time is that of an earlier sweep
    std::optional<uint32_t> judge;
    uint32_t held = 0;    // bytes of the client's request that its stack has nothing of
    uint32_t direct = 0;  // ... and of what they become, past the backend's stack
    uint32_t sendings = 0;
  };
  static constexpr LinkId kNobody = UINT32_MAX;
  struct Direct {
    LinkId link;
    uint32_t number;  // of the link
    std::string_view bytes;
  };
  struct Candidate {
    const Socket& socket;
    const bool accepted;
    uint32_t unread = 0;
    bool known = false;         // has a record
    bool out_of_order = false;  // may hold bytes that wait for earlier ones
    Parked parked{};
    SocketFacts facts{};  // of a socket that has none yet
  };
  struct Ring;

  Link& at(LinkId id) { return links_[id - sockets_.first_record()]; }
  const Link& at(LinkId id) const { return links_[id - sockets_.first_record()]; }
  ls_record& record(const Half& half) const { return sockets_.record(half.record); }
  const char* examine(Candidate& candidate);
  bool park(Candidate& candidate);
  bool waits_for_bytes(const Candidate& candidate) const;
  Half half_of(const Candidate& candidate, std::optional<uint32_t> budget) const;
  bool passes_stacks(const Candidate& client, const Candidate& backend, const Terms& terms) const;
  void narrow_window(const Link& link);
  bool is_direct(const Link& link) const;
  void take_by_stack(LinkId id);
  void relate(const Candidate& client, const Candidate& backend, const Link& link, const Terms& terms);
  uint32_t reached(LinkId id, const ls_record& r) const;
  void relay(Link& link, Half& from, const Half& to, uint32_t bytes);
  void return_to_stacks(const Link& link, uint32_t from_client, uint32_t from_backend);
  void begin_later(Half& half, const Half& other, uint32_t bytes);
  uint32_t beyond_budget(const Half& half) const;
  void keep_beyond(Half& half, const Half& other, uint32_t bytes);
  void leave_link(Link& link);
  ls_judge& judge(const Link& link) const { return kernel_->judges()[*link.judge]; }
  bool take_judge(Link& link);
  Standing::Exchange exchange_on(LinkId id) const;
  void instruct(const Link& link, const Verdict& verdict);
  void on_event(const ls_event& event);
  void on_passed(const ls_passed& passed);
  void sweep(Link& link, uint64_t idle_ms);
  uint64_t patience_with(const Link& link, const Patience& patience) const;
  bool progressed(const Link& link, uint32_t numbers, uint64_t idle_ms) const;

  std::shared_ptr<Kernel> kernel_;
  std::unique_ptr<Routes> routes_;
  uint32_t worker_;
  ParkedSockets sockets_;
  std::unique_ptr<Ring> ring_;
  Segments segments_;
  std::vector<Direct> direct_;        // to be sent by the end of the round
  std::vector<uint32_t> owing_;       // backends' records
  std::vector<Link> links_;           // by client record, counted from the worker's first
  std::deque<uint32_t> free_judges_;  // in the order in which they were given back
  uint32_t judge_of_ended_;           // of the records of links that are over, whose own judges others get
  uint32_t next_judge_;               // from here on none has been used
  uint32_t end_of_judges_;
  std::vector<uint64_t> depths_;  // of the table that was published, as `version_`
  uint32_t version_ = 0;
  uint32_t active_ = 0;
  uint64_t now_ms_ = 0;
};

}  // namespace longsplice::packet
