// What a link must know of a connected TCP socket.
#pragma once

#include <cstdint>
#include <string>

#include "../../bpf/include/abi.h"
#include "../../core/address.h"

namespace longsplice::packet {

struct SocketFacts {
  SocketAddress local;
  SocketAddress remote;
  uint32_t snd;      // the next byte that is written to it gets this number
  uint32_t rcv;      // the next byte expected from the remote end
  uint32_t unread;   // bytes in the receive queue
  uint32_t unacked;  // bytes in the send queue
  uint32_t unsent;   // of these, bytes that were never sent
  uint32_t window;   // bytes that the remote end may send at most
  uint32_t snd_wnd;  // bytes
  uint32_t ts_clock;
  uint64_t ts_clock_ns;
  uint32_t advertised_mss;
  // What the remote end said that it takes (unless this socket was told to announce less: then at most that), what the
  // path to it takes, and what is sent to it; all with the options that each segment has.
  uint32_t mss_clamp;
  uint32_t path_mss;
  uint32_t segment;
  uint8_t options;  // TCPI_OPT_*
  uint8_t remote_wscale;
  uint8_t local_wscale;
  bool established;
};

// What the owner of a socket knows. Each question to the kernel is a system call, and a link asks dozens.
struct Known {
  bool accepted;  // by a listener, so it shares its address with that
  bool has_sent;
};
// False (with errno) when the kernel does not tell; `local` is set in any case. The socket is left as it was.
bool read_facts(int fd, Known known, SocketFacts& facts);
// How much can be under way to a socket, and from it.
struct Room {
  uint32_t unread;     // bytes
  uint32_t announced;  // bytes that are unread, or that the remote end may send
  uint32_t free;       // bytes that the remote end takes besides those that are on their way to it
};
bool read_room(int fd, Room& room);
// Bytes that the remote end has not acknowledged.
bool read_unacked(int fd, uint32_t& bytes);
// Bytes that were never sent.
bool read_unsent(int fd, uint32_t& bytes);
// Neither end has sent FIN.
bool is_open(int fd);
// Bytes that wait to be read.
bool read_unread(int fd, uint32_t& bytes);
// Whether a segment ever arrived before an earlier one. `window`: how many bytes the remote end may send at most.
bool received_out_of_order(int fd, uint32_t& window);
// The next close() sends nothing.
void close_silently_later(int fd);
// Whether close() ends the connection by RST.
void reset_on_close(int fd, bool reset);
// The segment size that the remote end may be sent.
uint32_t segment_size(int fd);

// What the option takes in each segment, with its padding.
constexpr uint32_t kTimestampBytes = 12;
// Bytes of the IP and TCP headers, without options.
uint32_t headers_of(const SocketAddress& address);
// An IPv6 socket has IPv4 packets when its addresses are mapped.
bool is_v4(const SocketAddress& address);
// A packet filter changed where the client wanted to go: what the socket calls its address is not in the packets.
bool redirected(int fd, const SocketAddress& local);

ls_key key_of(const SocketAddress& local, const SocketAddress& remote);

}  // namespace longsplice::packet
