// Attaches programs as filters of clsact, such that they do not outlive this process.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "../../core/fd.h"
#include "filters.h"
#include "guardian.h"

namespace longsplice::packet {

// A program and where it belongs.
struct Hook {
  Direction direction;
  int program;
};

class Clsact {
 public:
  // Attaches all of them, or none. The first call removes what crashed processes have left. Returns 0 or errno; EBUSY: the interface has the qdisc `ingress`.
  int attach(uint32_t interface, std::span<const Hook> hooks);
  void detach(uint32_t interface);

 private:
  int start();

  RtSocket socket_;
  std::string owner_;
  // A Unix socket whose abstract name is the owner's. Such names belong to a network namespace, as filters do, and are
  // free again when the process is dead; so whoever finds a filter can tell whether somebody still owns it.
  Fd sign_of_life_;
  std::unique_ptr<Guardian> guardian_;
};

}  // namespace longsplice::packet
