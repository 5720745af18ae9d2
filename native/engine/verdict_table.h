// What programs in the kernel have to know to say where a request leads: the route table, as far as paths, hosts and
// methods decide. Written by the core for each snapshot.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace longsplice {

struct VerdictTable {
  static constexpr uint32_t kReturns = UINT32_MAX;
  static constexpr size_t kLongestPath = 56;
  // How much of a request that passed is to be told.
  enum class Detail : uint8_t { none, target, head };

  struct Destination {
    uint32_t route = kReturns;  // kReturns: user space decides
    uint32_t pool = 0;
    bool placed = false;  // only to the backend that `Splicer::place` named for the target
    bool operator==(const Destination&) const = default;
  };
  // Where requests lead whose path begins with this one, at the boundary of a segment, and with no longer one of the
  // same class. Without text: all others.
  struct Path {
    uint32_t host_class = 0;
    std::string text;
    std::array<Destination, 2> to;  // by method: GET, HEAD
    bool operator==(const Path&) const = default;
  };

  std::vector<Path> paths;
  std::vector<uint64_t> depths;               // by class of hosts: a bit for each length of its paths
  std::vector<std::string> returning_fields;  // requests with one of these are for user space
  uint32_t head_bytes = 0;
  uint32_t fields = 0;
  Detail detail = Detail::none;
  // They change with everything else that verdicts depend on: of the configuration, and of the backends.
  uint64_t generation = 0;
  uint64_t state = 0;
  bool operator==(const VerdictTable&) const = default;
};

}  // namespace longsplice
