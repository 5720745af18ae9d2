// A client's connection. It reads heads, has one exchange at a time, and decides what happens between exchanges.
// The states are those of docs/life-of-a-connection.md; a test compares the names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "address.h"
#include "poller.h"
#include "snapshot.h"
#include "stream.h"

namespace longsplice {

class Exchange;
class Listener;
class Worker;

class Downstream final : public Pollable, public Timer {
 public:
  enum class State : uint8_t { accepted, reading_head, deciding, connecting, forwarding, draining, closed };
  static const char* state_name(State state);

  // Takes over an accepted socket. The object owns itself and ends with the connection.
  static void start(Worker& worker, Listener& listener, Fd fd, const SocketAddress& peer,
                    bool awaits_proxy_header);
  ~Downstream() override;

  void on_events(uint32_t events) override;
  // Goes on wherever the connection stands, until there is nothing to do without another event.
  void drive();
  void close();
  // For draining: closes when no exchange is under way and nothing came for `quiet_ms`.
  void close_if_quiet(uint64_t quiet_ms);
  // See Exchange.
  void recall_link();
  void note_load();
  void leave_lost_backend();

  void decided(int32_t slot);
  void add_response_field(std::string_view line);
  // One that waits in a queue has its turn.
  Pool::Turn try_from_queue();

  Worker& worker() { return worker_; }
  Stream& stream() { return stream_; }
  // Bytes that came after the current exchange's request.
  Buffer& input() { return input_; }
  void set_state(State state) { state_ = state; }
  State state() const { return state_; }
  void arm(uint64_t milliseconds);
  // Goes on after so long, whatever happens.
  void look_again(uint64_t milliseconds);

  const std::string& client_address() const { return client_address_; }
  uint16_t client_port() const { return client_port_; }
  // An exchange is over already.
  bool served() const { return served_; }
  // The client has sent requests without waiting for responses.
  bool pipelines() const { return pipelines_; }
  void note_pipelining() { pipelines_ = true; }

  enum class After : uint8_t {
    keep_alive,
    close,  // orderly, once everything is sent
    linger,  // orderly, but the client may still be sending: read on for a while so that it gets our last bytes
    reset,   // at once and visibly incomplete
    silent,  // the ends have said farewell to each other already
  };
  // The exchange is over and must not be touched any more.
  void exchange_over(After after);

 private:
  // For what changes without an event.
  class Look final : public Timer {
   public:
    explicit Look(Downstream& downstream) : downstream_(downstream) {}

   private:
    void on_timeout() override { downstream_.drive(); }
    Downstream& downstream_;
  };

  Downstream(Worker& worker, Listener& listener, const SocketAddress& peer);
  void on_timeout() override;
  bool step();
  bool step_reading_head();
  bool step_draining();
  void begin_exchange();
  bool read_proxy_header();
  void start_draining();

  Worker& worker_;
  Listener& listener_;
  Stream stream_;
  Buffer input_;
  Look look_{*this};
  std::unique_ptr<Exchange> exchange_;
  std::unique_ptr<Exchange> finished_;  // lives until its own call has returned
  std::string client_address_;
  uint64_t quiet_since_ = 0;
  uint64_t drained_bytes_ = 0;
  uint16_t client_port_;
  State state_ = State::accepted;
  bool linger_ = false;
  bool served_ = false;
  bool pipelines_ = false;
  bool awaits_proxy_header_ = false;
  bool flushing_ = false;  // the last answer is not taken by the client yet
};

}  // namespace longsplice
