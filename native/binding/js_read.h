// Reads plain JavaScript values. JavaScript has validated the configuration; what is checked here is that the two
// sides agree on its shape, so a mismatch is one clear TypeError and never a wrong read.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace longsplice {

class JsReader {
 public:
  explicit JsReader(Napi::Env env) : env_(env) {}

  // Empty while everything fitted; otherwise names the first member that did not.
  const std::string& error() const { return error_; }

  Napi::Object object(const Napi::Object& from, const char* key);
  Napi::Array array(const Napi::Object& from, const char* key);
  std::string text(const Napi::Object& from, const char* key);
  uint32_t number(const Napi::Object& from, const char* key);
  bool boolean(const Napi::Object& from, const char* key);
  std::vector<std::string> texts(const Napi::Object& from, const char* key);
  Napi::Object element(const Napi::Array& from, uint32_t index);
  void fail(const std::string& message);

 private:
  Napi::Env env_;
  std::string error_;
};

}  // namespace longsplice
