#include "message_head.h"

#include <memory>
#include <utility>

#include "free_list.h"
#include "text.h"

namespace longsplice {

namespace {

HeaderId with_alias(std::string_view name, std::string_view known, HeaderId id) {
  if (!same_for_cgi(name, known)) return HeaderId::other;
  return iequals(name, known) ? id : HeaderId::x_forwarded_alias;
}

}  // namespace

HeaderId classify_header(std::string_view name) {
  switch (name.size()) {
    case 2:
      return iequals(name, "te") ? HeaderId::te : HeaderId::other;
    case 4:
      return iequals(name, "host") ? HeaderId::host : HeaderId::other;
    case 6:
      return iequals(name, "expect") ? HeaderId::expect : HeaderId::other;
    case 7:
      if (iequals(name, "upgrade")) return HeaderId::upgrade;
      return iequals(name, "trailer") ? HeaderId::trailer : HeaderId::other;
    case 9:
      return iequals(name, "forwarded") ? HeaderId::forwarded : HeaderId::other;
    case 10:
      if (iequals(name, "connection")) return HeaderId::connection;
      return iequals(name, "keep-alive") ? HeaderId::keep_alive : HeaderId::other;
    case 14:
      return iequals(name, "content-length") ? HeaderId::content_length : HeaderId::other;
    case 15:
      return with_alias(name, "x-forwarded-for", HeaderId::x_forwarded_for);
    case 16:
      if (iequals(name, "proxy-connection")) return HeaderId::proxy_connection;
      return with_alias(name, "x-forwarded-host", HeaderId::x_forwarded_host);
    case 17:
      if (iequals(name, "transfer-encoding")) return HeaderId::transfer_encoding;
      return with_alias(name, "x-forwarded-proto", HeaderId::x_forwarded_proto);
    default:
      return HeaderId::other;
  }
}

namespace {

FreeList& field_blocks() {
  constexpr size_t kKeptBlocks = 512;  // two for each exchange
  thread_local FreeList blocks(FieldAllocator::kUsualFields * sizeof(HeaderField), kKeptBlocks);
  return blocks;
}

}  // namespace

HeaderField* FieldAllocator::allocate(size_t count) {
  if (count == kUsualFields) return static_cast<HeaderField*>(field_blocks().take());
  return std::allocator<HeaderField>().allocate(count);
}

void FieldAllocator::deallocate(HeaderField* memory, size_t count) {
  if (count == kUsualFields) return field_blocks().give(memory);
  std::allocator<HeaderField>().deallocate(memory, count);
}

void MessageHead::clear() {
  fields.reserve(FieldAllocator::kUsualFields);
  base_ = nullptr;
  target = {};
  fields.clear();
  length = 0;
  status = 0;
  method = major = minor = 0;
}

void MessageHead::keep_only(std::initializer_list<std::string_view> lowercase_names, std::string& storage) {
  const auto keep = [&](std::string_view bytes) {
    const auto offset = static_cast<uint32_t>(storage.size());
    storage.append(bytes);
    return offset;
  };
  std::vector<HeaderField, FieldAllocator> kept;
  for (const std::string_view wanted : lowercase_names) {
    const HeaderField* found = find(wanted);
    if (found == nullptr) continue;
    HeaderField field = *found;
    field.name_offset = keep(name(*found));
    field.value_offset = keep(value(*found));
    kept.push_back(field);
  }
  target.offset = keep(text(target));
  fields = std::move(kept);
  rebase(storage.data());
}

const HeaderField* MessageHead::find(std::string_view lowercase_name) const {
  for (const HeaderField& field : fields) {
    if (iequals(name(field), lowercase_name)) return &field;
  }
  return nullptr;
}

}  // namespace longsplice
