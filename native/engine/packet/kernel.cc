#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "../../bpf/include/abi.h"
#include "../libbpf_messages.h"

// The compiled programs (native/bpf/embed.cjs).
extern "C" {
extern const unsigned char longsplice_splice_bpf[];
extern const unsigned char longsplice_splice_bpf_end[];
}
namespace longsplice::packet {

namespace {

// Two for each link, those of ended links included while their addresses may still be answered for.
constexpr uint32_t kRecords = 128 * 1024;
// One for each link that forwards by `connection`: as many as there are descriptors for, within reason.
constexpr uint32_t kLeastJudges = 1024;
constexpr uint32_t kMostJudges = 16 * 1024;
// Of route tables, while one takes the place of another; and of targets that policies have placed.
constexpr uint32_t kPaths = 64 * 1024;
constexpr uint32_t kNames = 4096;
constexpr uint32_t kPlaces = 64 * 1024;

uint32_t links_by_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kLeastJudges;
  return static_cast<uint32_t>(std::clamp<rlim_t>(limit.rlim_cur / 2, kLeastJudges, kMostJudges));
}

template <typename T>
T* map_memory(int map, size_t count) {
  void* memory = mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<T*>(memory);
}

}  // namespace

LoadResult Kernel::load(uint32_t workers) {
  const LibbpfMessages said;
  std::unique_ptr<Kernel> kernel(new Kernel());
  const std::string error = kernel->open(workers);
  const int number = errno;
  if (error.empty()) return {LoadResult::Status::loaded, "", std::move(kernel)};
  if ((number == EPERM || number == EACCES) && !said.from_verifier())
    return {LoadResult::Status::denied, "CAP_BPF and CAP_NET_ADMIN (or root)", nullptr};
  if (number == ENOSYS || number == ENOTSUP) return {LoadResult::Status::unsupported, "5.15", nullptr};
  return {LoadResult::Status::failed, said.after(error), nullptr};
}

// Returns what went wrong, with errno, or nothing.
std::string Kernel::open(uint32_t workers) {
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "longsplice";
  const auto* begin = longsplice_splice_bpf;
  const auto size = static_cast<size_t>(longsplice_splice_bpf_end - begin);
  object_ = bpf_object__open_mem(begin, size, &options);
  if (object_ == nullptr) return errno_text("opening the programs");

  bpf_map* sockets = bpf_object__find_map_by_name(object_, "sockets");
  bpf_map* records = bpf_object__find_map_by_name(object_, "records");
  bpf_map* rings = bpf_object__find_map_by_name(object_, "rings");
  bpf_map__set_max_entries(sockets, kRecords);
  bpf_map__set_max_entries(records, kRecords);
  bpf_map__set_max_entries(rings, workers);
  judge_count_ = links_by_descriptors();
  const auto set_entries = [this](const char* name, uint32_t entries) {
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object_, name), entries);
  };
  set_entries("workers", workers);
  set_entries("judges", judge_count_);
  set_entries("paths", kPaths);
  set_entries("names", kNames);
  set_entries("places", kPlaces);

  // Two processes must not take each other's packets for their own; 0 is what packets have that nobody touched.
  uint16_t tags[2] = {};
  while (tags[0] == 0 || tags[1] == 0 || tags[0] == tags[1]) {
    if (getrandom(tags, sizeof tags, 0) < 0) return errno_text("getrandom");
  }
  bpf_map* constants = nullptr;
  bpf_object__for_each_map(constants, object_) {
    if (!std::string_view(bpf_map__name(constants)).ends_with(".rodata")) continue;
    size_t length = 0;
    const auto* initial = static_cast<const char*>(bpf_map__initial_value(constants, &length));
    std::string value(initial, length);
    memcpy(value.data(), tags, std::min(length, sizeof tags));
    bpf_map__set_initial_value(constants, value.data(), length);
  }
  if (bpf_object__load(object_) != 0) return errno_text("loading the programs");

  sockets_ = bpf_map__fd(sockets);
  counters_ = bpf_object__find_map_fd_by_name(object_, "counters");
  for (uint32_t worker = 0; worker < workers; worker++) {
    const int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, LS_RING_BYTES, nullptr);
    if (ring < 0) return errno_text("creating a ring");
    rings_.push_back(ring);
    if (bpf_map_update_elem(bpf_map__fd(rings), &worker, &ring, BPF_ANY) != 0) return errno_text("a ring");
  }
  return map_shared();
}

std::string Kernel::map_shared() {
  const auto map = [this](const char* name) { return bpf_object__find_map_fd_by_name(object_, name); };
  record_count_ = kRecords;
  records_ = map_memory<ls_record>(map("records"), record_count_);
  judges_ = map_memory<ls_judge>(map("judges"), judge_count_);
  rules_ = map_memory<ls_rules>(map("rule_set"), 1);
  states_ = map_memory<ls_worker>(map("workers"), rings_.size());
  if (records_ == nullptr || judges_ == nullptr || rules_ == nullptr || states_ == nullptr)
    return errno_text("mapping the records");
  paths_ = map("paths");
  names_ = map("names");
  places_ = map("places");
  if (getrandom(&rules_->seed, sizeof rules_->seed, 0) < 0) return errno_text("getrandom");
  return "";
}

Kernel::~Kernel() {
  if (records_ != nullptr) munmap(records_, size_t{record_count_} * sizeof(ls_record));
  if (judges_ != nullptr) munmap(judges_, size_t{judge_count_} * sizeof(ls_judge));
  if (rules_ != nullptr) munmap(rules_, sizeof(ls_rules));
  if (states_ != nullptr) munmap(states_, rings_.size() * sizeof(ls_worker));
  for (const int ring : rings_) close(ring);
  bpf_object__close(object_);
}

int Kernel::program(const char* name) const {
  return bpf_program__fd(bpf_object__find_program_by_name(object_, name));
}

std::vector<uint64_t> Kernel::counters() const {
  const auto processors = static_cast<size_t>(std::max(1, libbpf_num_possible_cpus()));
  std::vector<uint64_t> each(processors);
  std::vector<uint64_t> sums(LS_COUNTER_MAX);
  for (uint32_t counter = 0; counter < LS_COUNTER_MAX; counter++) {
    if (bpf_map_lookup_elem(counters_, &counter, each.data()) != 0) continue;
    for (const uint64_t value : each) sums[counter] += value;
  }
  return sums;
}

const char* Kernel::counter_name(uint32_t counter) {
  static constexpr const char* kNames[] = {
#define LS_COUNTER_NAME(name, text) #name,
      LS_COUNTERS(LS_COUNTER_NAME)
#undef LS_COUNTER_NAME
  };
  return kNames[counter];
}

}  // namespace longsplice::packet
