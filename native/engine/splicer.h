// Joining two connections so that their packets go past this process. The one who asked keeps both sockets open (they
// are parked) and hears when the link is over.
#pragma once

#include <cstdint>

#include "../core/address.h"

namespace longsplice {

class Splicer {
 public:
  enum class End : uint8_t {
    finished,  // both ends sent FIN, and both were acknowledged
    reset,     // one end sent RST
    idle,      // nothing came for `timeouts.stream`
  };

  class Owner {
   public:
    // The link stands until it is given back by `release` or `resume`.
    virtual void link_ended(End end) = 0;

   protected:
    ~Owner() = default;
  };

  struct Totals {
    uint64_t to_client;  // TCP payload bytes that went past
    uint64_t to_backend;
    uint64_t status_ns;  // CLOCK_MONOTONIC of the first response; 0 if there was none
    uint32_t status;     // ... and its HTTP status
  };

  using LinkId = uint32_t;

  Splicer() = default;
  Splicer(const Splicer&) = delete;
  Splicer& operator=(const Splicer&) = delete;
  virtual ~Splicer() = default;

  // The segment size that a connection to a backend must not announce more than, so that it can be joined to this
  // client's; 0: any.
  virtual uint32_t upstream_mss(int client) = 0;

  // The segment size that the path to a backend takes, if a client could know of a larger one; else 0. A listener that
  // announces no more gets no segments that would not fit through there.
  virtual uint32_t path_mss(const SocketAddress& backend) = 0;

  // Joins two connected sockets. `pending` bytes are about to be sent to the backend through its socket. Returns
  // nullptr and sets `id`, or says in one word why it cannot be (the label of the fallback).
  virtual const char* join(int client, int backend, uint64_t pending, Owner& owner, LinkId& id) = 0;
  // Bytes that had slipped into a parked socket's queue are about to be sent through the other one.
  virtual void relay_to_backend(LinkId id, uint64_t bytes) = 0;
  virtual void relay_to_client(LinkId id, uint64_t bytes) = 0;

  virtual Totals totals(LinkId id) const = 0;

  // The ends are done with each other: both sockets can be closed. They send nothing then, or RST if it is not certain
  // that the ends have heard of it.
  virtual void release(LinkId id) = 0;
  // Traffic returns to the parked sockets, with the right numbers. What is under way in that moment is lost to the
  // link and comes again.
  virtual void resume(LinkId id) = 0;
  // How long no packet has come, to the second.
  virtual uint64_t idle_ms(LinkId id) const = 0;
  // Nothing is under way: each end has acknowledged everything that the other sent.
  virtual bool quiet(LinkId id) const = 0;

  // Readable when links have ended; then call `handle_events`.
  virtual int fd() const = 0;
  virtual void handle_events() = 0;
  // Once a second: finds idle links and gives back what ended ones still hold.
  virtual void sweep(uint64_t now_ms, uint64_t idle_ms) = 0;
  // Whether there is anything to sweep.
  virtual bool busy() const = 0;
  virtual uint32_t active() const = 0;
  // Room for more, of which each link takes two: records that nobody holds, and those of links that have ended.
  virtual uint32_t free_records() const = 0;
  virtual uint32_t ended_records() const = 0;
};

}  // namespace longsplice
