// Which ports of this network namespace are served through a packet engine, this one or another one.
//
// On lo the programs of all engines are at one hook and run in one order, once for each packet. A packet that passes two
// engines there needs one order, and its answer the other one. So no engine splices to a port that an engine serves.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "../../core/fd.h"

namespace longsplice::packet {

class Neighbours {
 public:
  // Makes known that this port is served here, as long as this object lives.
  void serve(uint16_t port);
  // Whether somebody serves it.
  bool serves(uint16_t port);
  // Others may have come or gone.
  void forget() { known_.clear(); }

 private:
  std::vector<Fd> names_;
  std::unordered_map<uint16_t, bool> known_;
};

}  // namespace longsplice::packet
