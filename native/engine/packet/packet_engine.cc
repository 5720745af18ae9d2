#include "packet_engine.h"

#include <sys/socket.h>

#include <cstdio>
#include <ctime>
#include <utility>

#include "links.h"
#include "neighbours.h"

namespace longsplice::packet {

namespace {

constexpr uint32_t kLoopback = 1;

// Whether connections of this network namespace are being tracked. On lo a tracker sees the client's packets before
// they are spliced and the answers after it, so it takes them for two half connections, and rules drop them as invalid.
// On other interfaces the programs come before it and behind it.
bool tracks_connections() {
  FILE* file = fopen("/proc/sys/net/netfilter/nf_conntrack_count", "re");
  if (file == nullptr) return false;
  unsigned count = 0;
  const bool read = fscanf(file, "%u", &count) == 1;
  fclose(file);
  return read && count > 0;
}

// The routes as one worker knows them.
class WorkerRoutes final : public Routes {
 public:
  explicit WorkerRoutes(std::shared_ptr<PacketEngine> engine) : engine_(std::move(engine)) {}

  uint32_t interface_to(const SocketAddress& from, const SocketAddress& to) override {
    refresh();
    const uint32_t interface = netlink_.route(from, to);
    return interface != 0 && engine_->attached(interface) ? interface : 0;
  }

  uint32_t mtu_to(const SocketAddress& to) override {
    const bool v6 = to.family() == AF_INET6;
    const uint32_t interface = netlink_.route(*SocketAddress::from_ip(v6 ? "::" : "0.0.0.0", 0), to);
    if (interface == kLoopback) return 0;
    for (const Interface& each : netlink_.interfaces()) {
      if (each.index == interface) return each.mtu;
    }
    return 0;
  }

  const char* objection(uint32_t interface) override {
    return interface == kLoopback && tracked_ ? "conntrack" : nullptr;
  }

  void serve(const SocketAddress& listener) override { neighbours_.serve(listener.port()); }

  bool leads_to_engine(uint32_t interface, const SocketAddress& to) override {
    return interface == kLoopback && neighbours_.serves(to.port());
  }

 private:
  // A second is short enough to notice a change, and long enough to cost nothing.
  void refresh() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    if (now.tv_sec == refreshed_) return;
    refreshed_ = now.tv_sec;
    netlink_.changed();
    neighbours_.forget();
    tracked_ = tracks_connections();
  }

  std::shared_ptr<PacketEngine> engine_;
  Netlink netlink_;
  Neighbours neighbours_;
  time_t refreshed_ = -1;
  bool tracked_ = false;
};

}  // namespace

PacketEngine::PacketEngine(std::unique_ptr<Kernel> kernel, Selection selection)
    : kernel_(std::move(kernel)),
      selection_(std::move(selection)),
      hooks_({.loopback_egress = kernel_->program("loopback_egress"),
              .outer_ingress = kernel_->program("outer_ingress"),
              .outer_egress = kernel_->program("outer_egress")}) {}

OpenResult PacketEngine::open(const Selection& interfaces, uint32_t workers) {
  LoadResult loaded = Kernel::load(workers);
  if (loaded.status != LoadResult::Status::loaded) return {loaded.status, loaded.detail, nullptr};
  std::shared_ptr<PacketEngine> engine(new PacketEngine(std::move(loaded.kernel), interfaces));
  engine->netlink_.changed();
  const std::string error = engine->hooks_.sync(engine->netlink_.interfaces(), interfaces);
  // Chosen by itself, one interface that cannot be had is no reason to do without the others.
  if (!error.empty() && (!interfaces.automatic || engine->hooks_.names().empty()))
    return {LoadResult::Status::failed, error, nullptr};
  engine->problem_ = error;
  return {LoadResult::Status::loaded, "", std::move(engine)};
}

std::unique_ptr<Splicer> PacketEngine::splicer(uint32_t worker) {
  return std::make_unique<Links>(kernel_, std::make_unique<WorkerRoutes>(shared_from_this()), worker);
}

std::string PacketEngine::refresh() {
  const std::lock_guard lock(mutex_);
  if (!netlink_.changed() && problem_.empty()) return "";
  problem_ = hooks_.sync(netlink_.interfaces(), selection_);
  return problem_;
}

std::vector<std::string> PacketEngine::interfaces() {
  const std::lock_guard lock(mutex_);
  return hooks_.names();
}

const char* PacketEngine::hook_kind() { return hooks_.kind(); }

bool PacketEngine::attached(uint32_t interface) {
  const std::lock_guard lock(mutex_);
  return hooks_.attached(interface);
}

}  // namespace longsplice::packet
