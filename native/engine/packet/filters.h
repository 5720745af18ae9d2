// The programs as filters of clsact, for kernels without tcx. Who attached a filter stands in its name, so that it can be
// found and removed by somebody else when its owner crashed. Nothing here allocates, as in rtnetlink.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "rtnetlink.h"

namespace longsplice::packet {

enum class Direction : uint8_t { ingress, egress };
inline constexpr Direction kDirections[] = {Direction::ingress, Direction::egress};

// Every owner's name begins with it.
inline constexpr std::string_view kOwnerPrefix = "longsplice-";

// What the name of a filter says: it is ours, or of another process of ours.
struct OwnedFilter {
  std::string_view owner;
  bool made_qdisc;  // the qdisc below it is there for our filters only
};

// Asks for the filters of an interface.
Request filters_of(uint32_t interface, Direction direction);
// Reads an answer to it; nothing if the filter is somebody else's. The name points into the message.
std::optional<OwnedFilter> read_filter(const nlmsghdr& message);

// Sees to it that the interface has clsact. `made`: it is there for our filters only. Returns 0 or errno; EBUSY: the
// older qdisc `ingress` is in its place.
int add_qdisc(RtSocket& socket, uint32_t interface, bool& made);

// Returns 0 or errno.
int add_filter(RtSocket& socket, uint32_t interface, Direction direction, int program,
               const OwnedFilter& filter);

// Removes the owner's filters from the interface, and the qdisc if it was there only for them. What cannot be removed
// is not there any more.
void remove_filters(RtSocket& socket, uint32_t interface, std::string_view owner);

// Removes the qdisc if it has no filter.
void remove_empty_qdisc(RtSocket& socket, uint32_t interface);

// `remove_filters` for every interface of the network namespace.
void remove_all_filters(std::string_view owner);

}  // namespace longsplice::packet
