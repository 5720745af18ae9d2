#include <fcntl.h>
#include <napi.h>
#include <sys/resource.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "../core/address.h"
#include "../core/http_parser.h"
#include "../core/socket_count.h"
#include "js_read.h"
#include "packet_binding.h"
#include "probes.h"
#include "snapshot_reader.h"
#include "sockmap_binding.h"
#include "worker_binding.h"

namespace longsplice {
namespace {

std::once_flag parser_once;
const char* parser_problem = nullptr;

void throw_errno(Napi::Env env, int error) {
  Napi::Error failure = Napi::Error::New(env, std::strerror(error));
  failure.Set("errno", Napi::Number::New(env, error));
  failure.ThrowAsJavaScriptException();
}

// openListener({ host, port } | { path }, backlog) -> { fd, address }. The caller owns the descriptor. Throws an
// error with `errno`.
Napi::Value open_listener_for_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  JsReader reader(env);
  const SocketAddress address = read_address(reader, info[0].As<Napi::Object>());
  if (!reader.error().empty()) {
    throw_errno(env, EINVAL);
    return {};
  }
  Fd fd = open_listener(address, info[1].ToNumber().Int32Value());
  if (!fd) {
    throw_errno(env, errno);
    return {};
  }
  Napi::Object result = Napi::Object::New(env);
  result["address"] = SocketAddress::local_of(fd.get()).text();
  result["port"] = static_cast<double>(SocketAddress::local_of(fd.get()).port());
  result["fd"] = static_cast<double>(fd.release());
  return result;
}

Napi::Value close_descriptor(const Napi::CallbackInfo& info) {
  Fd(info[0].ToNumber().Int32Value()).reset();
  return info.Env().Undefined();
}

// raiseFileLimit() -> how many descriptors this process may have, after asking for as many as it is entitled to.
Napi::Value raise_file_limit(const Napi::CallbackInfo& info) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return Napi::Number::New(info.Env(), static_cast<double>(limit.rlim_cur));
}

// setSocketLimit(descriptors)
Napi::Value set_socket_limit(const Napi::CallbackInfo& info) {
  SocketCount::of_process().set_descriptors(info[0].ToNumber().Uint32Value());
  return info.Env().Undefined();
}

// duplicateDescriptor(fd) -> another descriptor of the same socket.
Napi::Value duplicate_descriptor(const Napi::CallbackInfo& info) {
  const int fd = ::fcntl(info[0].ToNumber().Int32Value(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) {
    throw_errno(info.Env(), errno);
    return {};
  }
  return Napi::Number::New(info.Env(), fd);
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  std::call_once(parser_once, [] { parser_problem = HttpParser::initialize(); });
  if (parser_problem != nullptr) {
    Napi::Error::New(env, std::string("this Node's HTTP parser cannot be used: ") + parser_problem)
        .ThrowAsJavaScriptException();
    return exports;
  }
  exports["Worker"] = WorkerBinding::define(env);
  exports["openListener"] = Napi::Function::New<open_listener_for_js>(env, "openListener");
  exports["closeDescriptor"] = Napi::Function::New<close_descriptor>(env, "closeDescriptor");
  exports["duplicateDescriptor"] = Napi::Function::New<duplicate_descriptor>(env, "duplicateDescriptor");
  exports["raiseFileLimit"] = Napi::Function::New<raise_file_limit>(env, "raiseFileLimit");
  exports["setSocketLimit"] = Napi::Function::New<set_socket_limit>(env, "setSocketLimit");
  export_packet_engine(env, exports);
  export_sockmap_engine(env, exports);
  export_probes(env, exports);
  return exports;
}

}  // namespace
}  // namespace longsplice

static Napi::Object init_longsplice(Napi::Env env, Napi::Object exports) {
  return longsplice::initialize(env, exports);
}

NODE_API_MODULE(longsplice, init_longsplice)
