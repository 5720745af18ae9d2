#include "idle_set.h"

#include "upstream.h"

namespace longsplice {

bool IdleSet::add(Upstream& upstream) {
  auto& list = by_slot_[upstream.slot()];
  if (list.size() >= kPerBackend) return false;
  list.push_back(&upstream);
  size_++;
  return true;
}

void IdleSet::remove(Upstream& upstream) {
  const auto found = by_slot_.find(upstream.slot());
  if (found != by_slot_.end()) size_ -= std::erase(found->second, &upstream);
}

Upstream* IdleSet::take(uint32_t slot) {
  const auto found = by_slot_.find(slot);
  if (found == by_slot_.end() || found->second.empty()) return nullptr;
  Upstream* upstream = found->second.back();
  found->second.pop_back();
  size_--;
  upstream->become_busy();
  return upstream;
}

void IdleSet::close_slot(uint32_t slot) {
  while (Upstream* upstream = take(slot)) upstream->dispose();
}

void IdleSet::close_all() {
  for (const uint32_t slot : slots()) close_slot(slot);
}

std::vector<uint32_t> IdleSet::slots() const {
  std::vector<uint32_t> list;
  for (const auto& [slot, upstreams] : by_slot_) list.push_back(slot);
  return list;
}

}  // namespace longsplice
