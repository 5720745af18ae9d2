// Whether this kernel redirects as it should. Some lose bytes when a reader is slow, or send them twice, or forget those
// that were there before the programs; no version number tells, because distributions repair what they ship.
#pragma once

#include <memory>
#include <string>

#include "../engine.h"
#include "kernel.h"

namespace longsplice::sockmap {

// Sends bodies of random sizes between sockets on loopback, with small buffers and slow readers, both ways. Returns what
// went wrong, or nothing. Takes some hundred milliseconds.
std::string self_test(const std::shared_ptr<Kernel>& kernel, std::unique_ptr<Engine> lesser);

}  // namespace longsplice::sockmap
