#include "kernel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "../libbpf_messages.h"

// The compiled programs (native/bpf/embed.cjs).
extern "C" {
extern const unsigned char longsplice_handoff_bpf[];
extern const unsigned char longsplice_handoff_bpf_end[];
}

namespace longsplice::sockmap {

namespace {

// Sockets that are enrolled at a time, and those that a place stays free for: a program may still be running for a socket
// that was closed this instant, so a place is not given away again at once.
constexpr uint32_t kPlaces = 16 * 1024;
constexpr size_t kResting = 64;
constexpr const char* kCapabilities = "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (or root)";

}  // namespace

uint64_t cookie_of(int fd) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length);
  return cookie;
}

LoadResult Kernel::load() {
  const LibbpfMessages said;
  std::shared_ptr<Kernel> kernel(new Kernel());
  const std::string error = kernel->open();
  const int number = errno;
  if (error.empty()) return {LoadResult::Status::loaded, "", std::move(kernel)};
  if ((number == EPERM || number == EACCES) && !said.from_verifier())
    return {LoadResult::Status::denied, kCapabilities, nullptr};
  if (number == ENOSYS || number == EOPNOTSUPP || number == ESRCH) {
    return {LoadResult::Status::unsupported, "Linux 6.1 with CONFIG_NET_SOCK_MSG and CONFIG_DEBUG_INFO_BTF",
            nullptr};
  }
  return {LoadResult::Status::failed, said.after(error), nullptr};
}

// Returns what went wrong, with errno, or nothing.
std::string Kernel::open() {
  bpf_object_open_opts options{};
  options.sz = sizeof options;
  options.object_name = "longsplice";
  const auto size = static_cast<size_t>(longsplice_handoff_bpf_end - longsplice_handoff_bpf);
  object_ = bpf_object__open_mem(longsplice_handoff_bpf, size, &options);
  if (object_ == nullptr) return errno_text("opening the programs");
  for (const char* name : {"sources", "sinks", "places", "handoffs"}) {
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object_, name), kPlaces);
  }
  if (bpf_object__load(object_) != 0) return errno_text("loading the programs");
  sources_ = bpf_object__find_map_fd_by_name(object_, "sources");
  sinks_ = bpf_object__find_map_fd_by_name(object_, "sinks");
  places_ = bpf_object__find_map_fd_by_name(object_, "places");
  const int handoffs = bpf_object__find_map_fd_by_name(object_, "handoffs");
  void* memory = mmap(nullptr, kPlaces * sizeof(ls_handoff), PROT_READ | PROT_WRITE, MAP_SHARED, handoffs, 0);
  if (memory == MAP_FAILED) return errno_text("mapping the handoffs");
  handoffs_ = static_cast<ls_handoff*>(memory);
  const int program = bpf_program__fd(bpf_object__find_program_by_name(object_, "hand_over"));
  if (bpf_prog_attach(program, sources_, BPF_SK_SKB_VERDICT, 0) != 0)
    return errno_text("attaching the program");
  for (uint32_t place = 0; place < kPlaces; place++) free_.push_back(place);
  return "";
}

Kernel::~Kernel() {
  if (handoffs_ != nullptr) munmap(handoffs_, kPlaces * sizeof(ls_handoff));
  bpf_object__close(object_);
}

std::shared_ptr<Enrolment> Kernel::enrol(int fd, uint64_t received, uint32_t bytes, uint64_t peer,
                                         const char*& reason) {
  const uint64_t cookie = cookie_of(fd);
  uint32_t place = 0;
  if (!take_place(place)) {
    reason = "places";
    return nullptr;
  }
  handoffs_[place] = {};
  auto enrolment = std::make_shared<Enrolment>(shared_from_this(), cookie, place, received);
  // Before the program sees anything.
  enrolment->order(received, bytes, peer);
  const auto socket = static_cast<uint64_t>(fd);
  if (bpf_map_update_elem(places_, &cookie, &place, BPF_ANY) == 0 &&
      bpf_map_update_elem(sources_, &cookie, &socket, BPF_NOEXIST) == 0) {
    return enrolment;
  }
  reason = "socket";
  return nullptr;
}

bool Kernel::add_sink(int fd, uint64_t cookie) {
  const auto socket = static_cast<uint64_t>(fd);
  return bpf_map_update_elem(sinks_, &cookie, &socket, BPF_NOEXIST) == 0;
}

bool Kernel::set_out(uint64_t bytes) {
  if (under_way_.fetch_add(bytes) + bytes <= kMostUnderWay) return true;
  under_way_ -= bytes;
  return false;
}

bool Kernel::take_place(uint32_t& place) {
  const std::lock_guard lock(mutex_);
  if (free_.size() <= kResting) return false;
  place = free_.front();
  free_.pop_front();
  return true;
}

void Kernel::free_place(uint32_t place) {
  const std::lock_guard lock(mutex_);
  free_.push_back(place);
}

// A socket that is closed leaves `sources` by itself.
Enrolment::~Enrolment() {
  bpf_map_delete_elem(kernel_->places_, &cookie_);
  kernel_->free_place(place_);
}

bool Enrolment::let_go(uint64_t received) {
  bpf_map_delete_elem(kernel_->sources_, &cookie_);
  return !owes(received);
}

void Enrolment::order(uint64_t received, uint32_t bytes, uint64_t peer) {
  std::atomic_ref(handoff().peer).store(peer);
  std::atomic_ref(handoff().order).store(LS_ORDER(position(received), bytes));
}

}  // namespace longsplice::sockmap
