#include "llhttp_abi.h"

#include <array>
#include <cstring>
#include <string_view>
#include <utility>

namespace longsplice::llhttp {
namespace {

// Two header fields, so that "value complete" (called twice) can be told from "headers complete" (called once), and
// a chunked body, so that the body callback sees bytes that occur nowhere else.
constexpr std::string_view kSample =
    "POST /target HTTP/1.1\r\nfield: value\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";

struct Layout {
  int target = -1;
  int header_field = -1;
  int header_value = -1;
  int headers_complete = -1;
  int body = -1;
  int message_complete = -1;
};

struct Observed {
  std::array<int, kSettingsSlots> calls{};
  std::array<int, kSettingsSlots> first_call{};
  std::array<std::string_view, kSettingsSlots> first_text{};
  int sequence = 0;
  int last_slot = -1;
};

Observed observed;
Layout layout;

// Data callbacks take (parser, at, length), plain ones only (parser): for those the two further registers hold
// whatever they held, so `at` counts only when it points into the sample.
template <size_t Slot>
int observe(void*, const char* at, size_t length) {
  if (observed.calls[Slot]++ == 0) {
    observed.first_call[Slot] = observed.sequence;
    const char* begin = kSample.data();
    const char* end = begin + kSample.size();
    const auto address = reinterpret_cast<uintptr_t>(at);
    const bool inside =
        address >= reinterpret_cast<uintptr_t>(begin) && address < reinterpret_cast<uintptr_t>(end);
    if (inside && length <= static_cast<size_t>(end - at)) observed.first_text[Slot] = {at, length};
  }
  observed.sequence++;
  observed.last_slot = static_cast<int>(Slot);
  return 0;
}

template <size_t... Slots>
Settings observing_settings(std::index_sequence<Slots...>) {
  Settings settings;
  ((settings.slots[Slots] = reinterpret_cast<void*>(&observe<Slots>)), ...);
  return settings;
}

int slot_with_text(std::string_view text) {
  for (size_t slot = 0; slot < kSettingsSlots; slot++) {
    if (observed.calls[slot] > 0 && observed.first_text[slot] == text) return static_cast<int>(slot);
  }
  return -1;
}

// The only callback that is called once between the last header value and the body, and carries no text.
int find_headers_complete() {
  for (size_t slot = 0; slot < kSettingsSlots; slot++) {
    if (observed.calls[slot] != 1 || !observed.first_text[slot].empty()) continue;
    const int when = observed.first_call[slot];
    if (when > observed.first_call[layout.header_value] && when < observed.first_call[layout.body]) {
      return static_cast<int>(slot);
    }
  }
  return -1;
}

}  // namespace

const char* discover() {
  static const Settings settings = observing_settings(std::make_index_sequence<kSettingsSlots>{});
  alignas(16) unsigned char storage[kParserBytes * 2];
  std::memset(storage, 0xA5, sizeof storage);
  observed = {};
  llhttp_init(storage, kTypeRequest, &settings);
  if (llhttp_execute(storage, kSample.data(), kSample.size()) != kOk) return "the sample request was refused";
  for (size_t i = kParserBytes; i < sizeof storage; i++) {
    if (storage[i] != 0xA5) return "the parser state is larger than expected";
  }
  layout.target = slot_with_text("/target");
  layout.header_field = slot_with_text("field");
  layout.header_value = slot_with_text("value");
  layout.body = slot_with_text("body");
  if (layout.target < 0 || layout.header_field < 0 || layout.header_value < 0 || layout.body < 0) {
    return "a data callback was not found";
  }
  layout.headers_complete = find_headers_complete();
  layout.message_complete = observed.last_slot;
  if (layout.headers_complete < 0 || observed.calls[layout.message_complete] != 1) {
    return "a completion callback was not found";
  }
  return nullptr;
}

Settings make_settings(const Callbacks& callbacks) {
  Settings settings;
  settings.slots[layout.target] = reinterpret_cast<void*>(callbacks.on_target);
  settings.slots[layout.header_field] = reinterpret_cast<void*>(callbacks.on_header_field);
  settings.slots[layout.header_value] = reinterpret_cast<void*>(callbacks.on_header_value);
  settings.slots[layout.headers_complete] = reinterpret_cast<void*>(callbacks.on_headers_complete);
  settings.slots[layout.body] = reinterpret_cast<void*>(callbacks.on_body);
  settings.slots[layout.message_complete] = reinterpret_cast<void*>(callbacks.on_message_complete);
  return settings;
}

}  // namespace longsplice::llhttp
