// What the kernel still has to say for sockets that were parked and are closed.
#pragma once

#include <cstdint>
#include <optional>

namespace longsplice::packet {

// Sockets by what they wait for.
struct LastWords {
  uint32_t unacknowledged;  // FIN, or bytes before it
  uint32_t unanswered;      // the other end's FIN
};

// Of the sockets that this map names (`sockets` in state.bpf.h). nullopt: the kernel does not say (CONFIG_INET_DIAG).
std::optional<LastWords> last_words(int sockets);

}  // namespace longsplice::packet
