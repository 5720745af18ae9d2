// The programs in the kernel and their maps. One for the process; gone with it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../../bpf/include/abi.h"
#include "../verdict_table.h"

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
  // Whether a worker wants to be called.
  ls_worker& state_of(uint32_t worker) const { return states_[worker]; }
  uint32_t workers() const { return static_cast<uint32_t>(rings_.size()); }
  // All records, as the programs see them.
  ls_record* records() const { return records_; }
  uint32_t record_count() const { return record_count_; }
  // The verdicts of links, of which each worker has a share.
  ls_judge* judges() const { return judges_; }
  uint32_t judge_count() const { return judge_count_; }
  // Makes the programs judge by this table from here on. Returns its version; the same for the same table. Links that
  // were made under another one return at their next request.
  uint32_t publish(const VerdictTable& table);
  uint64_t seed() const { return rules_->seed; }
  // Notes where the policy of a route sends a target.
  void place(const ls_place_key& key, uint32_t backend);
  // By enum ls_counter, summed over the processors.
  std::vector<uint64_t> counters() const;
  static const char* counter_name(uint32_t counter);

 private:
  Kernel() = default;
  std::string open(uint32_t workers);
  std::string map_shared();
  void write_paths(const VerdictTable& table, uint32_t number);

  bpf_object* object_ = nullptr;
  int sockets_ = -1;
  int counters_ = -1;
  std::vector<int> rings_;
  ls_record* records_ = nullptr;
  uint32_t record_count_ = 0;
  ls_judge* judges_ = nullptr;
  uint32_t judge_count_ = 0;
  ls_rules* rules_ = nullptr;
  ls_worker* states_ = nullptr;
  int paths_ = -1;
  int names_ = -1;
  int places_ = -1;
  std::mutex publishing_;
  VerdictTable table_;
  uint32_t version_ = 0;
};

struct LoadResult {
  enum class Status : uint8_t { loaded, unsupported, denied, failed };
  Status status;
  // unsupported: the kernel version needed. denied: the capability. failed: what the kernel said, at the end of it.
  std::string detail;
  std::unique_ptr<Kernel> kernel;
};

}  // namespace longsplice::packet
