#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "../../../native/core/fd.h"
#include "../../../native/engine/packet/kernel.h"
#include "program_rig.h"

namespace longsplice::programs {

namespace {

// linux/bpf.h of Debian 12 is older than the flag.
constexpr uint32_t kTestChecksumComplete = 1u << 2;
constexpr std::array kNames = {"loopback_egress", "outer_ingress", "outer_egress"};
constexpr size_t kMostBytes = 4096;
constexpr size_t kEthernetAddress = 6;

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(std::string(what) + ": " + strerror(errno));
}

// Sets tc_index, which BPF_PROG_TEST_RUN cannot, and goes on in one of the programs: the first two words of the control
// block say which.
Fd load_tagger(int programs) {
  constexpr auto cb = static_cast<int16_t>(offsetof(__sk_buff, cb));
  constexpr auto index = static_cast<int16_t>(offsetof(__sk_buff, tc_index));
  const bpf_insn instructions[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = cb, .imm = 0},
      {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 2, .off = index, .imm = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 3, .src_reg = 1, .off = cb + 4, .imm = 0},
      {.code = BPF_LD | BPF_DW | BPF_IMM,
       .dst_reg = 2,
       .src_reg = BPF_PSEUDO_MAP_FD,
       .off = 0,
       .imm = programs},
      {},
      {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_tail_call},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 77},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  return Fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "tagger", "GPL", instructions, std::size(instructions),
                          nullptr));
}

// The two numbers that the loader chose.
std::array<uint16_t, 2> read_tags(int program) {
  std::array<uint32_t, 16> maps{};
  bpf_prog_info info{};
  info.map_ids = reinterpret_cast<uintptr_t>(maps.data());
  info.nr_map_ids = maps.size();
  uint32_t length = sizeof info;
  require(bpf_obj_get_info_by_fd(program, &info, &length) == 0, "asking for a program's maps");
  for (uint32_t i = 0; i < info.nr_map_ids && i < maps.size(); i++) {
    const Fd map(bpf_map_get_fd_by_id(maps[i]));
    bpf_map_info map_info{};
    length = sizeof map_info;
    if (bpf_obj_get_info_by_fd(map.get(), &map_info, &length) != 0) continue;
    if (strstr(map_info.name, ".rodata") == nullptr) continue;
    std::vector<uint16_t> values(map_info.value_size / 2 + 1);
    const uint32_t key = 0;
    require(bpf_map_lookup_elem(map.get(), &key, values.data()) == 0, "reading the constants");
    return {values[0], values[1]};
  }
  throw std::runtime_error("the programs have no constants");
}

// 6012 for 6.12
int kernel_version() {
  utsname name{};
  require(uname(&name) == 0, "the kernel's version");
  int major = 0, minor = 0;
  require(sscanf(name.release, "%d.%d", &major, &minor) == 2, "a kernel's version that can be read");
  return major * 1'000 + minor;
}

// Sees what passes an interface.
class Tap {
 public:
  explicit Tap(uint32_t interface)
      : interface_(interface), socket_(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(interface);
    require(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
            "a packet socket");
  }

  // The interface's own Ethernet address.
  Bytes own_address() const {
    ifreq request{};
    require(if_indextoname(interface_, request.ifr_name) != nullptr, "the name of an interface");
    require(ioctl(socket_.get(), SIOCGIFHWADDR, &request) == 0, "the address of an interface");
    const char* address = request.ifr_hwaddr.sa_data;
    return Bytes(address, address + kEthernetAddress);
  }

