// What the client and the server of the packet tests share: the content that both know, and a stream that says how far
// a transfer came and why it ended there.
#ifndef LONGSPLICE_TEST_PEER_H
#define LONGSPLICE_TEST_PEER_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace peer {

// Writes the reason, with errno, and exits 1.
[[noreturn]] void die(const std::string& what);

// All of a decimal number; exits with a message that names `what` if it is none.
uint64_t to_number(std::string_view text, const char* what);

// Pseudo-random bytes of which each one can be computed from its place, so that a receiver finds the first wrong one.
class Content {
 public:
  explicit Content(uint64_t seed) : seed_(seed) {}

  void fill(uint64_t offset, char* out, size_t size) const;

  // Place of the first byte that is not as it should be.
  std::optional<uint64_t> first_wrong(uint64_t offset, const char* bytes, size_t size) const;

 private:
  uint64_t seed_;
};

// How fast somebody reads or writes: after each `chunk` bytes comes a pause.
struct Pace {
  size_t chunk = size_t{256} * 1024;
  unsigned pause_us = 0;

  // "CHUNK:MICROSECONDS"
  static Pace parse(std::string_view text);
};

enum class End { complete, fin, reset, timeout, failed };
const char* name_of(End end);

struct Transfer {
  uint64_t bytes = 0;
  std::optional<uint64_t> wrong_at;
  End end = End::complete;
};

// The exchange that opens a tunnel. What follows is spoken as before, and nobody in between understands it.
constexpr std::string_view kOpensTunnel =
    "GET /tunnel HTTP/1.1\r\nhost: test.example\r\nconnection: upgrade\r\nupgrade: peer\r\n\r\n";
constexpr std::string_view kTunnelIsOpen =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: peer\r\n\r\n";
inline bool opens_tunnel(std::string_view head) { return head.find("\r\nupgrade: ") != head.npos; }

// One request and its response, as the query of the target describes it: /?up=BYTES&down=BYTES&...
struct Exchange {
  uint64_t up = 0;    // bytes of the request's body
  uint64_t down = 0;  // bytes of the response's body
  uint64_t seed = 1;
  bool early = false;             // the response does not wait for the request's body
  bool close = false;             // the server sends FIN behind the response
  unsigned delay_ms = 0;          // before the response
  std::optional<uint64_t> reset;  // the server sends RST behind so many bytes of the response's body
  std::optional<uint64_t> abort;  // the server sends RST when it has so many bytes of the request's body
  Pace read;                      // of the server
  Pace write;

  static Exchange parse(std::string_view target);
  Content upload() const { return Content(seed * 2); }
  Content download() const { return Content(seed * 2 + 1); }
};

// Options of a socket that have to be set before it connects or listens.
struct SocketOptions {
  int receive_buffer = 0;
  int send_buffer = 0;
  int segment = 0;
  int window_clamp = 0;
  int probe_seconds = 0;  // between keep-alive probes of an idle connection

  // Takes the option if it is one of these.
  bool take(std::string_view name, std::string_view value);
  void apply(int fd) const;
};

// An address and port; IPv6 without brackets.
class Endpoint {
 public:
  Endpoint(const std::string& address, uint16_t port);
  int family() const { return family_; }
  // Does not wait if the socket does not block.
  void connect(int fd) const;
  void bind(int fd) const;

 private:
  std::vector<char> bytes_;
  int family_ = 0;
};

// Sequence numbers of the next byte in either direction.
struct Numbers {
  uint32_t sent = 0;
  uint32_t received = 0;

  // Of an established socket; nothing may be under way.
  static Numbers of(int fd);
};

// A connection, blocking, with a bound on every wait. One thread may read while another one writes.
class Stream {
 public:
  explicit Stream(int fd);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Up to and with the empty line. `fin` means that the other side closed before the first byte.
  End read_head(std::string& head);
  Transfer receive(const Content& content, uint64_t size, Pace pace);
  Transfer send(const Content& content, uint64_t size, Pace pace);
  // With `more`, the bytes wait for those that follow.
  End send_text(std::string_view text, bool more = false);
  // Reads to the end; surplus bytes count as failure.
  End read_end();
  // A socket tells of RST only once, and then looks as if FIN had come: what it is when both directions are known.
  End settle(End end) const { return end == End::fin && was_reset_ ? End::reset : end; }
  void finish();
  // Closes with RST.
  void reset();
  uint64_t retransmissions() const;
  uint64_t segment_bytes() const;
  // When the stream was made.
  const Numbers& began_at() const { return began_at_; }

 private:
  End fill();
  End end_of_errno();

  int fd_;
  Numbers began_at_;
  std::atomic<bool> was_reset_ = false;
  std::string buffer_;
};

}  // namespace peer

#endif
