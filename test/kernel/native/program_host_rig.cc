#include <linux/if_packet.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <map>
#include <utility>

#include "../../../native/engine/packet/verdict_hash.h"
#include "program_host.h"
#include "program_rig.h"

namespace longsplice::programs {

namespace {

constexpr uint32_t kOuter = 7;
constexpr uint64_t kHashSeed = 0x0123456789abcdef;

// A packet as the programs get it: its bytes are in memory of exactly its size.
struct HostPacket : __sk_buff {
  Bytes data;
  Sums sums = Sums::none;
  uint16_t complete = 0;  // what the card would have added up
};

struct KeyOrder {
  template <typename T>
  bool operator()(const T& a, const T& b) const {
    return memcmp(&a, &b, sizeof a) < 0;
  }
};
template <typename Key, typename Value>
using Table = std::map<Key, Value, KeyOrder>;

// As large as that of the kernel, and with its header before each event.
constexpr uint64_t kRingBytes = 1024 * 1024;
constexpr uint64_t kEventHeader = 8;

// What the helpers work on; there is one rig.
struct Maps {
  Table<ls_key, uint32_t> sockets;
  std::vector<ls_record> records = std::vector<ls_record>(kRigRecords);
  std::vector<uint64_t> counters = std::vector<uint64_t>(LS_COUNTER_MAX);
  std::vector<ls_event> events;
  std::vector<Passed> passed;
  uint64_t ring = 0;  // bytes in it
  ls_judge judge{};
  ls_worker worker{};
  size_t calls = 0;
  ls_rules rules{};
  Table<ls_path_key, ls_path> paths;
  Table<uint64_t, uint32_t> names;
  Table<ls_place_key, uint32_t> places;
  Bytes scratch = Bytes(host_scratch_bytes());
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
    events();
    passed();
    counted();
  }

  // The reader takes everything at once.
  std::vector<ls_event> events() override {
    maps.ring = 0;
    return std::exchange(maps.events, {});
  }

  std::vector<Passed> passed() override {
    maps.ring = 0;
    return std::exchange(maps.passed, {});
  }

  ls_judge& judge() override { return maps.judge; }
  ls_worker& worker() override { return maps.worker; }

  uint32_t publish(const VerdictTable& table) override {
    ls_rules& rules = maps.rules;
    if (rules.version != 0 && table == table_) return rules.version;
    table_ = table;
    rules = {.version = rules.version + 1,
             .table = rules.version + 1,
             .head_bytes = std::min<uint32_t>(table.head_bytes, LS_HEAD_MAX),
             .fields = table.fields,
             .detail = static_cast<uint32_t>(table.detail),
             .spare = 0,
             .seed = kHashSeed,
             .names = {}};
    maps.paths.clear();
    maps.names.clear();
    for (const VerdictTable::Path& path : table.paths) {
      ls_path_key key{.table = rules.table, .host_class = path.host_class, .text = {}};
      path.text.copy(key.text, sizeof key.text);
      ls_path& value = maps.paths[key];
      for (size_t method = 0; method < 2; method++) {
        value.route[method] = path.to[method].route;
        value.pool[method] = path.to[method].pool;
        value.placed |= path.to[method].placed ? 1u << method : 0;
      }
    }
    for (const std::string& name : table.returning_fields) {
      const uint64_t hash = packet::hash_name(rules.seed, name);
      rules.names[(hash >> 6) & 3] |= uint64_t{1} << (hash & 63);
      maps.names[hash] = 1;
    }
    return rules.version;
  }

  void place(const ls_place_key& key, uint32_t backend) override { maps.places[key] = backend; }
  uint64_t seed() const override { return kHashSeed; }

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
    maps.calls = 0;
    const int verdict = host_programs[static_cast<size_t>(program)](&packet);
    // The kernel would throw away what does not add up to the card's number.
    const bool lost = packet.sums == Sums::complete &&
                      sum_behind_ethernet(packet.data) % 0xffff != packet.complete % 0xffff;
    if (lost) return {};
    return {verdict, packet.data, maps.copies, tag_of(packet), maps.redirected_to, maps.calls};
  }

