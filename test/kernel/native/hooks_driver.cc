// Lets a test use Hooks and Netlink in a network namespace: one command a line on stdin, one answer a line on stdout.
//
//   hooks_driver tcx|clsact       runs until `quit`, the end of stdin or a signal
//   hooks_driver without-tcx PROGRAM [ARGUMENT...]
//                                 runs a program on a kernel that says of links what one before 6.6 says
//   hooks_driver programs NAME    prints what is attached to an interface by tcx, whoever attached it
#include <bpf/bpf.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "../../../native/engine/packet/hooks.h"
#include "../../../native/engine/packet/netlink.h"

namespace {

using longsplice::SocketAddress;
using longsplice::packet::Hooks;
using longsplice::packet::Interface;
using longsplice::packet::Netlink;
using longsplice::packet::Programs;
using longsplice::packet::Selection;

// A program that lets every packet go on to the next one.
int load_program(const char* name) {
  const bpf_insn instructions[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = -1},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  const int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", instructions, 2, nullptr);
  if (fd < 0) {
    std::perror("loading a program");
    std::exit(1);
  }
  return fd;
}

std::string program_name(uint32_t id) {
  const longsplice::Fd program(bpf_prog_get_fd_by_id(id));
  bpf_prog_info info{};
  uint32_t length = sizeof info;
  if (!program || bpf_obj_get_info_by_fd(program.get(), &info, &length) != 0) return "?";
  return info.name;
}

std::string programs_on(const std::string& interface) {
  // BPF_TCX_INGRESS, BPF_TCX_EGRESS
  static constexpr std::pair<const char*, int> kDirections[] = {{"ingress", 46}, {"egress", 47}};
  std::string text;
  for (const auto& [direction, type] : kDirections) {
    std::array<uint32_t, 16> ids;
    uint32_t count = ids.size();
    const auto index = static_cast<int>(if_nametoindex(interface.c_str()));
    const int error =
        bpf_prog_query(index, static_cast<bpf_attach_type>(type), 0, nullptr, ids.data(), &count);
    if (error != 0) return std::string("error ") + strerror(-error);
    for (uint32_t i = 0; i < count; i++) text += std::string(direction) + ":" + program_name(ids[i]) + " ";
  }
  return text;
}

// Gives up all capabilities, as a service without them has none.
std::string drop_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0 ? "dropped" : strerror(errno);
}

// From here on the kernel calls it invalid to make a link.
bool refuse_links() {
  sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_bpf, 0, 3),
      // The lower half of the command, which comes first.
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[0])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, BPF_LINK_CREATE, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(instructions), .filter = instructions};
  return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// "192.0.2.1", "fe80::1%eth0"
SocketAddress parse_address(const std::string& text) {
  const size_t percent = text.find('%');
  auto address = SocketAddress::from_ip(text.substr(0, percent), 80).value_or(SocketAddress());
  if (percent != text.npos) {
    reinterpret_cast<sockaddr_in6*>(address.get())->sin6_scope_id =
        if_nametoindex(text.substr(percent + 1).c_str());
  }
  return address;
}

// "lo#1,loopback,up,mtu=65536 eth0#2,up,ethernet,mtu=1500"
std::string describe(const std::vector<Interface>& interfaces) {
  std::string text;
  for (const Interface& interface : interfaces) {
    text += (text.empty() ? "" : " ") + interface.name + "#" + std::to_string(interface.index);
    if (interface.loopback) text += ",loopback";
    if (interface.up) text += ",up";
    if (interface.ethernet) text += ",ethernet";
    if (interface.enslaved) text += ",enslaved";
    text += ",mtu=" + std::to_string(interface.mtu);
  }
  return text;
}

class Driver {
 public:
  explicit Driver(Hooks::Kind kind)
      : hooks_({.loopback_egress = load_program("loopback_egress"),
                .outer_ingress = load_program("outer_ingress"),
                .outer_egress = load_program("outer_egress")},
               kind) {}

  std::string run(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    std::vector<std::string> arguments;
    for (std::string word; words >> word;) arguments.push_back(word);
    if (command == "interfaces") return describe(netlink_.interfaces());
    if (command == "changed") return netlink_.changed() ? "yes" : "no";
    if (command == "route") return route(arguments.at(0), arguments.at(1));
    if (command == "sync") return hooks_.sync(netlink_.interfaces(), Selection{arguments.empty(), arguments});
    if (command == "names") return names();
    if (command == "kind") return hooks_.kind();
    if (command == "attached") return hooks_.attached(if_nametoindex(arguments.at(0).c_str())) ? "yes" : "no";
    if (command == "drop") return drop_capabilities();
    return "unknown command";
  }

 private:
  // The interface's name.
  std::string route(const std::string& from, const std::string& to) {
    const uint32_t index = netlink_.route(parse_address(from), parse_address(to));
    std::array<char, IF_NAMESIZE> name;
    if (index == 0) return "none";
    return if_indextoname(index, name.data()) != nullptr ? name.data() : "?";
  }

  std::string names() const {
    std::string text;
    for (const std::string& name : hooks_.names()) text += (text.empty() ? "" : " ") + name;
    return text;
  }

  Netlink netlink_;
  Hooks hooks_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "programs" && argc == 3) {
    std::cout << programs_on(argv[2]) << std::endl;
    return 0;
  }
  if (mode == "without-tcx" && argc > 2) {
    if (refuse_links()) execvp(argv[2], argv + 2);
    std::perror("without-tcx");
    return 1;
  }
  if (mode != "tcx" && mode != "clsact") return 2;
  Driver driver(mode == "tcx" ? Hooks::Kind::tcx : Hooks::Kind::clsact);
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line) && line != "quit";) {
    std::cout << driver.run(line) << std::endl;
  }
}
