#include "neighbours.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdio>
#include <utility>

namespace longsplice::packet {

namespace {

struct Name {
  sockaddr_un address{};
  socklen_t length;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// An abstract name (unix(7)) belongs to the network namespace, and is gone with the last process that holds it.
Name name_of(uint16_t port) {
  Name name;
  name.address.sun_family = AF_UNIX;
  const int length = snprintf(name.address.sun_path + 1, sizeof name.address.sun_path - 1,
                              "longsplice-packet-%u", unsigned{port});
  name.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<size_t>(length));
  return name;
}

Fd datagram_socket() { return Fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)); }

}  // namespace

void Neighbours::serve(uint16_t port) {
  Fd fd = datagram_socket();
  const Name name = name_of(port);
  // It is in use already where another worker serves the port as well.
  if (fd && bind(fd.get(), name.get(), name.length) == 0) names_.push_back(std::move(fd));
}

bool Neighbours::serves(uint16_t port) {
  if (const auto known = known_.find(port); known != known_.end()) return known->second;
  const Fd fd = datagram_socket();
  const Name name = name_of(port);
  const bool served = fd && connect(fd.get(), name.get(), name.length) == 0;
  known_.emplace(port, served);
  return served;
}

}  // namespace longsplice::packet
