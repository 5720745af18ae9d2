#include "sockmap_binding.h"

#include <mutex>
#include <string>
#include <utility>

#include "../engine/copy/copy_engine.h"
#include "../engine/sockmap/self_test.h"
#include "../engine/sockmap/sockmap_engine.h"

namespace longsplice {
namespace {

using sockmap::Kernel;
using sockmap::LoadResult;

// One for the process; opened by the main thread, used by the workers'.
std::mutex kernel_mutex;
std::shared_ptr<Kernel> kernel;

std::shared_ptr<Kernel> replace_kernel(std::shared_ptr<Kernel> with) {
  const std::lock_guard lock(kernel_mutex);
  return std::exchange(kernel, std::move(with));
}

// Loads the program and has it prove itself; says in `object` what came of it.
std::shared_ptr<Kernel> prove(Napi::Object object) {
  LoadResult result = Kernel::load();
  switch (result.status) {
    case LoadResult::Status::loaded: {
      const std::string problem = sockmap::self_test(result.kernel, std::make_unique<CopyEngine>());
      object["status"] = problem.empty() ? "usable" : "unreliable";
      if (!problem.empty()) object["detail"] = problem;
      return problem.empty() ? std::move(result.kernel) : nullptr;
    }
    case LoadResult::Status::unsupported:
      object["status"] = "unsupported";
      object["detail"] = "the kernel has no program for sockets in a map";
      object["needs"] = result.detail;
      break;
    case LoadResult::Status::denied:
      object["status"] = "denied";
      object["detail"] = "not permitted";
      object["needs"] = result.detail;
      break;
    case LoadResult::Status::failed:
      object["status"] = "failed";
      object["detail"] = result.detail;
      break;
  }
  return nullptr;
}

// openSockmapEngine() -> what came of it.
Napi::Value open_engine(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  replace_kernel(prove(object));
  return object;
}

// probeSockmapEngine() -> as openSockmapEngine, but nothing stays.
Napi::Value probe_engine(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  prove(object);
  return object;
}

// closeSockmapEngine(): what the workers still hold of it goes with them.
Napi::Value close_engine(const Napi::CallbackInfo& info) {
  replace_kernel(nullptr);
  return info.Env().Undefined();
}

}  // namespace

void export_sockmap_engine(Napi::Env env, Napi::Object exports) {
  exports["openSockmapEngine"] = Napi::Function::New<open_engine>(env, "openSockmapEngine");
  exports["probeSockmapEngine"] = Napi::Function::New<probe_engine>(env, "probeSockmapEngine");
  exports["closeSockmapEngine"] = Napi::Function::New<close_engine>(env, "closeSockmapEngine");
}

std::unique_ptr<Engine> sockmap_engine(uint64_t least, uint64_t most, std::unique_ptr<Engine> lesser) {
  const std::lock_guard lock(kernel_mutex);
  if (!kernel) return lesser;
  return std::make_unique<SockmapEngine>(least, most, kernel, std::move(lesser));
}

}  // namespace longsplice
