// The HTTP parser that the running node binary exports (design, section 4; docs/adr/0005).
//
// Node does not ship llhttp's header, and the order of the members of `llhttp_settings_t` changed between the
// versions that Node 20, 22 and 24 carry. So nothing here assumes a layout: the parser is opaque storage, and the
// positions of the callbacks that we need are found by parsing a known message once, when the addon is loaded.
#pragma once

#include <cstddef>
#include <cstdint>

namespace longsplice::llhttp {

extern "C" {
void llhttp_init(void* parser, int type, const void* settings);
int llhttp_execute(void* parser, const char* data, size_t length);
void llhttp_resume(void* parser);
const char* llhttp_get_error_reason(const void* parser);
const char* llhttp_get_error_pos(const void* parser);
uint8_t llhttp_get_http_major(void* parser);
uint8_t llhttp_get_http_minor(void* parser);
uint8_t llhttp_get_method(void* parser);
int llhttp_get_status_code(void* parser);
const char* llhttp_method_name(int method);
}

inline constexpr int kOk = 0;
inline constexpr int kUser = 24;
inline constexpr int kPaused = 21;
inline constexpr int kTypeRequest = 1;
inline constexpr int kTypeResponse = 2;

// llhttp 9.3 uses 104 bytes; `discover` fails the load if a version writes beyond this.
inline constexpr size_t kParserBytes = 192;
inline constexpr size_t kSettingsSlots = 40;

struct Callbacks {
  int (*on_target)(void* parser, const char* at, size_t length);
  int (*on_header_field)(void* parser, const char* at, size_t length);
  int (*on_header_value)(void* parser, const char* at, size_t length);
  int (*on_headers_complete)(void* parser);
  int (*on_body)(void* parser, const char* at, size_t length);
  int (*on_message_complete)(void* parser);
};

// A settings block of the layout that this process's llhttp reads.
struct Settings {
  void* slots[kSettingsSlots] = {};
};

// Finds the layout. Returns nullptr, or a static text that says what was not found.
const char* discover();

// Valid only after `discover` returned nullptr.
Settings make_settings(const Callbacks& callbacks);

}  // namespace longsplice::llhttp
