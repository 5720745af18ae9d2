// What the programs hash, hashed as they do it (native/bpf/include/head.bpf.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "../../bpf/include/abi.h"

namespace longsplice::packet {

inline uint64_t hash_words(uint64_t hash, std::string_view text, uint64_t bits) {
  // The last word may be empty; it counts.
  for (size_t done = 0; done <= text.size(); done += 8) {
    uint64_t word = 0;
    const size_t length = std::min<size_t>(8, text.size() - done);
    std::memcpy(&word, text.data() + done, length);
    const uint64_t mask = length == 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * length)) - 1;
    hash = ls_mix(hash, (word | bits) & mask);
  }
  return hash;
}

// Of the name of a field, in any case.
inline uint64_t hash_name(uint64_t seed, std::string_view name) {
  return hash_words(seed, name, 0x2020202020202020);
}

inline uint64_t hash_host(uint64_t seed, std::string_view host) { return hash_words(seed, host, 0); }

inline uint64_t hash_target(uint64_t host_hash, std::string_view target) {
  return hash_words(host_hash, target, 0);
}

}  // namespace longsplice::packet
