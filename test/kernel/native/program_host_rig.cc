#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>

#include "program_host.h"
#include "program_rig.h"

namespace longsplice::programs {

namespace {

constexpr uint32_t kOuter = 7;

// A packet as the programs get it: its bytes are in memory of exactly its size.
struct HostPacket : __sk_buff {
  Bytes data;
  Sums sums = Sums::none;
  uint16_t complete = 0;  // what the card would have added up
};

struct KeyOrder {
  bool operator()(const ls_key& a, const ls_key& b) const { return memcmp(&a, &b, sizeof a) < 0; }
};

// What the helpers work on; there is one rig.
struct Maps {
  std::map<ls_key, uint32_t, KeyOrder> sockets;
  std::vector<ls_record> records = std::vector<ls_record>(kRigRecords);
  std::vector<uint64_t> counters = std::vector<uint64_t>(LS_COUNTER_MAX);
  std::vector<ls_event> events;
  int ring = 0;
  std::vector<Copy> copies;
  std::optional<uint32_t> redirected_to;
};
Maps maps;

HostPacket& packet_of(void* skb) { return *static_cast<HostPacket*>(static_cast<__sk_buff*>(skb)); }

Tag tag_of(const HostPacket& packet) {
  if (packet.tc_index == host_translated()) return Tag::translated;
  return packet.tc_index == host_stack_copy() ? Tag::stack_copy : Tag::none;
}

// One's complement arithmetic on words in memory's order, as the kernel does it.
uint16_t fold(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}
uint16_t inverted(uint16_t sum) { return static_cast<uint16_t>(~sum); }

uint16_t sum_behind_ethernet(const Bytes& data) {
  uint64_t sum = 0;
  for (size_t at = kEthernet; at < data.size(); at += 2) {
    uint16_t word = 0;
    memcpy(&word, &data[at], at + 1 < data.size() ? 2 : 1);
    sum += word;
  }
  return fold(sum);
}

bool reaches(const HostPacket& packet, uint32_t offset, size_t length) {
  return offset <= packet.data.size() && length <= packet.data.size() - offset;
}

bool is_check_field(const HostPacket& packet, uint32_t offset) {
  return offset % 2 == 0 && reaches(packet, offset, 2);
}

uint16_t load_check(const HostPacket& packet, uint32_t offset) {
  uint16_t check = 0;
  memcpy(&check, &packet.data[offset], 2);
  return check;
}

void change_check(HostPacket& packet, uint32_t offset, uint64_t difference) {
  const uint16_t sum = fold(uint64_t{inverted(load_check(packet, offset))} + fold(difference));
  const uint16_t check = inverted(sum);
  memcpy(&packet.data[offset], &check, 2);
}

class HostRig final : public Rig {
 public:
  ~HostRig() override { maps = Maps(); }
  ls_record& record(uint32_t index) override { return maps.records.at(index); }
  void publish(const ls_key& key, uint32_t index) override { maps.sockets[key] = index; }
  bool published(const ls_key& key) override { return maps.sockets.contains(key); }
  uint32_t outer() const override { return kOuter; }
  bool takes(Sums) const override { return true; }
  bool takes(const Bytes&) const override { return true; }
  bool takes_cut(Sums) const override { return true; }

  void clear() override {
    maps.sockets.clear();
    maps.events.clear();
    counted();
  }

  std::vector<ls_event> events() override {
    std::vector<ls_event> events;
    events.swap(maps.events);
    return events;
  }

  Run run(Program program, const Bytes& frame, Sums sums, Tag tag) override {
    HostPacket packet{};
    packet.data = frame;
    packet.data.shrink_to_fit();
    packet.sums = sums;
    packet.complete = sum_behind_ethernet(frame);
    packet.len = static_cast<uint32_t>(frame.size());
    memcpy(&packet.protocol, &frame[12], 2);
    const bool ours = frame[0] == 0;  // as frame_of() has it
    packet.pkt_type = ours ? PACKET_HOST : PACKET_OTHERHOST;
    packet.ifindex = program == Program::loopback_egress ? kLoopback : kOuter;
    if (tag == Tag::translated) packet.tc_index = host_translated();
    if (tag == Tag::stack_copy) packet.tc_index = host_stack_copy();
    maps.copies.clear();
    maps.redirected_to.reset();
    const int verdict = host_programs[static_cast<size_t>(program)](&packet);
    // The kernel would throw away what does not add up to the card's number.
    const bool lost = packet.sums == Sums::complete &&
                      sum_behind_ethernet(packet.data) % 0xffff != packet.complete % 0xffff;
    if (lost) return {};
    return {verdict, packet.data, maps.copies, tag_of(packet), maps.redirected_to};
  }

 protected:
  std::vector<uint64_t> counters() override { return maps.counters; }
};

}  // namespace

std::unique_ptr<Rig> make_host_rig() { return std::make_unique<HostRig>(); }

}  // namespace longsplice::programs

using longsplice::programs::HostPacket;
using longsplice::programs::maps;
using longsplice::programs::packet_of;
using longsplice::programs::Sums;

