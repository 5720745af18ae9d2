// Reads message heads and chunked bodies with the llhttp of the running node (strict mode: no lenient flag is set).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llhttp_abi.h"
#include "message_head.h"

namespace longsplice {

enum class ParseStatus : uint8_t { need_more, complete, error };

struct HeadLimits {
  uint32_t bytes;
  uint32_t fields;
};

class HttpParser {
 public:
  enum class Kind : uint8_t { request, response };

  // To be called once before any parser is used; nullptr, or why this node's llhttp cannot be used.
  static const char* initialize();

  // Begins a new message whose positions go into `head`.
  void start(Kind kind, MessageHead* head, HeadLimits limits);

  // Goes on with the bytes [from, to) of `base`, where `base` is the first byte of the message. On `complete` the
  // head's `length` is set; bytes after it are untouched. On `error` see `reason` and `limit_exceeded`.
  ParseStatus parse_head(const char* base, size_t from, size_t to);

  // Goes on after a complete head, for a chunked body. Appends the pieces of the body to `pieces` (they point into
  // `data`), and stores how many bytes were used. The trailer section's fields end up in `trailers`.
  ParseStatus parse_chunked(std::string_view data, std::vector<std::string_view>& pieces, size_t& used);

  const char* reason() const { return reason_; }
  bool target_too_long() const { return limit_ == Limit::target; }
  bool version_unknown() const;
  bool head_too_large() const { return limit_ == Limit::head; }

  // The fields of the trailer section that may be forwarded.
  const std::vector<std::pair<std::string, std::string>>& trailers() const { return trailers_; }

 private:
  enum class Limit : uint8_t { none, target, head };
  struct Hooks;

  // Chunk sizes, their extensions and trailers in one go may have as many bytes as a head.
  bool framing_fits(std::string_view data, std::vector<std::string_view>& pieces);
  void finish_trailer_value();

  // First member: llhttp hands its own address to every callback.
  alignas(16) unsigned char state_[llhttp::kParserBytes];
  MessageHead* head_ = nullptr;
  const char* base_ = nullptr;
  const char* reason_ = "";
  std::vector<std::string_view>* pieces_ = nullptr;
  std::vector<std::pair<std::string, std::string>> trailers_;
  size_t framing_bytes_ = 0;  // of a chunked body, since its last byte of content
  std::string trailer_name_;
  std::string trailer_value_;
  HeadLimits limits_{};
  Kind kind_ = Kind::request;
  Limit limit_ = Limit::none;
  bool in_body_ = false;
  bool in_trailer_value_ = false;
  bool message_complete_ = false;
};

}  // namespace longsplice
