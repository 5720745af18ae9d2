// Access log lines, formatted where the facts are and handed over in batches.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "snapshot.h"

namespace longsplice {

struct AccessRecord {
  std::string_view client;  // address without port
  uint16_t client_port;     // 0: none
  std::string_view method;
  std::string_view target;
  std::string_view host;
  std::string_view protocol;  // empty when the head was not understood
  std::string_view referer;
  std::string_view user_agent;
  std::string_view route;
  std::string_view pool;
  std::string_view backend;
  std::string_view engine;
  std::string_view forward;
  std::string_view id;
  uint64_t bytes;
  uint64_t duration_us;
  uint64_t head_us;  // to the response head; 0 when there was none
  uint16_t status;
};

class AccessLog {
 public:
  // Handing over a batch wakes the control plane's thread, which costs the same for many lines as for few.
  static constexpr size_t kBatchBytes = 256 * 1024;

  void write(AccessLogFormat format, const AccessRecord& record);
  bool empty() const { return lines_.empty(); }
  bool full() const { return lines_.size() >= kBatchBytes; }
  std::string_view lines() const { return lines_; }
  void clear() { lines_.clear(); }

 private:
  void write_json(const AccessRecord& record);
  void write_combined(const AccessRecord& record);
  void update_time();

  std::string lines_;
  int64_t second_ = -1;
  std::string common_time_;  // "22/Nov/2026:18:00:00 +0000"
  std::string iso_time_;     // with milliseconds and the zone
  int64_t millisecond_ = -1;
};

}  // namespace longsplice
