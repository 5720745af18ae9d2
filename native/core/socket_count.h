// The sockets and pipes of all workers of the process, held against the descriptors that there are for them.
#pragma once

#include <atomic>
#include <cstdint>

namespace longsplice {

class SocketCount {
 public:
  static SocketCount& of_process() {
    static SocketCount count;
    return count;
  }

  void set_descriptors(uint32_t descriptors) { descriptors_ = descriptors; }

  void client_came() {
    clients_++;
    newcomers_++;
  }
  // Its first exchange is over: if it needed a backend's connection, that is counted by itself now.
  void client_served() { newcomers_--; }
  void client_left(bool served) {
    clients_--;
    if (!served) newcomers_--;
  }
  void backend_connected() { backends_++; }
  void backend_left() { backends_--; }

  // False when there may be no more. They are few: a pipe is needed only while a body waits in it.
  bool pipe_opened() {
    const uint64_t pipes = ++pipes_;
    if (pipes <= kMostPipes && 2 * pipes * kReserve <= descriptors_.load()) return true;
    pipes_--;
    return false;
  }
  void pipe_closed() { pipes_--; }

  uint32_t clients() const { return clients_; }

  // A client needs a second descriptor when it sends a request. So half of them are for clients whatever those do;
  // of the other half clients get what no backend's connection, no newcomer and no reserve for sleepers that wake up
  // needs.
  bool admits_client() const {
    const uint64_t clients = clients_.load() + uint64_t{1};
    const uint64_t descriptors = descriptors_.load() - 2 * uint64_t{pipes_.load()};
    if (2 * clients <= descriptors) return true;
    return clients + newcomers_.load() + backends_.load() + descriptors / kReserve <= descriptors;
  }

 private:
  static constexpr uint64_t kReserve = 8;
  static constexpr uint64_t kMostPipes = 64;

  std::atomic<uint32_t> descriptors_{UINT32_MAX};
  std::atomic<uint32_t> clients_{0};
  std::atomic<uint32_t> newcomers_{0};
  std::atomic<uint32_t> backends_{0};
  std::atomic<uint32_t> pipes_{0};
};

}  // namespace longsplice
