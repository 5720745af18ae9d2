// In place of packet_binding.cc where the toolchain for the kernel's programs is not there.
#include "packet_binding.h"

namespace longsplice {
namespace {

Napi::Value not_built(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  object["status"] = "not-built";
  object["detail"] = "built without clang and libbpf";
  return object;
}

Napi::Value no_counters(const Napi::CallbackInfo& info) { return Napi::Object::New(info.Env()); }

Napi::Value nothing_new(const Napi::CallbackInfo& info) {
  Napi::Object result = Napi::Object::New(info.Env());
  result["error"] = "";
  result["interfaces"] = Napi::Array::New(info.Env());
  return result;
}

Napi::Value no_words(const Napi::CallbackInfo& info) { return info.Env().Null(); }

Napi::Value nothing(const Napi::CallbackInfo& info) { return info.Env().Undefined(); }

}  // namespace

void export_packet_engine(Napi::Env env, Napi::Object exports) {
  exports["openPacketEngine"] = Napi::Function::New<not_built>(env, "openPacketEngine");
  exports["probePacketEngine"] = Napi::Function::New<not_built>(env, "probePacketEngine");
  exports["refreshPacketEngine"] = Napi::Function::New<nothing_new>(env, "refreshPacketEngine");
  exports["packetCounters"] = Napi::Function::New<no_counters>(env, "packetCounters");
  exports["packetLastWords"] = Napi::Function::New<no_words>(env, "packetLastWords");
  exports["closePacketEngine"] = Napi::Function::New<nothing>(env, "closePacketEngine");
}

std::unique_ptr<Splicer> packet_splicer(uint32_t) { return nullptr; }

}  // namespace longsplice
