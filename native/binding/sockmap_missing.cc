// In place of sockmap_binding.cc where the toolchain for the kernel's programs is not there.
#include "sockmap_binding.h"

namespace longsplice {
namespace {

Napi::Value not_built(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  object["status"] = "not-built";
  object["detail"] = "built without clang and libbpf";
  return object;
}

Napi::Value nothing(const Napi::CallbackInfo& info) { return info.Env().Undefined(); }

}  // namespace

void export_sockmap_engine(Napi::Env env, Napi::Object exports) {
  exports["openSockmapEngine"] = Napi::Function::New<not_built>(env, "openSockmapEngine");
  exports["probeSockmapEngine"] = Napi::Function::New<not_built>(env, "probeSockmapEngine");
  exports["closeSockmapEngine"] = Napi::Function::New<nothing>(env, "closeSockmapEngine");
}

std::unique_ptr<Engine> sockmap_engine(uint64_t, uint64_t, std::unique_ptr<Engine> lesser) { return lesser; }

}  // namespace longsplice
