// A parsed start line and header section: positions in the bytes that were read, never copies of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace longsplice {

// The header fields that the proxy itself acts upon; everything else is `other`.
enum class HeaderId : uint8_t {
  other,
  connection,
  content_length,
  expect,
  host,
  keep_alive,
  proxy_connection,
  te,
  trailer,
  transfer_encoding,
  upgrade,
  forwarded,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_proto,
  x_forwarded_alias,  // one of the three with an underscore: no proxy writes that, but many a backend would believe it
};

HeaderId classify_header(std::string_view name);

struct HeaderField {
  uint32_t name_offset;
  uint32_t name_length;
  uint32_t value_offset;
  uint32_t value_length;
  HeaderId id;
};

// Nearly every head has room in one block for its fields, so those blocks are kept for the next head.
class FieldAllocator {
 public:
  using value_type = HeaderField;
  template <typename>
  struct rebind {
    using other = FieldAllocator;  // for fields only
  };
  static constexpr size_t kUsualFields = 16;

  HeaderField* allocate(size_t count);
  void deallocate(HeaderField* memory, size_t count);
  bool operator==(const FieldAllocator&) const = default;
};

struct Span {
  uint32_t offset = 0;
  uint32_t length = 0;
};

class MessageHead {
 public:
  // The bytes may move while a head is still being read (the buffer grows), so text is looked up against the base of
  // the moment.
  void rebase(const char* base) { base_ = base; }

  void clear();
  // Copies the target, and fields of these names, to the end of `storage`, and forgets all others. The text is looked up
  // there from now on.
  void keep_only(std::initializer_list<std::string_view> lowercase_names, std::string& storage);

  std::string_view text(Span span) const { return {base_ + span.offset, span.length}; }
  std::string_view name(const HeaderField& field) const {
    return {base_ + field.name_offset, field.name_length};
  }
  std::string_view value(const HeaderField& field) const {
    return {base_ + field.value_offset, field.value_length};
  }
  // The first field of that name (case-insensitive), or nullptr.
  const HeaderField* find(std::string_view lowercase_name) const;

  const char* base_ = nullptr;
  Span target;
  std::vector<HeaderField, FieldAllocator> fields;
  uint32_t length = 0;  // bytes from base to the first byte after the head, once complete
  uint16_t status = 0;
  uint8_t method = 0;
  uint8_t major = 0;
  uint8_t minor = 0;
};

}  // namespace longsplice
