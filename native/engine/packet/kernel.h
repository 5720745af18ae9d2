// The programs in the kernel and their maps. One for the process; gone with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../../bpf/include/abi.h"

struct bpf_object;

namespace longsplice::packet {

struct LoadResult;

class Kernel {
 public:
  static LoadResult load(uint32_t workers);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // File descriptor of a program of splice.bpf.c.
  int program(const char* name) const;
  int sockets() const { return sockets_; }
  int ring(uint32_t worker) const { return rings_[worker]; }
  uint32_t workers() const { return static_cast<uint32_t>(rings_.size()); }
  // All records, as the programs see them.
  ls_record* records() const { return records_; }
  uint32_t record_count() const { return record_count_; }
  // By enum ls_counter, summed over the processors.
  std::vector<uint64_t> counters() const;
  static const char* counter_name(uint32_t counter);

 private:
  Kernel() = default;
  std::string open(uint32_t workers);

  bpf_object* object_ = nullptr;
  int sockets_ = -1;
  int counters_ = -1;
  std::vector<int> rings_;
  ls_record* records_ = nullptr;
  uint32_t record_count_ = 0;
};

struct LoadResult {
  enum class Status : uint8_t { loaded, unsupported, denied, failed };
  Status status;
  // unsupported: the kernel version needed. denied: the capability. failed: what the kernel said, at the end of it.
  std::string detail;
  std::unique_ptr<Kernel> kernel;
};

}  // namespace longsplice::packet
