#include "clsact.h"

#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <set>

namespace longsplice::packet {

namespace {

// Takes the owner's name, if nobody has it.
Fd claim(const std::string& owner) {
  Fd fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  owner.copy(address.sun_path + 1, sizeof address.sun_path - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + owner.size());
  if (!fd || bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) return {};
  return fd;
}

// Owners of filters anywhere in the network namespace.
std::set<std::string> all_owners() {
  RtSocket links;
  RtSocket filters;
  std::set<std::string> owners;
  Request request = all_interfaces();
  links.ask(request, [&](const nlmsghdr& message) {
    const auto interface = static_cast<uint32_t>(header_of<ifinfomsg>(message).ifi_index);
    for (const Direction direction : kDirections) {
      Request of_interface = filters_of(interface, direction);
      filters.ask(of_interface, [&owners](const nlmsghdr& description) {
        if (const auto filter = read_filter(description)) owners.emplace(filter->owner);
      });
    }
  });
  return owners;
}

// What processes left that were killed together with their guardians.
void remove_orphans() {
  for (const std::string& owner : all_owners()) {
    if (claim(owner)) remove_all_filters(owner);
  }
}

}  // namespace

int Clsact::start() {
  remove_orphans();
  uint64_t random = 0;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return errno;
  std::array<char, 17> digits;
  snprintf(digits.data(), digits.size(), "%016lx", random);
  owner_ = std::string(kOwnerPrefix) + digits.data();
  sign_of_life_ = claim(owner_);
  if (!sign_of_life_) return errno;
  guardian_ = Guardian::start(owner_);
  return guardian_ ? 0 : errno;
}

int Clsact::attach(uint32_t interface, std::span<const Hook> hooks) {
  if (!guardian_) {
    const int error = start();
    if (error != 0) return error;
  }
  OwnedFilter filter{owner_, false};
  int error = add_qdisc(socket_, interface, filter.made_qdisc);
  if (error != 0) return error;
  for (const Hook& hook : hooks) {
    error = add_filter(socket_, interface, hook.direction, hook.program, filter);
    if (error != 0) break;
  }
  if (error != 0) {
    detach(interface);
    if (filter.made_qdisc) remove_empty_qdisc(socket_, interface);
  }
  return error;
}

void Clsact::detach(uint32_t interface) { remove_filters(socket_, interface, owner_); }

}  // namespace longsplice::packet
