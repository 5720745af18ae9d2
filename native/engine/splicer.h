// Joining two connections so that their packets go past this process. The one who asked keeps both sockets open (they
// are parked) and hears when the link is over. A link can return: then both sockets speak for themselves again, and each
// can be joined anew.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "../core/address.h"
#include "verdict_table.h"

namespace longsplice {

class Splicer {
 public:
  enum class End : uint8_t {
    finished,  // both ends sent FIN, and both were acknowledged
    reset,     // one end sent RST
    refused,   // the backend sent RST within a budget; the client knows nothing of it
    late,      // one end sent more than its budget after the other had closed its direction
    idle,      // nothing moved for too long
    closed,    // judged: the backend sent FIN or RST; the client knows nothing of it
  };

  // A request that passed by a verdict and was answered.
  struct Passed {
    uint64_t started_ns;  // CLOCK_MONOTONIC
    uint64_t responded_ns;
    uint64_t ended_ns;
    uint32_t body;   // bytes of the response's body
    uint32_t route;  // VerdictTable::kReturns: the one that the link was made with
    uint32_t status;
    std::string_view text;  // of its head, as much as VerdictTable::Detail says
  };

  // Told while events are read, which an owner may ask for in the middle of anything: so it acts later.
  class Owner {
   public:
    // The link stands until it is given back by `release` or `cut`.
    virtual void link_ended(End end) = 0;
    // One end's budget has arrived at the other: `take_back` is likely to succeed now.
    virtual void budget_spent() = 0;
    // A judged link has returned: what the client sent is in `handed`.
    virtual void request_handed() = 0;
    // The request that was sent past the stack has to be sent again: so, or, if the link is not `direct` any more, through
    // the socket.
    virtual void request_lost() = 0;
    virtual void request_passed(const Passed& passed) = 0;

   protected:
    ~Owner() = default;
  };

  // A connected socket, the bytes that this process has read from it and written to it since it was made, and those that
  // it could read now.
  struct Socket {
    int fd;
    uint64_t received;
    uint64_t sent;
    uint32_t unread;
  };

  // With it, requests of the client are judged one by one: what does not lead where the link leads returns. The bytes
  // that are about to be sent to the backend are one request without a body.
  struct Verdict {
    uint32_t length;  // of that request as the client sent it
    bool passes;      // false: each request returns
    uint32_t pool;    // as in the table that was published
    uint32_t backend;
    uint32_t host_class;
    std::string_view host;  // the Host field; at most kLongestHost bytes
    bool head = false;      // the first request is a HEAD
    uint64_t started_ns = 0;
  };
  static constexpr size_t kLongestHost = 63;

  // How far the exchange on a judged link is, when it has returned or is over.
  struct Standing {
    enum class Exchange : uint8_t { none, waiting, responding };
    Exchange exchange;
    // The request that is not answered yet, if it passed by a verdict.
    std::string_view head;
    uint64_t started_ns;
    uint64_t responded_ns;  // 0 while waiting
    uint32_t status;
    uint32_t body;        // bytes of the response's body so far
    bool pipelines;       // the client does not wait for responses
    bool client_has_all;  // ... and has acknowledged all that the backend sent
    bool backend_closes;  // its FIN has come, and its socket may not have it
  };

  struct Terms {
    // Bytes that are about to be sent through each socket.
    uint64_t to_client = 0;
    uint64_t to_backend = 0;
    // How many bytes each end may send past this process, counted from the first that was not read from it; what is
    // sent beyond them returns. At most kMaxBudget. Without a value there is no end.
    std::optional<uint32_t> client_budget = {};
    std::optional<uint32_t> backend_budget = {};
    std::optional<Verdict> verdict = {};
  };
  // Sequence numbers are compared with what is in flight, which can be as much again.
  static constexpr uint32_t kMaxBudget = 1u << 30;

  struct Totals {
    // TCP payload bytes that went past, those sent again included.
    uint64_t to_client;
    uint64_t to_backend;
    // How far each end has come since the link was made, in bytes, modulo 2^32.
    uint32_t from_backend;
    uint32_t from_client;
  };

  using LinkId = uint32_t;

  Splicer() = default;
  Splicer(const Splicer&) = delete;
  Splicer& operator=(const Splicer&) = delete;
  virtual ~Splicer() = default;

  // Clients that may be joined are accepted at this address.
  virtual void serve(const SocketAddress& listener) = 0;

  // Judges by this table from here on.
  virtual void publish(const VerdictTable& table) = 0;
  // Notes the one backend that requests for a target of a route may pass to.
  virtual void place(uint32_t route, std::string_view host, std::string_view target, uint32_t backend) = 0;

  // The segment size that a connection to a backend must not announce more than, so that it can be joined to this
  // client's; 0: any.
  virtual uint32_t upstream_mss(int client) = 0;

