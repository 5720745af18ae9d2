// What the fuzz targets share. Each target is one function for libFuzzer; it ends the process when a property fails.
//
// An input begins with two bytes that steer the target, printable in the hand-made corpus: flags, and a number from
// which all cuts follow. The rest is what comes from the network. So every input replays exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace longsplice::fuzz {

int head_target(const uint8_t* data, size_t size);
int chunked_target(const uint8_t* data, size_t size);
int proxy_target(const uint8_t* data, size_t size);
int exchange_target(const uint8_t* data, size_t size);

// Ends the run; libFuzzer then keeps the input.
[[noreturn]] inline void fail(const char* property, std::string_view detail = {}) {
  std::fprintf(stderr, "PROPERTY VIOLATED: %s\n%.*s\n", property, static_cast<int>(detail.size()),
               detail.data());
  std::abort();
}

inline void require(bool holds, const char* property, std::string_view detail = {}) {
  if (!holds) fail(property, detail);
}

// Lengths of pieces, determined by a seed (xorshift32): mostly single bytes for some seeds, long runs for others.
class Cuts {
 public:
  explicit Cuts(uint8_t seed) : state_(seed * 2654435761u + 1), longest_(1u << (seed % 9)) {}

  size_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return 1 + state_ % longest_;
  }

 private:
  uint32_t state_;
  uint32_t longest_;
};

// Bytes in an allocation of exactly their length, so that AddressSanitizer sees a read beyond them.
class Exact {
 public:
  explicit Exact(std::string_view bytes) : bytes_(new char[bytes.size()]), size_(bytes.size()) {
    bytes.copy(bytes_.get(), size_);
  }
  std::string_view view() const { return {bytes_.get(), size_}; }
  const char* data() const { return bytes_.get(); }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_;
};

// --- reference.cc: a second reading of HTTP/1, slow and strict, written from RFC 9110 and 9112 alone. ---

struct ReferenceHead {
  std::string start_line;
  std::vector<std::pair<std::string, std::string>> fields;  // values without the blanks around them
  size_t length = 0;

  // All values of a field, or how often it occurs; names compare without case.
  std::vector<std::string> all(std::string_view name) const;
};

enum class Verdict : uint8_t { valid, incomplete, invalid };

// Blanks and visible characters, also those beyond ASCII.
bool is_text(std::string_view text);

// Exactly the heads that a sender may generate, plus those that RFC 9112 lets a recipient accept without a doubt (an
// empty line before a request). Any start line will do: it is for the caller to judge.
Verdict read_reference_head(std::string_view bytes, ReferenceHead& head);

struct ReferenceBody {
  std::string content;
  std::vector<std::pair<std::string, std::string>> trailers;
  size_t length = 0;
};

Verdict read_reference_chunks(std::string_view bytes, ReferenceBody& body);

}  // namespace longsplice::fuzz
