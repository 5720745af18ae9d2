#pragma once

#include <cstdint>
#include <string>

#include "cidr_set.h"
#include "poller.h"

namespace longsplice {

class Worker;

// Accepts connections for one address. Bounded per turn, so that listeners and connections take turns.
class Listener final : public Pollable, public Timer {
 public:
  // `proxy_from`: peers that must begin with a PROXY header.
  Listener(Worker& worker, Fd fd, std::string name, CidrSet proxy_from);

  void on_events(uint32_t events) override;
  // Connections accepted from now on announce no larger segments; 0: any.
  void limit_segments(uint32_t mss);
  // Accepts what waits in the queue, then closes: a connection in the queue of a closed socket would be reset.
  void stop();
  bool open() const { return static_cast<bool>(fd_); }

  const std::string& name() const { return name_; }
  uint64_t accepted() const { return accepted_; }
  uint64_t active() const { return active_; }
  void connection_ended() { active_--; }
  // A connection ends because its PROXY header is missing or malformed.
  void refused_proxy_header(const std::string& peer);

 private:
  enum class Outcome : uint8_t { accepted, empty, full };
  Outcome accept_one();
  void pause();
  void complain(const std::string& what);
  // False while the last such line is too recent: anybody can cause as many as they like.
  bool may_log(uint64_t& last) const;
  void on_timeout() override;

  Worker& worker_;
  Fd fd_;
  CidrSet proxy_from_;
  std::string name_;
  uint64_t accepted_ = 0;
  uint64_t active_ = 0;
  uint64_t last_complaint_ = 0;
  uint64_t last_refusal_ = 0;
  uint64_t refused_ = 0;  // since that line
};

}  // namespace longsplice