  // Everything that goes the way of a copy: on lo out, elsewhere in.
  std::vector<Bytes> take() const {
    std::vector<Bytes> frames;
    for (;;) {
      Bytes frame(kMostBytes);
      sockaddr_ll from{};
      socklen_t length = sizeof from;
      const ssize_t got =
          recvfrom(socket_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
      if (got < 0) return frames;
      if ((from.sll_pkttype == PACKET_OUTGOING) != (interface_ == kLoopback)) continue;
      frame.resize(static_cast<size_t>(got));
      frames.push_back(frame);
    }
  }

 private:
  uint32_t interface_;
  Fd socket_;
};

// The stack may answer a copy: that is not one.
bool same_way(const Bytes& a, const Bytes& b) {
  const size_t begin = a[12] == 0x86 ? 22 : 26, length = a[12] == 0x86 ? 32 : 8;
  if (a.size() < begin + length || b.size() < begin + length) return false;
  return std::equal(a.begin() + 12, a.begin() + 14, b.begin() + 12) &&
         std::equal(a.begin() + static_cast<long>(begin), a.begin() + static_cast<long>(begin + length),
                    b.begin() + static_cast<long>(begin));
}

// A frame that is addressed to nobody is meant for this host.
bool is_ours(const Bytes& frame) {
  return std::count(frame.begin(), frame.begin() + kEthernetAddress, 0) == kEthernetAddress;
}

class KernelRig final : public Rig {
 public:
  explicit KernelRig(const std::string& outer)
      : outer_(if_nametoindex(outer.c_str())), outer_tap_(outer_), loopback_tap_(kLoopback) {
    packet::LoadResult loaded = packet::Kernel::load(1);
    if (loaded.kernel == nullptr) throw std::runtime_error("the programs do not load: " + loaded.detail);
    kernel_ = std::move(loaded.kernel);
    tags_ = read_tags(kernel_->program(kNames[0]));
    array_ = Fd(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "programs", 4, 4, kNames.size(), nullptr));
    for (uint32_t i = 0; i < kNames.size(); i++) {
      const int program = kernel_->program(kNames[i]);
      require(bpf_map_update_elem(array_.get(), &i, &program, BPF_ANY) == 0, "a program to go on in");
    }
    tagger_ = load_tagger(array_.get());
    require(static_cast<bool>(tagger_), "the program that sets tc_index");
    const auto keep = [](void* self, void* data, size_t) {
      static_cast<KernelRig*>(self)->keep(data);
      return 0;
    };
    ring_.reset(ring_buffer__new(kernel_->ring(0), keep, this, nullptr));
    require(ring_ != nullptr, "the ring");
    Run tried;
    takes_complete_ = attempt(Program::outer_ingress, frame_of({}), Sums::complete, Tag::none, tried);
    require(takes_complete_ || kernel_version() < 6'012, "complete checksums");
  }

  ls_record& record(uint32_t index) override { return kernel_->records()[index]; }
  uint32_t outer() const override { return outer_; }
  bool takes(Sums sums) const override {
    return sums == Sums::none || (sums == Sums::complete && takes_complete_);
  }
  // It makes sockets for its packets, for which it reads the addresses.
  bool takes(const Bytes& frame) const override {
    return frame.size() >= kEthernet + (frame[12] == 0x86 ? 40 : 20);
  }

  // The kernel forgets the card's number when a packet is cut; BPF_PROG_TEST_RUN expects it nevertheless.
  bool takes_cut(Sums sums) const override { return sums == Sums::none; }

  void publish(const ls_key& key, uint32_t index) override {
    require(bpf_map_update_elem(kernel_->sockets(), &key, &index, BPF_ANY) == 0, "publishing a record");
    keys_.push_back(key);
  }

  bool published(const ls_key& key) override {
    uint32_t index = 0;
    return bpf_map_lookup_elem(kernel_->sockets(), &key, &index) == 0;
  }

  void clear() override {
    for (const ls_key& key : keys_) bpf_map_delete_elem(kernel_->sockets(), &key);
    keys_.clear();
    events();
    passed();
    counted();
  }

  std::vector<ls_event> events() override {
    ring_buffer__consume(ring_.get());
    std::vector<ls_event> events;
    events.swap(events_);
    return events;
  }

