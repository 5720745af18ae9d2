// What the data plane asks of the control plane. Implemented by the binding; plain types only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "message_head.h"

namespace longsplice {

struct Pool;

struct SelectRequest {
  const Pool& pool;
  const MessageHead& head;
  std::string_view method;
  std::string_view target;
  uint32_t path_length;  // of target, without the query
  std::string_view host;
  std::string_view client_address;
  uint32_t attempt;
  uint32_t token;                        // names this question when the answer comes later
  std::span<const uint32_t> candidates;  // slots, never empty
};

struct ExchangeReport {
  const Pool& pool;
  uint32_t slot;
  uint32_t status;  // 0: no response
  bool ok;
  uint64_t head_micros;
  uint64_t total_micros;
  uint64_t bytes;
  std::string_view method;
  std::string_view target;
  std::string_view host;
  // Of the pool's `needed_response_headers`.
  std::span<const std::optional<std::string>> headers;
};

enum class LogLevel : uint8_t { warn, error };

class Host {
 public:
  static constexpr int32_t kNone = -1;     // the policies left no candidate
  static constexpr int32_t kPending = -2;  // `Worker::decided` will be called with the token

  virtual ~Host() = default;

  // Asks the pool's policies for one of the candidates' slots.
  virtual int32_t select(const SelectRequest& request) = 0;
  virtual void exchange_done(const ExchangeReport& report) = 0;
  // Whole lines of the access log.
  virtual void access_log(std::string_view lines) = 0;
  virtual void log(LogLevel level, std::string_view message) = 0;
  // The last connection is gone after `Worker::drain`.
  virtual void drained() = 0;
};

}  // namespace longsplice
