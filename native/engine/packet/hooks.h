// Where the programs are attached: lo by its egress, other interfaces by both directions. For one thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "clsact.h"
#include "netlink.h"

namespace longsplice::packet {

// Their file descriptors.
struct Programs {
  int loopback_egress;
  int outer_ingress;
  int outer_egress;
};

// Automatic: every Ethernet interface that is up and no port of a bridge or bond, and lo. Otherwise exactly the named.
struct Selection {
  bool automatic;
  std::vector<std::string> names;
};

class Hooks {
 public:
  enum class Kind : uint8_t {
    tcx,     // a link for each program, gone with its file descriptor
    clsact,  // filters; for kernels before 6.6
  };

  // tcx falls back to clsact by itself where the kernel does not have it.
  explicit Hooks(const Programs& programs, Kind preferred = Kind::tcx);
  // Detaches all.
  ~Hooks();
  Hooks(const Hooks&) = delete;
  Hooks& operator=(const Hooks&) = delete;

  // Attaches to what is selected and not attached yet; detaches from what is gone or selected no more. Returns what
  // went wrong first, naming the interface, or nothing.
  std::string sync(const std::vector<Interface>& interfaces, const Selection& selection);

  bool attached(uint32_t interface) const { return attached_.contains(interface); }
  std::vector<std::string> names() const;
  // "tcx" or "clsact".
  const char* kind() const;

 private:
  struct Attached {
    std::string name;
    std::vector<Fd> links;  // of tcx
  };

  void detach_others(const std::vector<Interface>& interfaces, const Selection& selection);
  std::string attach(const Interface& interface);
  int attach_tcx(uint32_t interface, std::span<const Hook> hooks, std::vector<Fd>& links);

  Programs programs_;
  Kind kind_;
  std::map<uint32_t, Attached> attached_;
  Clsact clsact_;
};

}  // namespace longsplice::packet
