// A connection to a backend: being made, carrying an exchange, or idle and reusable.
#pragma once

#include <cstdint>

#include "http_parser.h"
#include "idle_set.h"
#include "poller.h"
#include "snapshot.h"
#include "stream.h"

namespace longsplice {

class Exchange;
class Worker;

class Upstream final : public Pollable, public Timer {
 public:
  static constexpr uint32_t kNarrowWindow = 64 * 1024;
  struct Limits {
    uint32_t mss = 0;     // of the segments that it announces; 0: as it likes
    bool narrow = false;  // a window that stays at kNarrowWindow until `widen`
  };
  // Starts to connect. nullptr when that failed at once.
  static Upstream* connect(Worker& worker, uint32_t slot, const SocketAddress& address, Limits limits);
  ~Upstream() override;

  void on_events(uint32_t events) override;

  Stream& stream() { return stream_; }
  Buffer& input() { return input_; }
  HttpParser& parser() { return parser_; }
  uint32_t slot() const { return slot_; }
  bool connected() const { return connected_; }
  // It served an exchange before, so the backend may be about to close it.
  bool reused() const { return reused_; }

  void note_reuse() { reused_ = true; }
  bool narrow() const { return narrow_; }
  // The window may become as large as the kernel likes.
  void widen();
  // What `become_idle` was told last.
  uint64_t idle_limit_ms() const { return idle_limit_ms_; }

  void assign(Exchange* exchange) { exchange_ = exchange; }
  // After a whole exchange: `limit_ms` is how long the backend keeps it open.
  void become_idle(uint64_t limit_ms);
  void become_busy();
  // Closes, and is gone at the end of the turn.
  void dispose();

 private:
  friend class IdleSet;
  Upstream(Worker& worker, uint32_t slot) : Pollable(Order::first), worker_(worker), slot_(slot) {}
  void on_timeout() override { dispose(); }
  void check_connect();
  void become_connected();

  Worker& worker_;
  Stream stream_;
  Buffer input_;
  HttpParser parser_;
  Exchange* exchange_ = nullptr;
  uint32_t slot_;
  uint64_t idle_limit_ms_ = IdleSet::kMaxIdleMs;
  bool connected_ = false;
  bool reused_ = false;
  bool narrow_ = false;
  bool idle_ = false;
  bool disposed_ = false;
};

}  // namespace longsplice
