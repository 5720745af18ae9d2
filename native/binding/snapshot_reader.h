#pragma once

#include <napi.h>

#include "../core/snapshot.h"
#include "js_read.h"

namespace longsplice {

// The `NativeSnapshot` of src/dataplane/native.ts. nullptr after `reader.error()` was set.
SnapshotPtr read_snapshot(JsReader& reader, const Napi::Object& from);

// { host, port } or { path }.
SocketAddress read_address(JsReader& reader, const Napi::Object& from);

// A list of address ranges (CIDR).
CidrSet read_ranges(JsReader& reader, const Napi::Object& from, const char* key);

}  // namespace longsplice
