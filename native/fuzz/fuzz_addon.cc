// libFuzzer inside node: llhttp exists only there. `run(target, arguments)` hands over to the fuzzer, which ends the
// process when it is done.
#include <napi.h>
#include <sanitizer/allocator_interface.h>

#include <map>
#include <string>
#include <vector>

#include "../core/http_parser.h"
#include "fuzz.h"

using Target = int (*)(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerRunDriver(int* argc, char*** argv, Target target);

namespace longsplice::fuzz {
namespace {

const std::map<std::string, Target> kTargets{
    {"head", head_target},
    {"chunked", chunked_target},
    {"proxy", proxy_target},
    {"exchange", exchange_target},
};

Target chosen = nullptr;

// V8's heap makes LeakSanitizer blind here. Instead: an input that needs more memory each time it is run again leaks.
// Caches and buffers that grow once, and node's own threads, do not do that every time.
int run_once_and_look_for_leaks(const uint8_t* data, size_t size) {
  constexpr int kRepetitions = 12;
  for (int i = 0; i < kRepetitions; i++) {
    const size_t before = __sanitizer_get_current_allocated_bytes();
    chosen(data, size);
    if (__sanitizer_get_current_allocated_bytes() <= before) return 0;
  }
  fail("memory does not grow with every repetition of the same input");
}

Napi::Value run(const Napi::CallbackInfo& info) {
  const auto target = kTargets.find(info[0].ToString().Utf8Value());
  if (target == kTargets.end()) {
    Napi::TypeError::New(info.Env(), "unknown target").ThrowAsJavaScriptException();
    return {};
  }
  const auto list = info[1].As<Napi::Array>();
  std::vector<std::string> texts{"fuzz"};
  for (uint32_t i = 0; i < list.Length(); i++) texts.push_back(list.Get(i).ToString());
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  int count = static_cast<int>(texts.size());
  char** arguments = pointers.data();
  chosen = target->second;
  return Napi::Number::New(info.Env(), LLVMFuzzerRunDriver(&count, &arguments, run_once_and_look_for_leaks));
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  if (const char* problem = HttpParser::initialize()) fail(problem);
  Napi::Array names = Napi::Array::New(env);
  for (const auto& [name, target] : kTargets) names[names.Length()] = name;
  exports["targets"] = names;
  exports["run"] = Napi::Function::New<run>(env, "run");
  return exports;
}

}  // namespace
}  // namespace longsplice::fuzz

static Napi::Object init_fuzz(Napi::Env env, Napi::Object exports) {
  return longsplice::fuzz::initialize(env, exports);
}

NODE_API_MODULE(fuzz, init_fuzz)