 protected:
  std::vector<uint64_t> counters() override { return maps.counters; }

 private:
  VerdictTable table_;
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

// No card of this rig checks what arrives.
long host_csum_level(void*, __u64) { return -EACCES; }

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

long host_redirect(__u32 interface, __u64 flags) {
  if (flags != 0) return TC_ACT_SHOT;
  maps.redirected_to = interface;
  return TC_ACT_REDIRECT;
}

long host_redirect_neigh(__u32 interface, const void* parameters, int length, __u64 flags) {
  if (parameters != nullptr || length != 0 || flags != 0) return TC_ACT_SHOT;
  maps.redirected_to = interface;
  return TC_ACT_REDIRECT;
}

namespace {
template <typename Key, typename Value>
void* look_up(std::map<Key, Value, longsplice::programs::KeyOrder>& table, const void* key) {
  const auto found = table.find(*static_cast<const Key*>(key));
  return found == table.end() ? nullptr : &found->second;
}
}  // namespace

void* host_map_lookup(void* map, const void* key) {
  if (map == host_sockets) return look_up(maps.sockets, key);
  if (map == host_paths) return look_up(maps.paths, key);
  if (map == host_names) return look_up(maps.names, key);
  if (map == host_places) return look_up(maps.places, key);
  const uint32_t index = *static_cast<const uint32_t*>(key);
  if (map == host_records) return index < maps.records.size() ? &maps.records[index] : nullptr;
  if (map == host_counters) return index < maps.counters.size() ? &maps.counters[index] : nullptr;
  if (index != 0) return nullptr;
  if (map == host_judges) return &maps.judge;
  if (map == host_rule_set) return &maps.rules;
  if (map == host_scratch) return maps.scratch.data();
  if (map == host_workers) return &maps.worker;
  return map == host_rings ? &maps.ring : nullptr;
}

long host_map_delete(void* map, const void* key) {
  if (map != host_sockets) return -EINVAL;
  return maps.sockets.erase(*static_cast<const ls_key*>(key)) == 1 ? 0 : -ENOENT;
}

__u64 host_ring_query(void* ring, __u64 flags) {
  if (ring != &maps.ring) return 0;
  return flags == BPF_RB_RING_SIZE ? longsplice::programs::kRingBytes : maps.ring;
}

long host_ring_output(void* ring, void* data, __u64 size, __u64 flags) {
  if (ring != &maps.ring || flags != BPF_RB_NO_WAKEUP) return -EINVAL;
  const uint64_t taken = longsplice::programs::kEventHeader + (size + 7) / 8 * 8;
  if (maps.ring + taken > longsplice::programs::kRingBytes) return -EAGAIN;
  maps.ring += taken;
  const auto& event = *static_cast<const ls_event*>(data);
  if (event.kind != LS_EVENT_PASSED) {
    if (size != sizeof event) return -EINVAL;
    maps.events.push_back(event);
    return 0;
  }
  const auto& passed = *static_cast<const ls_passed*>(data);
  if (size != sizeof passed + passed.text) return -EINVAL;
  maps.passed.push_back({passed, {reinterpret_cast<const char*>(&passed + 1), passed.text}});
  return 0;
}

void* host_ring_reserve(void* ring, __u64 size, __u64 flags) {
  static std::array<char, 64> room;
  if (ring != &maps.ring || flags != 0 || size > room.size()) return nullptr;
  const uint64_t taken = longsplice::programs::kEventHeader + (size + 7) / 8 * 8;
  if (maps.ring + taken > longsplice::programs::kRingBytes) return nullptr;
  maps.ring += taken;
  return room.data();
}

void host_ring_discard(void*, __u64 flags) { maps.calls += flags == BPF_RB_FORCE_WAKEUP ? 1 : 0; }

__u64 host_time_ns(void) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<__u64>(now.tv_sec) * 1'000'000'000 + static_cast<__u64>(now.tv_nsec);
}