  // The segment size that the path to a backend takes, if a client could know of a larger one; else 0. A listener that
  // announces no more gets no segments that would not fit through there.
  virtual uint32_t path_mss(const SocketAddress& backend) = 0;

  // Joins two connected sockets. Returns nullptr and sets `id`, or says in one word why it cannot be (the label of the
  // fallback).
  virtual const char* join(const Socket& client, const Socket& backend, const Terms& terms, Owner& owner,
                           LinkId& id) = 0;
  // Whether all that each end may have under way by now finds room at the other: it was sent to a window that this host
  // announced, and what does not fit into the other end's would be lost, and come again late. `from_client` and
  // `from_backend`: how many bytes are still to come at most.
  virtual bool has_room(int client, int backend, uint64_t from_client, uint64_t from_backend) const = 0;
  // How many bytes wait to be read.
  virtual uint32_t unread(int fd) const = 0;
  // Of a link with budgets: what can be read now lies behind them, and stays with the caller.
  virtual void keep_rest(LinkId id) = 0;
  // Bytes that had slipped into a parked socket's queue are about to be sent through the other one.
  virtual void relay_to_backend(LinkId id, uint32_t bytes) = 0;
  virtual void relay_to_client(LinkId id, uint32_t bytes) = 0;

  // Of a judged link, also of one that has just been given back. What it points to lasts until another is made.
  virtual Standing standing(LinkId id) const = 0;
  // Whether an exchange is under way on a judged link.
  virtual bool exchanging(LinkId id) const = 0;
  // The next request of a judged link returns.
  virtual void recall(LinkId id) = 0;
  // `Owner::budget_spent` is called when the client has acknowledged all that the backend has sent. False: it has.
  virtual bool await_quiet(LinkId id) = 0;
  // Bytes that had slipped into the client's queue while a judged link was made stay with the caller.
  virtual void keep_early_request(LinkId id, uint32_t bytes) = 0;
  // The client's socket has nothing of the request that the link was made for, because it was `handed`. Then the backend's
  // socket need not have it, either: what is about to be sent goes to `send_past_stack`. The client repeats it should it get
  // lost, as it does with what passes.
  virtual bool direct(LinkId id) const = 0;
  // Sent by the end of the round. The bytes stay where they are until then, or until the link is left or has a response.
  virtual void send_past_stack(LinkId id, std::string_view bytes) = 0;
  // What a client sent when its link returned; neither socket has it. Until another link is made.
  virtual std::string_view handed(LinkId id) const = 0;
  // At the end of a round of events.
  virtual void flush() = 0;

  // Also of a link that has just ended.
  virtual Totals totals(LinkId id) const = 0;

  // Each of the following ends the link, if it says so.

  // The ends are done with each other: both sockets can be closed, and will send nothing. False: it is not certain that
  // both have heard of it, so both sockets have to send RST.
  virtual bool release(LinkId id) = 0;
  // Traffic returns to the parked sockets at once, with the right numbers. What is under way in that moment is lost to
  // the link, so that they can only be closed.
  virtual void cut(LinkId id) = 0;
  // Both sockets go on as any others, if nothing is under way or traffic has returned already. False: not now.
  virtual bool take_back(LinkId id) = 0;
  // Likewise, if neither end has sent anything past this process; what its stack has besides does not matter then, also if
  // that is a FIN, which came while the link was made.
  virtual bool undo(LinkId id) = 0;
  // What the client sends from here on returns: so that nothing will be under way soon.
  virtual void pause_client(LinkId id) = 0;

  // Traffic has returned: at a packet beyond a budget.
  virtual bool resumed(LinkId id) const = 0;
  // How long nothing has moved, to the second.
  virtual uint64_t idle_ms(LinkId id) const = 0;
  // Nothing is under way: each end has acknowledged everything that the other sent.
  virtual bool quiet(LinkId id) const = 0;

  // A socket that was part of a link is about to be closed.
  virtual void forget(int fd) = 0;

  // Hands over what is new of links.
  virtual void handle_events() = 0;
  // Likewise; from here on the caller looks by itself, and nobody calls it.
  virtual void attend() = 0;
  // Readable when there is something new. False: there is already.
  virtual bool rest() = 0;
  virtual int fd() const = 0;
  // Once a second: finds idle links and gives back what closed sockets still hold.
  struct Patience {
    uint64_t between_requests;
    uint64_t for_response;
    uint64_t otherwise;
  };
  virtual void sweep(uint64_t now_ms, const Patience& patience) = 0;
  // Whether there is anything to sweep.
  virtual bool busy() const = 0;
  virtual uint32_t active() const = 0;
  // Room for more, of which each link takes two: records that nobody holds, and those of sockets that are closed.
  virtual uint32_t free_records() const = 0;
  virtual uint32_t ended_records() const = 0;
};

}  // namespace longsplice
