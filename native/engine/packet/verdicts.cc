// The table by which the programs judge requests.
#include <bpf/bpf.h>

#include <cstring>

#include "../splicer.h"
#include "kernel.h"
#include "numbers.h"
#include "verdict_hash.h"

namespace longsplice::packet {

namespace {

static_assert(static_cast<uint32_t>(VerdictTable::Detail::target) == LS_DETAIL_TARGET);
static_assert(static_cast<uint32_t>(VerdictTable::Detail::head) == LS_DETAIL_HEAD);
static_assert(VerdictTable::kReturns == LS_RETURNS);
static_assert(VerdictTable::kLongestPath == LS_PATH_BYTES);
static_assert(Splicer::kLongestHost < LS_HOST_BYTES);

ls_path_key path_key(uint32_t table, uint32_t host_class, const std::string& text) {
  ls_path_key key{table, host_class, {}};
  text.copy(key.text, sizeof key.text);
  return key;
}

}  // namespace

// The paths of the last table stay until the next but one, for programs that are reading them.
void Kernel::write_paths(const VerdictTable& table, uint32_t number) {
  ls_path_key key{}, next{};
  for (int found = bpf_map_get_next_key(paths_, nullptr, &next); found == 0;
       found = bpf_map_get_next_key(paths_, &key, &next)) {
    key = next;
    if (key.table + 1 != number) bpf_map_delete_elem(paths_, &key);
  }
  for (const VerdictTable::Path& path : table.paths) {
    ls_path value{};
    for (size_t method = 0; method < 2; method++) {
      value.route[method] = path.to[method].route;
      value.pool[method] = path.to[method].pool;
      value.placed |= path.to[method].placed ? 1u << method : 0;
    }
    key = path_key(number, path.host_class, path.text);
    // Without the path of one that is missing, requests are judged by a shorter one: none at all is better.
    if (bpf_map_update_elem(paths_, &key, &value, BPF_ANY) != 0) rules_->head_bytes = 0;
  }
}

uint32_t Kernel::publish(const VerdictTable& table) {
  const std::lock_guard lock(publishing_);
  if (version_ != 0 && table == table_) return version_;
  store(rules_->version, 0);
  table_ = table;
  rules_->table = ++version_;
  rules_->head_bytes = std::min<uint32_t>(table.head_bytes, LS_HEAD_MAX);
  rules_->fields = table.fields;
  rules_->detail = static_cast<uint32_t>(table.detail);
  memset(rules_->names, 0, sizeof rules_->names);
  for (const std::string& name : table.returning_fields) {
    const uint64_t hash = hash_name(rules_->seed, name);
    const uint32_t yes = 1;
    rules_->names[(hash >> 6) & 3] |= uint64_t{1} << (hash & 63);
    if (bpf_map_update_elem(names_, &hash, &yes, BPF_ANY) != 0) rules_->head_bytes = 0;
  }
  write_paths(table, version_);
  store(rules_->version, version_);
  return version_;
}

void Kernel::place(const ls_place_key& key, uint32_t backend) {
  bpf_map_update_elem(places_, &key, &backend, BPF_ANY);
}

}  // namespace longsplice::packet
