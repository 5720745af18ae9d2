// Takes from an interface what it does for the TCP stack: packets leave it cut to size and with complete checksums, as
// on a card that can do nothing.
//
//   offloads INTERFACE...
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "peer.h"

int main(int argc, char** argv) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) peer::die("socket");
  for (int i = 1; i < argc; i++) {
    for (const unsigned command : {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM}) {
      ethtool_value off{command, 0};
      ifreq request{};
      strncpy(request.ifr_name, argv[i], IFNAMSIZ - 1);
      request.ifr_data = reinterpret_cast<char*>(&off);
      if (ioctl(fd, SIOCETHTOOL, &request) < 0) peer::die(std::string("offloads of ") + argv[i]);
    }
  }
}