long host_load_bytes(const void* skb, __u32 offset, void* to, __u32 length) {
  const HostPacket& packet = *static_cast<const HostPacket*>(static_cast<const __sk_buff*>(skb));
  if (!reaches(packet, offset, length)) return -EFAULT;
  memcpy(to, packet.data.data() + offset, length);
  return 0;
}

long host_store_bytes(void* skb, __u32 offset, const void* from, __u32 length, __u64 flags) {
  HostPacket& packet = packet_of(skb);
  if (!reaches(packet, offset, length)) return -EFAULT;
  if (flags != 0) return -EINVAL;
  memcpy(packet.data.data() + offset, from, length);
  return 0;
}

long host_l3_csum_replace(void* skb, __u32 offset, __u64 from, __u64 to, __u64 size) {
  HostPacket& packet = packet_of(skb);
  if (!is_check_field(packet, offset)) return -EFAULT;
  if (size != 2 && (size != 0 || from != 0)) return -EINVAL;
  const auto old = static_cast<uint16_t>(from);
  change_check(packet, offset, size == 0 ? to : uint64_t{static_cast<uint16_t>(~old)} + to);
  return 0;
}

long host_l4_csum_replace(void* skb, __u32 offset, __u64 from, __u64 to, __u64 flags) {
  HostPacket& packet = packet_of(skb);
  if (!is_check_field(packet, offset)) return -EFAULT;
  if (from != 0 || (flags & ~uint64_t{BPF_F_PSEUDO_HDR}) != 0) return -EINVAL;
  const bool pseudo = flags != 0;
  if (packet.sums != Sums::partial) {
    change_check(packet, offset, to);
    // Before 6.16 whatever the family is: of IPv4 the IP header's checksum makes up for the addresses.
    const auto less = static_cast<uint16_t>(~longsplice::programs::fold(to));
    if (pseudo) packet.complete = longsplice::programs::fold(uint64_t{packet.complete} + less);
  } else if (pseudo) {
    const uint16_t check = longsplice::programs::fold(load_check(packet, offset) + to);
    memcpy(&packet.data[offset], &check, 2);
  }
  return 0;
}

long host_csum_diff(const __be32* from, __u32 from_size, const __be32* to, __u32 to_size, __u32 seed) {
  if (from_size % 4 != 0 || to_size % 4 != 0) return -EINVAL;
  uint64_t sum = seed;
  for (__u32 i = 0; i < from_size / 4; i++) sum += static_cast<__u32>(~from[i]);
  for (__u32 i = 0; i < to_size / 4; i++) sum += to[i];
  return longsplice::programs::fold(sum);
}

long host_csum_update(void* skb, __u32 sum) {
  HostPacket& packet = packet_of(skb);
  if (packet.sums != Sums::complete) return -ENOTSUP;
  packet.complete = longsplice::programs::fold(uint64_t{packet.complete} + sum);
  return packet.complete;
}

long host_change_tail(void* skb, __u32 length, __u64 flags) {
  HostPacket& packet = packet_of(skb);
  if (flags != 0 || length > packet.data.size()) return -EINVAL;
  // The card's number is of no use for a part of the packet.
  if (length < packet.data.size() && packet.sums == Sums::complete) packet.sums = Sums::none;
  packet.data.resize(length);
  packet.data.shrink_to_fit();
  packet.len = length;
  return 0;
}

long host_clone_redirect(void* skb, __u32 interface, __u64 flags) {
  const HostPacket& packet = packet_of(skb);
  // On lo it has to leave once more, elsewhere to arrive.
  const bool ingress = flags == BPF_F_INGRESS;
  if (interface != packet.ifindex || ingress == (interface == longsplice::programs::kLoopback))
    return -EINVAL;
  maps.copies.push_back({packet.data, tag_of(packet)});
  return 0;
}

long host_redirect_neigh(__u32 interface, const void* parameters, int length, __u64 flags) {
  if (parameters != nullptr || length != 0 || flags != 0) return TC_ACT_SHOT;
  maps.redirected_to = interface;
  return TC_ACT_REDIRECT;
}

void* host_map_lookup(void* map, const void* key) {
  if (map == host_sockets) {
    const auto found = maps.sockets.find(*static_cast<const ls_key*>(key));
    return found == maps.sockets.end() ? nullptr : &found->second;
  }
  const uint32_t index = *static_cast<const uint32_t*>(key);
  if (map == host_records) return index < maps.records.size() ? &maps.records[index] : nullptr;
  if (map == host_counters) return index < maps.counters.size() ? &maps.counters[index] : nullptr;
  return map == host_rings && index == 0 ? &maps.ring : nullptr;
}

long host_map_delete(void* map, const void* key) {
  if (map != host_sockets) return -EINVAL;
  return maps.sockets.erase(*static_cast<const ls_key*>(key)) == 1 ? 0 : -ENOENT;
}

long host_ring_output(void* ring, void* data, __u64 size, __u64 flags) {
  if (ring != &maps.ring || size != sizeof(ls_event) || flags != 0) return -EINVAL;
  maps.events.push_back(*static_cast<const ls_event*>(data));
  return 0;
}

__u64 host_time_ns(void) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<__u64>(now.tv_sec) * 1'000'000'000 + static_cast<__u64>(now.tv_nsec);
}
