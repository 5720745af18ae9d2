// Counters of one worker. Only its thread touches them; the control plane gets copies.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_map>

#include "../engine/engine.h"

namespace longsplice {

// Counts observations (seconds) in fixed buckets; the last bucket takes what exceeds every bound.
template <size_t Bounds>
struct Histogram {
  std::array<double, Bounds> bounds;
  std::array<uint64_t, Bounds + 1> counts{};
  double sum = 0;

  void observe(double seconds) {
    size_t bucket = 0;
    while (bucket < Bounds && seconds > bounds[bucket]) bucket++;
    counts[bucket]++;
    sum += seconds;
  }
};

struct RequestKey {
  static constexpr uint32_t kNoRoute = UINT32_MAX;
  static constexpr uint32_t kNoBackend = UINT32_MAX;
  uint32_t route;    // id that the control plane gave the route
  uint32_t backend;  // id of the backend
  uint32_t code;
  bool operator==(const RequestKey&) const = default;
};

struct RequestKeyHash {
  size_t operator()(const RequestKey& key) const {
    uint64_t mixed =
        (static_cast<uint64_t>(key.route) << 32) ^ (static_cast<uint64_t>(key.backend) << 10) ^ key.code;
    mixed *= 0x9E3779B97F4A7C15u;
    return mixed ^ (mixed >> 32);
  }
};

struct Stats {
  std::unordered_map<RequestKey, uint64_t, RequestKeyHash> requests;
  Histogram<14> request_seconds{
      {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};
  Histogram<12> decision_seconds{
      {0.0000005, 0.000001, 0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001, 0.0005, 0.001, 0.01, 0.1}};
  ByteCount downstream;  // bytes of bodies, and whatever links for good carried, towards clients
  ByteCount upstream;    // ... and towards backends
  // By reason: requests that went to a backend again, or to another one.
  std::map<std::string_view, uint64_t> retries;
  uint64_t retries_refused = 0;  // by the budget
  uint64_t links_finished = 0;
  uint64_t links_reset = 0;
  uint64_t links_idle = 0;
  uint64_t links_cut = 0;      // ended by this process: it drains, or stops
  uint64_t links_resumed = 0;  // their sockets speak for themselves again
  // By reason: connections that were to be linked, and were not.
  std::map<std::string_view, uint64_t> fallbacks;
  // By reason: bodies that were not to be copied, and were in part.
  std::map<std::string_view, uint64_t> body_fallbacks;
};

}  // namespace longsplice
