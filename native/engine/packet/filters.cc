#include "filters.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>

#include <cerrno>

namespace longsplice::packet {

namespace {

// Behind the owner in the name of a filter.
constexpr char kMadeQdisc = '+';

uint32_t parent_of(Direction direction) {
  return TC_H_MAKE(TC_H_CLSACT, direction == Direction::ingress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

tcmsg header_for(uint32_t interface, uint32_t parent) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(interface);
  header.tcm_parent = parent;
  return header;
}

// Whether the interface has clsact, and for whom.
int look_at_qdisc(RtSocket& socket, uint32_t interface, bool& made) {
  Request request(RTM_GETQDISC, NLM_F_DUMP, tcmsg{});
  bool clsact = false;
  const int error = socket.ask(request, [&](const nlmsghdr& message) {
    const auto& qdisc = header_of<tcmsg>(message);
    if (qdisc.tcm_ifindex != static_cast<int>(interface) || qdisc.tcm_parent != TC_H_CLSACT) return;
    clsact = Attributes::of(message, qdisc).text(TCA_KIND) == "clsact";
  });
  if (error != 0) return error;
  // `ingress` has no egress: filters for it would see what comes in.
  if (!clsact) return EBUSY;
  for (const Direction direction : kDirections) {
    Request filters = filters_of(interface, direction);
    socket.ask(filters, [&made](const nlmsghdr& message) {
      const auto filter = read_filter(message);
      if (filter && filter->made_qdisc) made = true;
    });
  }
  return 0;
}

bool has_filters(RtSocket& socket, uint32_t interface) {
  bool any = false;
  for (const Direction direction : kDirections) {
    Request request = filters_of(interface, direction);
    // Somebody's filters may be there if nobody can say.
    if (socket.ask(request, [&any](const nlmsghdr&) { any = true; }) != 0) return true;
  }
  return any;
}

// Removes one filter of the owner. False if there is none.
bool remove_one(RtSocket& socket, uint32_t interface, Direction direction, std::string_view owner,
                bool& made_qdisc) {
  tcmsg found{};
  Request request = filters_of(interface, direction);
  socket.ask(request, [&](const nlmsghdr& message) {
    const auto filter = read_filter(message);
    if (!filter || filter->owner != owner) return;
    made_qdisc = made_qdisc || filter->made_qdisc;
    found = header_of<tcmsg>(message);
  });
  if (found.tcm_handle == 0) return false;
  Request removal(RTM_DELTFILTER, 0, found);
  removal.put(TCA_KIND, std::string_view("bpf"));
  return socket.ask(removal) == 0;
}

}  // namespace

Request filters_of(uint32_t interface, Direction direction) {
  return Request(RTM_GETTFILTER, NLM_F_DUMP, header_for(interface, parent_of(direction)));
}

std::optional<OwnedFilter> read_filter(const nlmsghdr& message) {
  const Attributes attributes = Attributes::of(message, header_of<tcmsg>(message));
  if (attributes.text(TCA_KIND) != "bpf") return std::nullopt;
  const std::string_view name = attributes.inside(TCA_OPTIONS).text(TCA_BPF_NAME);
  if (!name.starts_with(kOwnerPrefix)) return std::nullopt;
  const size_t mark = name.find(kMadeQdisc);
  return OwnedFilter{name.substr(0, mark), mark != name.npos};
}

int add_qdisc(RtSocket& socket, uint32_t interface, bool& made) {
  tcmsg header = header_for(interface, TC_H_CLSACT);
  header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  Request request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, header);
  request.put(TCA_KIND, std::string_view("clsact"));
  const int error = socket.ask(request);
  made = error == 0;
  return error == EEXIST ? look_at_qdisc(socket, interface, made) : error;
}

int add_filter(RtSocket& socket, uint32_t interface, Direction direction, int program,
               const OwnedFilter& filter) {
  tcmsg header = header_for(interface, parent_of(direction));
  // No priority: the kernel takes one that is free, before those of others.
  header.tcm_info = TC_H_MAKE(0, htons(ETH_P_ALL));
  Request request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, header);
  request.put(TCA_KIND, std::string_view("bpf"));
  const size_t options = request.open(TCA_OPTIONS);
  request.put(TCA_BPF_FD, static_cast<uint32_t>(program));
  std::array<char, 64> name{};
  const size_t length = filter.owner.copy(name.data(), name.size() - 1);
  if (filter.made_qdisc) name[length] = kMadeQdisc;
  request.put(TCA_BPF_NAME, std::string_view(name.data()));
  request.put(TCA_BPF_FLAGS, uint32_t{TCA_BPF_FLAG_ACT_DIRECT});
  request.close(options);
  return socket.ask(request);
}

void remove_filters(RtSocket& socket, uint32_t interface, std::string_view owner) {
  bool made_qdisc = false;
  for (const Direction direction : kDirections) {
    while (remove_one(socket, interface, direction, owner, made_qdisc)) continue;
  }
  if (made_qdisc) remove_empty_qdisc(socket, interface);
}

void remove_empty_qdisc(RtSocket& socket, uint32_t interface) {
  if (has_filters(socket, interface)) return;
  tcmsg header = header_for(interface, TC_H_CLSACT);
  header.tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
  Request request(RTM_DELQDISC, 0, header);
  request.put(TCA_KIND, std::string_view("clsact"));
  socket.ask(request);
}

void remove_all_filters(std::string_view owner) {
  RtSocket links;
  RtSocket filters;
  auto remove = [&](const nlmsghdr& message) {
    remove_filters(filters, static_cast<uint32_t>(header_of<ifinfomsg>(message).ifi_index), owner);
  };
  int error = EINTR;
  while (error == EINTR) {
    Request request = all_interfaces();
    error = links.ask(request, remove);
  }
}

}  // namespace longsplice::packet
