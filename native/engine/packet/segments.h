// Segments that leave past a socket's stack, as if it had sent them: in its own numbers, so that the programs translate them
// like any other, and a tracker of connections sees nothing but a repetition.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "../../bpf/include/abi.h"
#include "../../core/fd.h"

namespace longsplice::packet {

class Segments {
 public:
  // Without CAP_NET_RAW there is no way to send any.
  Segments();

  bool can_send(const ls_record& from) const;
  // Sent by `send`. `seq` is a local number, and `tag` comes back if it fails.
  void add(const ls_record& from, uint32_t seq, std::string_view payload, uint32_t tag);
  // All that were added, with as few system calls as possible; the kernel's answer is final.
  void send(const std::function<void(uint32_t tag)>& failed);

 private:
  struct Waiting {
    size_t begin;
    size_t length;
    const ls_record* from;
    uint32_t tag;
  };

  const Fd v4_;
  const Fd v6_;
  std::vector<char> bytes_;
  std::vector<Waiting> waiting_;
};

}  // namespace longsplice::packet
