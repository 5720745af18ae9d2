#include "packet_binding.h"

#include <mutex>

#include "../engine/packet/last_words.h"
#include "../engine/packet/packet_engine.h"
#include "js_read.h"

namespace longsplice {
namespace {

using packet::LoadResult;
using packet::PacketEngine;

// One for the process; opened by the main thread, used by the workers'.
std::mutex engine_mutex;
std::shared_ptr<PacketEngine> engine;

std::shared_ptr<PacketEngine> current() {
  const std::lock_guard lock(engine_mutex);
  return engine;
}

Napi::Array texts(Napi::Env env, const std::vector<std::string>& from) {
  Napi::Array array = Napi::Array::New(env);
  for (uint32_t i = 0; i < from.size(); i++) array[i] = from[i];
  return array;
}

packet::Selection read_selection(const Napi::Object& options) {
  JsReader reader(options.Env());
  if (!options.Get("interfaces").IsArray()) return {true, {}};
  return {false, reader.texts(options, "interfaces")};
}

Napi::Object describe(Napi::Env env, const packet::OpenResult& result) {
  Napi::Object object = Napi::Object::New(env);
  switch (result.status) {
    case LoadResult::Status::loaded:
      object["status"] = "loaded";
      object["hooks"] = result.engine->hook_kind();
      object["interfaces"] = texts(env, result.engine->interfaces());
      break;
    case LoadResult::Status::unsupported:
      object["status"] = "unsupported";
      object["kernel"] = result.detail;
      object["detail"] = "the kernel is older than " + result.detail;
      break;
    case LoadResult::Status::denied:
      object["status"] = "denied";
      object["capability"] = result.detail;
      object["detail"] = "not permitted";
      break;
    case LoadResult::Status::failed:
      object["status"] = "failed";
      object["detail"] = result.detail;
      break;
  }
  return object;
}

// openPacketEngine({ interfaces: "auto" | string[], workers }) -> what came of it.
Napi::Value open_engine(const Napi::CallbackInfo& info) {
  const auto options = info[0].As<Napi::Object>();
  JsReader reader(info.Env());
  const uint32_t workers = reader.number(options, "workers");
  packet::OpenResult result = PacketEngine::open(read_selection(options), workers);
  const std::lock_guard lock(engine_mutex);
  engine = result.engine;
  return describe(info.Env(), result);
}

// probePacketEngine() -> as openPacketEngine, but nothing is attached, and nothing stays.
Napi::Value probe_engine(const Napi::CallbackInfo& info) {
  return describe(info.Env(), PacketEngine::open({false, {}}, 1));
}

// refreshPacketEngine() -> { interfaces, error }; looks for interfaces that came or went.
Napi::Value refresh_engine(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Object result = Napi::Object::New(env);
  const auto open = current();
  result["error"] = open ? open->refresh() : "";
  result["interfaces"] = texts(env, open ? open->interfaces() : std::vector<std::string>());
  return result;
}

// packetCounters() -> { name: count }, of the programs in the kernel.
Napi::Value read_counters(const Napi::CallbackInfo& info) {
  Napi::Object result = Napi::Object::New(info.Env());
  const auto open = current();
  if (!open) return result;
  const std::vector<uint64_t> counters = open->kernel()->counters();
  for (uint32_t i = 0; i < counters.size(); i++) {
    result[packet::Kernel::counter_name(i)] = static_cast<double>(counters[i]);
  }
  return result;
}

// packetLastWords() -> { unacknowledged, unanswered } sockets, or null if the kernel does not say.
Napi::Value read_last_words(const Napi::CallbackInfo& info) {
  const auto open = current();
  const auto words = open ? packet::last_words(open->kernel()->sockets()) : std::nullopt;
  if (!words) return info.Env().Null();
  Napi::Object result = Napi::Object::New(info.Env());
  result["unacknowledged"] = words->unacknowledged;
  result["unanswered"] = words->unanswered;
  return result;
}

// closePacketEngine(): detaches; what the workers still hold of it goes with them.
Napi::Value close_engine(const Napi::CallbackInfo& info) {
  const std::lock_guard lock(engine_mutex);
  engine.reset();
  return info.Env().Undefined();
}

}  // namespace

void export_packet_engine(Napi::Env env, Napi::Object exports) {
  exports["openPacketEngine"] = Napi::Function::New<open_engine>(env, "openPacketEngine");
  exports["probePacketEngine"] = Napi::Function::New<probe_engine>(env, "probePacketEngine");
  exports["refreshPacketEngine"] = Napi::Function::New<refresh_engine>(env, "refreshPacketEngine");
  exports["packetCounters"] = Napi::Function::New<read_counters>(env, "packetCounters");
  exports["packetLastWords"] = Napi::Function::New<read_last_words>(env, "packetLastWords");
  exports["closePacketEngine"] = Napi::Function::New<close_engine>(env, "closePacketEngine");
}

std::unique_ptr<Splicer> packet_splicer(uint32_t worker) {
  const auto open = current();
  return open ? open->splicer(worker) : nullptr;
}

}  // namespace longsplice
