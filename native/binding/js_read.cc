#include "js_read.h"

namespace longsplice {

void JsReader::fail(const std::string& message) {
  if (error_.empty()) error_ = message;
}

Napi::Object JsReader::object(const Napi::Object& from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (value.IsObject()) return value.As<Napi::Object>();
  fail(std::string(key) + ": object expected");
  return Napi::Object::New(env_);
}

Napi::Array JsReader::array(const Napi::Object& from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (value.IsArray()) return value.As<Napi::Array>();
  fail(std::string(key) + ": array expected");
  return Napi::Array::New(env_);
}

std::string JsReader::text(const Napi::Object& from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  fail(std::string(key) + ": string expected");
  return {};
}

uint32_t JsReader::number(const Napi::Object& from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (number >= 0 && number <= UINT32_MAX) return static_cast<uint32_t>(number);
  }
  fail(std::string(key) + ": unsigned 32-bit number expected");
  return 0;
}

bool JsReader::boolean(const Napi::Object& from, const char* key) {
  const Napi::Value value = from.Get(key);
  if (value.IsBoolean()) return value.As<Napi::Boolean>().Value();
  fail(std::string(key) + ": boolean expected");
  return false;
}

std::vector<std::string> JsReader::texts(const Napi::Object& from, const char* key) {
  const Napi::Array list = array(from, key);
  std::vector<std::string> out;
  for (uint32_t i = 0; i < list.Length(); i++) {
    const Napi::Value value = list.Get(i);
    if (value.IsString()) {
      out.push_back(value.As<Napi::String>().Utf8Value());
    } else {
      fail(std::string(key) + ": strings expected");
    }
  }
  return out;
}

Napi::Object JsReader::element(const Napi::Array& from, uint32_t index) {
  const Napi::Value value = from.Get(index);
  if (value.IsObject()) return value.As<Napi::Object>();
  fail("object expected in a list");
  return Napi::Object::New(env_);
}

}  // namespace longsplice
