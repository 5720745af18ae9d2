// One connected, non-blocking socket: its readiness as edge-triggered epoll reported it, and the bytes that wait to be
// sent.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "buffer.h"
#include "fd.h"

namespace longsplice {

class Stream {
 public:
  enum class Read : uint8_t { data, would_block, closed, failed };

  void attach(Fd fd);
  int fd() const { return fd_.get(); }
  bool open() const { return static_cast<bool>(fd_); }
  void close() { fd_.reset(); }
  // Ends the connection with a RST instead of a FIN, so that the peer cannot take what it got for the whole.
  void reset();

  void note_events(uint32_t events);

  // Receives at most `room` bytes; the count is in `received` when the result is `data`.
  Read receive(char* to, size_t room, size_t& received);

  // Bytes that are to leave before any other; nothing is sent yet, so that a head and the body after it share a
  // system call (and a packet).
  Buffer& output() { return output_; }

  // Sends the output and then `pieces`; keeps what the kernel did not take. False when the connection is gone.
  bool send(std::span<const iovec> pieces);
  bool flush() { return output_.empty() || send({}); }

  // The kernel takes no more for now; `note_events` tells when it does again.
  bool blocked() const { return !output_.empty(); }
  bool readable() const { return readable_; }
  // Asks the kernel: neither bytes nor a FIN are waiting.
  bool quiet();
  // The peer sent FIN or RST; bytes that came before it may still be unread.
  bool peer_closed() const { return peer_closed_; }
  // The connection failed (RST, timeout): nothing can be sent any more.
  bool broken() const { return broken_; }
  void shut_down_sending();

 private:
  bool transmit(std::span<iovec> pieces, size_t& sent);

  Fd fd_;
  Buffer output_;
  bool readable_ = false;
  bool writable_ = false;
  bool peer_closed_ = false;
  bool broken_ = false;
  bool sending_shut_ = false;
};

}  // namespace longsplice
