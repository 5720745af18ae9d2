#include "hooks.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace longsplice::packet {

namespace {

// BPF_TCX_INGRESS and BPF_TCX_EGRESS of linux/bpf.h, which in Debian 12 is older than they are (6.6).
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

bool named(const Selection& selection, const std::string& name) {
  return std::find(selection.names.begin(), selection.names.end(), name) != selection.names.end();
}

// The programs read an Ethernet header, which lo has as well.
bool has_frames(const Interface& interface) { return interface.loopback || interface.ethernet; }

bool to_attach(const Interface& interface, const Selection& selection) {
  if (!has_frames(interface)) return false;
  return selection.automatic ? interface.up && !interface.enslaved : named(selection, interface.name);
}

// An interface that is down may come back with its connections alive. A port would see the packets of its bridge a
// second time.
bool to_keep(const Interface& interface, const Selection& selection) {
  return selection.automatic ? !interface.enslaved : named(selection, interface.name);
}

// What a name that was asked for lacks; nothing if it lacks nothing.
std::string objection(const std::string& name, const std::vector<Interface>& interfaces) {
  const auto found = std::find_if(interfaces.begin(), interfaces.end(),
                                  [&name](const Interface& interface) { return interface.name == name; });
  if (found == interfaces.end()) {
    std::string text = "there is no interface " + name + ", only";
    for (const Interface& interface : interfaces) text += ' ' + interface.name;
    return text;
  }
  return has_frames(*found) ? "" : name + " is not an Ethernet interface";
}

// A kernel that knows tcx misses the interface; to one that does not, the number of the hook is invalid.
bool kernel_has_tcx(int program) {
  constexpr int kNoInterface = INT32_MAX;
  return bpf_link_create(program, kNoInterface, kTcxIngress, nullptr) == -ENODEV;
}

std::string explain(const Interface& interface, int error) {
  const char* name = strerrorname_np(error);
  std::string text = "cannot attach to " + interface.name + ": " + (name != nullptr ? name : "error") + ", ";
  if (error == EPERM || error == EACCES)
    return text + "needs the capabilities CAP_NET_ADMIN and CAP_BPF, or root";
  if (error == EBUSY)
    return text + "it has the qdisc ingress where clsact would have to be (tc qdisc del dev " +
           interface.name + " ingress)";
  return text + strerrordesc_np(error);
}

}  // namespace

Hooks::Hooks(const Programs& programs, Kind preferred)
    : programs_(programs),
      kind_(preferred == Kind::tcx && !kernel_has_tcx(programs.outer_ingress) ? Kind::clsact : preferred) {}

Hooks::~Hooks() {
  if (kind_ != Kind::clsact) return;
  for (const auto& [interface, _] : attached_) clsact_.detach(interface);
}

std::string Hooks::sync(const std::vector<Interface>& interfaces, const Selection& selection) {
  detach_others(interfaces, selection);
  std::string first;
  const auto note = [&first](std::string error) {
    if (first.empty()) first = std::move(error);
  };
  for (const Interface& interface : interfaces) {
    if (const auto known = attached_.find(interface.index); known != attached_.end()) {
      known->second.name = interface.name;
    } else if (to_attach(interface, selection)) {
      note(attach(interface));
    }
  }
  if (selection.automatic) return first;
  for (const std::string& name : selection.names) note(objection(name, interfaces));
  return first;
}

void Hooks::detach_others(const std::vector<Interface>& interfaces, const Selection& selection) {
  std::erase_if(attached_, [&](const auto& entry) {
    const uint32_t index = entry.first;
    const auto found = std::find_if(interfaces.begin(), interfaces.end(),
                                    [index](const Interface& interface) { return interface.index == index; });
    if (found != interfaces.end() && to_keep(*found, selection)) return false;
    // With an interface that is gone, its filters went.
    if (kind_ == Kind::clsact && found != interfaces.end()) clsact_.detach(index);
    return true;
  });
}

std::string Hooks::attach(const Interface& interface) {
  const Hook loopback[] = {{Direction::egress, programs_.loopback_egress}};
  const Hook outer[] = {{Direction::ingress, programs_.outer_ingress},
                        {Direction::egress, programs_.outer_egress}};
  const std::span<const Hook> hooks = interface.loopback ? std::span<const Hook>(loopback) : outer;
  std::vector<Fd> links;
  int error = 0;
  if (kind_ == Kind::tcx) {
    error = attach_tcx(interface.index, hooks, links);
  } else {
    error = clsact_.attach(interface.index, hooks);
  }
  if (error != 0) return explain(interface, error);
  attached_.emplace(interface.index, Attached{interface.name, std::move(links)});
  return "";
}

int Hooks::attach_tcx(uint32_t interface, std::span<const Hook> hooks, std::vector<Fd>& links) {
  for (const Hook& hook : hooks) {
    const auto type = hook.direction == Direction::ingress ? kTcxIngress : kTcxEgress;
    const int link = bpf_link_create(hook.program, static_cast<int>(interface), type, nullptr);
    if (link < 0) {
      links.clear();
      return -link;
    }
    links.emplace_back(link);
  }
  return 0;
}

std::vector<std::string> Hooks::names() const {
  std::vector<std::string> names;
  for (const auto& [_, attached] : attached_) names.push_back(attached.name);
  return names;
}

const char* Hooks::kind() const { return kind_ == Kind::tcx ? "tcx" : "clsact"; }

}  // namespace longsplice::packet
