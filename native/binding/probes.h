// Single functions of the core, for tests of the parts and for `check`.
#pragma once

#include <napi.h>

namespace longsplice {

void export_probes(Napi::Env env, Napi::Object exports);

}  // namespace longsplice
