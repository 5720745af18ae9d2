// The packet engine of the process: programs, hooks, and a set of links for each worker.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../splicer.h"
#include "hooks.h"
#include "kernel.h"
#include "netlink.h"

namespace longsplice::packet {

struct OpenResult;

class PacketEngine : public std::enable_shared_from_this<PacketEngine> {
 public:
  // Loads the programs and attaches them. `workers`: how many splicers will be asked for.
  static OpenResult open(const Selection& interfaces, uint32_t workers);

  // For one worker thread; keeps the engine alive.
  std::unique_ptr<Splicer> splicer(uint32_t worker);
  // Attaches to interfaces that came since the last call; once a second. Returns what went wrong, or nothing.
  std::string refresh();

  std::vector<std::string> interfaces();
  const char* hook_kind();
  bool attached(uint32_t interface);
  const std::shared_ptr<Kernel>& kernel() const { return kernel_; }

 private:
  PacketEngine(std::unique_ptr<Kernel> kernel, Selection selection);

  std::shared_ptr<Kernel> kernel_;
  Selection selection_;
  std::mutex mutex_;  // workers ask about interfaces while the main thread attaches to new ones
  Netlink netlink_;
  Hooks hooks_;
  std::string problem_;  // of the last attempt to attach
};

struct OpenResult {
  LoadResult::Status status;
  std::string detail;
  std::shared_ptr<PacketEngine> engine;
};

}  // namespace longsplice::packet
