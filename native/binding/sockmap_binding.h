// What the main thread does with the sockmap engine.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>

#include "../engine/engine.h"

namespace longsplice {

void export_sockmap_engine(Napi::Env env, Napi::Object exports);

// For a worker; `lesser` itself if the sockmap engine is not open.
std::unique_ptr<Engine> sockmap_engine(uint64_t least, uint64_t most, std::unique_ptr<Engine> lesser);

}  // namespace longsplice
