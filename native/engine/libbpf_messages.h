// What libbpf has to say while an engine loads its programs: it belongs into the error, not on stderr.
#pragma once

#include <bpf/libbpf.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace longsplice {

// Keeps what is said on this thread, for as long as it lives.
class LibbpfMessages {
 public:
  LibbpfMessages() {
    current() = &text_;
    libbpf_set_print(keep);
  }
  ~LibbpfMessages() { current() = nullptr; }
  LibbpfMessages(const LibbpfMessages&) = delete;
  LibbpfMessages& operator=(const LibbpfMessages&) = delete;

  // The verifier's refusals have the same number as missing rights; they come with a log.
  bool from_verifier() const { return text_.find("processed") != text_.npos; }

  // `error` and the end of all that was said: there the verifier says what is wrong.
  std::string after(const std::string& error) const {
    const std::string all = error + "\n" + text_;
    return all.size() <= kShown ? all : "..." + all.substr(all.size() - kShown);
  }

 private:
  static constexpr size_t kShown = 2000;

  static std::string*& current() {
    thread_local std::string* text = nullptr;
    return text;
  }

  static int keep(libbpf_print_level level, const char* format, va_list arguments) {
    if (level == LIBBPF_DEBUG || current() == nullptr) return 0;
    // The verifier's log comes as one message.
    char* message = nullptr;
    if (vasprintf(&message, format, arguments) < 0) return 0;
    *current() += message;
    free(message);
    return 0;
  }

  std::string text_;
};

inline std::string errno_text(std::string_view what) {
  const int number = errno;
  return std::string(what) + ": " + strerror(number);
}

}  // namespace longsplice
