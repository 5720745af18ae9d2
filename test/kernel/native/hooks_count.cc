// Counts the programs at the tcx hooks of interfaces, of whomever they are: `tc` does not show those. Writes the number.
//
//   hooks_count INTERFACE...
#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "peer.h"

namespace {

// Of enum bpf_attach_type, for headers from before Linux 6.6.
constexpr unsigned kIngress = 46;
constexpr unsigned kEgress = 47;

unsigned count(unsigned interface, unsigned hook) {
  bpf_attr attributes{};
  attributes.query.target_fd = interface;
  attributes.query.attach_type = hook;
  if (syscall(SYS_bpf, BPF_PROG_QUERY, &attributes, sizeof(attributes)) == 0)
    return attributes.query.prog_cnt;
  // ENOENT: no program was ever there. EINVAL: a kernel without these hooks.
  if (errno != ENOENT && errno != EINVAL) peer::die("query");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned programs = 0;
  for (int i = 1; i < argc; i++) {
    const unsigned interface = if_nametoindex(argv[i]);
    if (interface == 0) peer::die(argv[i]);
    programs += count(interface, kIngress) + count(interface, kEgress);
  }
  printf("%u\n", programs);
}
