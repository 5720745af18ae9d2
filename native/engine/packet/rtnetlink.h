// Questions to netlink and their answers, one at a time. Nothing here allocates or locks, because the guardian
// (guardian.h) uses it between fork and _exit.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "../../core/fd.h"

namespace longsplice::packet {

// A message with its attributes. It has room for what this engine asks; what does not fit is a mistake in the code.
class Request {
 public:
  template <class Header>
  Request(uint16_t type, uint16_t flags, const Header& header) {
    auto& message = *reinterpret_cast<nlmsghdr*>(bytes_.data());
    message.nlmsg_type = type;
    message.nlmsg_flags = flags;
    length_ = NLMSG_HDRLEN;
    append(&header, sizeof header);
  }

  void put(uint16_t type, std::span<const uint8_t> value);
  void put(uint16_t type, uint32_t value);
  void put(uint16_t type, std::string_view text);
  // Attributes put between the two calls are inside of this one.
  size_t open(uint16_t type);
  void close(size_t opened);

 private:
  friend class RtSocket;
  void append(const void* data, size_t length);

  alignas(NLMSG_ALIGNTO) std::array<uint8_t, 512> bytes_{};
  size_t length_ = 0;
};

// The attributes of a message, or of another attribute.
class Attributes {
 public:
  template <class Header>
  static Attributes of(const nlmsghdr& message, const Header&) {
    constexpr size_t kBegin = NLMSG_HDRLEN + NLMSG_ALIGN(sizeof(Header));
    if (message.nlmsg_len < kBegin) return Attributes({});
    return Attributes({reinterpret_cast<const uint8_t*>(&message) + kBegin, message.nlmsg_len - kBegin});
  }
  explicit Attributes(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  // Empty if there is none of this type.
  std::span<const uint8_t> find(uint16_t type) const;
  uint32_t number(uint16_t type) const;
  std::string_view text(uint16_t type) const;
  Attributes inside(uint16_t type) const { return Attributes(find(type)); }

 private:
  std::span<const uint8_t> bytes_;
};

// What follows the header of a message; `Header` is the one that messages of its type have.
template <class Header>
const Header& header_of(const nlmsghdr& message) {
  return *reinterpret_cast<const Header*>(reinterpret_cast<const uint8_t*>(&message) + NLMSG_HDRLEN);
}

// Asks for all interfaces of the network namespace.
Request all_interfaces();

class RtSocket {
 public:
  explicit RtSocket(int protocol = NETLINK_ROUTE);

  // Calls `each` with every message of the answer; it must not use this socket meanwhile. Returns 0, or the errno;
  // EINTR if something changed while a list was being written, so that it may lack something.
  template <class F>
  int ask(Request& request, F&& each) {
    using Each = std::remove_reference_t<F>;
    return exchange(
        request, [](const nlmsghdr& message, void* call) { (*static_cast<Each*>(call))(message); }, &each);
  }
  int ask(Request& request) {
    return ask(request, [](const nlmsghdr&) {});
  }

 private:
  using OnMessage = void (*)(const nlmsghdr&, void*);
  int exchange(Request& request, OnMessage each, void* call);

  Fd fd_;
  uint32_t sequence_ = 0;
  // The kernel fills messages of a dump up to what is offered, 32 KiB at most.
  alignas(NLMSG_ALIGNTO) std::array<uint8_t, 32 * 1024> buffer_;
};

}  // namespace longsplice::packet
