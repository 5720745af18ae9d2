// The part of a snapshot by which requests can be judged outside of this process.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "../engine/verdict_table.h"
#include "snapshot.h"

namespace longsplice {

class Verdicts {
 public:
  Verdicts() = default;
  // `state` of the backends: links return when it changes.
  Verdicts(const Snapshot& snapshot, uint64_t state);

  const VerdictTable& table() const { return table_; }
  // `host` is lowercase and without port.
  uint32_t host_class(std::string_view host) const;

 private:
  VerdictTable table_;
  // By exact name; by suffix, the longest first; and that of all other hosts.
  std::unordered_map<std::string, uint32_t> of_host_;
  std::vector<std::pair<std::string, uint32_t>> of_suffix_;
  uint32_t of_others_ = 0;
};

}  // namespace longsplice