  std::vector<Passed> passed() override {
    ring_buffer__consume(ring_.get());
    return std::exchange(passed_, {});
  }

  ls_judge& judge() override { return kernel_->judges()[0]; }
  ls_worker& worker() override { return kernel_->state_of(0); }
  uint32_t publish(const VerdictTable& table) override { return kernel_->publish(table); }
  void place(const ls_place_key& key, uint32_t backend) override { kernel_->place(key, backend); }
  uint64_t seed() const override { return kernel_->seed(); }

  Run run(Program program, const Bytes& frame, Sums sums, Tag tag) override {
    const Tap& tap = program == Program::loopback_egress ? loopback_tap_ : outer_tap_;
    tap.take();
    Run run;
    if (!attempt(program, frame, sums, tag, run)) {
      // The kernel found that a complete checksum does not fit any more.
      if (errno == EBADMSG) return {};
      require(false, "BPF_PROG_TEST_RUN");
    }
    for (Bytes& seen : tap.take()) {
      if (!same_way(seen, frame)) continue;
      if (is_ours(frame)) std::fill_n(seen.begin(), kEthernetAddress, uint8_t{0});
      run.copies.push_back({seen, std::nullopt});
    }
    return run;
  }

 protected:
  std::vector<uint64_t> counters() override { return kernel_->counters(); }

 private:
  struct FreeRing {
    void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
  };

  void keep(const void* data) {
    const auto& event = *static_cast<const ls_event*>(data);
    if (event.kind != LS_EVENT_PASSED) return events_.push_back(event);
    const auto& passed = *static_cast<const ls_passed*>(data);
    passed_.push_back({passed, {reinterpret_cast<const char*>(&passed + 1), passed.text}});
  }

  bool attempt(Program program, const Bytes& frame, Sums sums, Tag tag, Run& run) {
    __sk_buff context{};
    context.ifindex = program == Program::loopback_egress ? kLoopback : outer_;
    int fd = kernel_->program(kNames[static_cast<size_t>(program)]);
    if (tag != Tag::none) {
      context.cb[0] = tags_[tag == Tag::translated ? 0 : 1];
      context.cb[1] = static_cast<uint32_t>(program);
      fd = tagger_.get();
    }
    Bytes input = frame;
    if (is_ours(frame) && program != Program::loopback_egress) {
      std::copy(outer_address_.begin(), outer_address_.end(), input.begin());
    }
    run.packet.resize(kMostBytes);
    bpf_test_run_opts options{};
    options.sz = sizeof options;
    options.data_in = input.data();
    options.data_size_in = static_cast<uint32_t>(input.size());
    options.data_out = run.packet.data();
    options.data_size_out = static_cast<uint32_t>(run.packet.size());
    options.ctx_in = &context;
    options.ctx_size_in = sizeof context;
    options.flags = sums == Sums::complete ? kTestChecksumComplete : 0;
    if (bpf_prog_test_run_opts(fd, &options) != 0) return false;
    run.packet.resize(options.data_size_out);
    if (is_ours(frame)) std::fill_n(run.packet.begin(), kEthernetAddress, uint8_t{0});
    run.verdict = static_cast<int>(options.retval);
    return true;
  }

  uint32_t outer_;
  Tap outer_tap_;
  Tap loopback_tap_;
  Bytes outer_address_ = outer_tap_.own_address();
  std::unique_ptr<packet::Kernel> kernel_;
  std::array<uint16_t, 2> tags_{};
  Fd array_;
  Fd tagger_;
  std::vector<ls_event> events_;
  std::vector<Passed> passed_;
  std::unique_ptr<ring_buffer, FreeRing> ring_;
  std::vector<ls_key> keys_;
  bool takes_complete_ = false;
};

}  // namespace

std::unique_ptr<Rig> make_kernel_rig(const std::string& outer) { return std::make_unique<KernelRig>(outer); }

}  // namespace longsplice::programs
