// One connected, non-blocking socket: its readiness as edge-triggered epoll reported it, and the bytes that wait to be
// sent.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "../engine/splicer.h"
#include "buffer.h"
#include "fd.h"

namespace longsplice {

class Stream;

// Streams of a worker with small things to say, until the end of the round of events that made them say so. Sent one
// right after the other they cost less than one here and one there: each wakes its receiver, and a receiver that is
// awake already takes several at once.
class HeldStreams {
 public:
  void add(Stream& stream) { streams_.push_back(&stream); }
  void send();

 private:
  std::vector<Stream*> streams_;
};

// What an engine keeps with a socket for as long as it is open.
class Kept {
 public:
  Kept() = default;
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  virtual ~Kept() = default;
  // Bytes are on their way to user space, of whom `received` have come; so an end that the kernel reports is none yet.
  virtual bool owes(uint64_t received) const = 0;
  // Takes the engine's hands off the socket. False when bytes were lost by that.
  virtual bool let_go(uint64_t received) = 0;
};

class Stream {
 public:
  enum class Read : uint8_t { data, would_block, closed, failed };

  // What is sent is held back until `held.send`.
  void attach(Fd fd, HeldStreams& held);
  int fd() const { return fd_.get(); }
  bool open() const { return static_cast<bool>(fd_); }
  void close();
  // Ends the connection with a RST instead of a FIN, so that the peer cannot take what it got for the whole.
  void reset();

  void note_events(uint32_t events);

  Kept* kept() const { return kept_.get(); }
  void keep(std::unique_ptr<Kept> kept) { kept_ = std::move(kept); }
  // See Kept.
  bool let_go() { return !kept_ || kept_->let_go(received_); }
  // Bytes, as far as they went through here.
  uint64_t received() const { return received_; }

  // What a splicer has to know of it. From here on that one hears when it is closed.
  Splicer::Socket park(Splicer& splicer);

  // Receives at most `room` bytes; the count is in `received` when the result is `data`.
  Read receive(char* to, size_t room, size_t& received);

  // Receives into a pipe, which must be empty: otherwise would_block could mean either. A short count does not mean that
  // the socket is empty.
  Read splice_into(int pipe, size_t room, size_t& received);
  // Sends bytes that a pipe holds, behind all output; `sent` is 0 when the kernel takes none for now. False when the
  // connection is gone.
  bool splice_from(int pipe, size_t count, size_t& sent);

  // Bytes that are to leave before any other; nothing is sent yet, so that a head and the body after it share a
  // system call (and a packet).
  Buffer& output() { return output_; }

  // Sends the output and then `pieces`, at once or (a little) at the end of the round; keeps what the kernel did not
  // take. False when the connection is gone.
  bool send(std::span<const iovec> pieces);
  bool flush() { return output_.empty() || held_ || send({}); }
  // Does not wait for the end of the round.
  bool flush_now();

  // The kernel takes no more for now; `note_events` tells when it does again.
  bool blocked() const { return !output_.empty() && !held_; }
  bool has_output() const { return !output_.empty(); }
  bool readable() const { return readable_; }
  // Asks the kernel what a `receive` would bring, and leaves it there.
  Read peek();
  // Neither bytes nor a FIN are waiting.
  bool quiet() { return peek() == Read::would_block; }
  // The peer sent FIN or RST; bytes that came before it may still be unread.
  bool peer_closed() const { return peer_closed_; }
  // The connection failed (RST, timeout): nothing can be sent any more.
  bool broken() const { return broken_; }
  void shut_down_sending();

 private:
  Read without_bytes(ssize_t result);
  bool hold(std::span<const iovec> pieces);
  bool send_now(std::span<const iovec> pieces);
  bool transmit(std::span<iovec> pieces, size_t& sent);
  void leave_splicer();

  Fd fd_;
  HeldStreams* round_ = nullptr;
  Splicer* splicer_ = nullptr;
  std::unique_ptr<Kept> kept_;  // gone before the socket is
  uint64_t received_ = 0;       // bytes, as far as they went through here
  uint64_t sent_ = 0;
  Buffer output_;
  bool readable_ = false;
  bool writable_ = false;
  bool peer_closed_ = false;
  bool broken_ = false;
  bool sending_shut_ = false;
  bool held_ = false;
};

}  // namespace longsplice
