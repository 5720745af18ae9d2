// What a worker serves by: routes, pools, limits. Immutable; a reload replaces the whole, and exchanges that began
// under the old one end under it. Only those that wait for a backend get one of the new one's.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "address.h"
#include "forwarding.h"
#include "header_rules.h"
#include "proxy_protocol.h"
#include "router.h"

namespace longsplice {

struct Backend {
  uint32_t slot;
  uint32_t id;  // names it in the counters; never given to another backend, as a slot may be
  SocketAddress address;
  std::string name;  // as in the configuration: labels of metrics and logs
  // Where the client wanted to go before a packet filter redirected it here; `address` is empty then.
  bool original_destination = false;

  // Connections to one are connections to the other, also under another configuration.
  bool is(const Backend& other) const { return id == other.id && address.text() == other.address.text(); }
};

struct Pool {
  // What requests may have to wait for: a place at a backend, or one in the budget of retries.
  enum class Queue : uint8_t { place, budget };
  // What became of one whose turn it was: it left the queue, or there is nothing for it, or nothing for anybody behind it either.
  enum class Turn : uint8_t { served, passed_over, nothing };

  std::string name;
  uint32_t policy;  // which policy chain on the JavaScript side
  std::vector<Backend> backends;
  std::vector<std::string> needed_headers;  // lowercase; only these reach the policies
  // Likewise of responses; without a value nobody wants to know what is asked and answered.
  std::optional<std::vector<std::string>> needed_response_headers;
  bool wants_done = false;
  // What the policies look at: a connection that stays with its backend must not make another choice than they would.
  enum class Choice : uint8_t { by_load, by_target, by_request };
  Choice choice = Choice::by_request;
  ProxyProtocol proxy_protocol = ProxyProtocol::none;  // said to the backends
  // Of the requests at the backends so many per cent may be there for another time, and in any case `least`.
  struct Retries {
    uint32_t slot = 0;  // the row of the load table whose `active` counts them
    uint32_t percent = 0;
    uint32_t least = 0;
  };
  Retries retries;
};

struct Timeouts {
  uint32_t header, connect, queue, response, idle, stream;  // milliseconds
};

struct Limits {
  uint32_t header_bytes, headers, connections, queue;
};

enum class AccessLogFormat : uint8_t { off, json, combined };

struct Snapshot {
  Router router;
  std::vector<HeaderRules> header_rules;  // by route index
  std::vector<uint32_t> route_pools;      // by route index: which of `pools`
  std::vector<uint32_t> route_ids;        // by route index: stable across reloads, for metrics
  std::vector<std::string> route_labels;  // by route index
  std::vector<Pool> pools;
  Timeouts timeouts{};
  Limits limits{};
  ForwardingRules forwarding;
  AccessLogFormat access_log = AccessLogFormat::off;
  uint64_t generation = 0;  // of the configuration

  // Whether responses of a route may pass this process, on connections that it has joined.
  bool passes_responses(uint32_t route) const {
    const HeaderRules& rules = header_rules[route];
    return rules.forward != HeaderRules::Forward::exchange && rules.response.set.empty() &&
           rules.response.remove.empty();
  }

  // ... and plain requests.
  bool passes_by_connection(uint32_t route) const {
    const HeaderRules& rules = header_rules[route];
    const Pool& pool = pools[route_pools[route]];
    return rules.forward == HeaderRules::Forward::connection && rules.request.set.empty() &&
           passes_responses(route) && !forwarding.active && pool.choice != Pool::Choice::by_request &&
           pool.proxy_protocol == ProxyProtocol::none;
  }
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace longsplice
