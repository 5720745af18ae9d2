// What the main thread does with the packet engine.
#pragma once

#include <napi.h>

#include <memory>

#include "../engine/splicer.h"

namespace longsplice {

void export_packet_engine(Napi::Env env, Napi::Object exports);

// For the worker with this index; nullptr if the packet engine is not open.
std::unique_ptr<Splicer> packet_splicer(uint32_t worker);

}  // namespace longsplice
