#include "worker_binding.h"

#include <algorithm>
#include <cstring>

#include "../engine/copy/copy_engine.h"
#include "../engine/pipe/pipe_engine.h"
#include "packet_binding.h"
#include "snapshot_reader.h"
#include "sockmap_binding.h"

namespace longsplice {
namespace {

// Heads are bytes; Latin-1 keeps each of them.
Napi::Value text(Napi::Env env, std::string_view bytes) {
  napi_value value = nullptr;
  napi_create_string_latin1(env, bytes.data(), bytes.size(), &value);
  return {env, value};
}

// What was asked and answered, for those who want to know.
Napi::Value about(Napi::Env env, const ExchangeReport& report) {
  if (!report.pool.needed_response_headers) return env.Null();
  Napi::Array headers = Napi::Array::New(env, report.headers.size());
  for (uint32_t i = 0; i < report.headers.size(); i++) {
    headers[i] = report.headers[i] ? text(env, *report.headers[i]) : env.Undefined();
  }
  Napi::Object object = Napi::Object::New(env);
  object["method"] = text(env, report.method);
  object["target"] = text(env, report.target);
  object["host"] = text(env, report.host);
  object["headers"] = headers;
  return object;
}

std::unique_ptr<Engine> make_engine(const Napi::Object& options) {
  auto copy = std::make_unique<CopyEngine>();
  const auto size = [&options](const char* key) {
    return static_cast<uint64_t>(std::max<int64_t>(options.Get(key).ToNumber().Int64Value(), 1));
  };
  const std::string name = options.Get("engine").ToString();
  if (name == "pipe") return std::make_unique<PipeEngine>(size("pipeFrom"), std::move(copy));
  if (name != "sockmap") return copy;
  return sockmap_engine(size("sockmapFrom"), size("sockmapTo"), std::move(copy));
}

}  // namespace

Napi::Function WorkerBinding::define(Napi::Env env) {
  return DefineClass(env, "Worker",
                     {
                         InstanceMethod<&WorkerBinding::apply>("apply"),
                         InstanceMethod<&WorkerBinding::listen>("listen"),
                         InstanceMethod<&WorkerBinding::drain>("drain"),
                         InstanceMethod<&WorkerBinding::close>("close"),
                         InstanceMethod<&WorkerBinding::decided>("decided"),
                         InstanceMethod<&WorkerBinding::add_response_field>("addResponseField"),
                         InstanceMethod<&WorkerBinding::policies_in_use>("policiesInUse"),
                         InstanceMethod<&WorkerBinding::stats>("stats"),
                     });
}

WorkerBinding::WorkerBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<WorkerBinding>(info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) {
    Napi::TypeError::New(env, "Worker: an options object is expected").ThrowAsJavaScriptException();
    return;
  }
  const auto options = info[0].As<Napi::Object>();
  for (const char* key : {"onSelect", "onDone", "onAccessLog", "onLog", "onDrained"}) {
    if (options.Get(key).IsFunction()) continue;
    Napi::TypeError::New(env, std::string("Worker: ") + key + " must be a function")
        .ThrowAsJavaScriptException();
    return;
  }
  for (const char* key : {"load", "headBytes", "headIndex", "candidates"}) {
    if (options.Get(key).IsTypedArray()) continue;
    Napi::TypeError::New(env, std::string("Worker: ") + key + " must be a typed array")
        .ThrowAsJavaScriptException();
    return;
  }
  on_select_ = Napi::Persistent(options.Get("onSelect").As<Napi::Function>());
  on_done_ = Napi::Persistent(options.Get("onDone").As<Napi::Function>());
  on_access_log_ = Napi::Persistent(options.Get("onAccessLog").As<Napi::Function>());
  on_log_ = Napi::Persistent(options.Get("onLog").As<Napi::Function>());
  on_drained_ = Napi::Persistent(options.Get("onDrained").As<Napi::Function>());
  auto load = options.Get("load").As<Napi::Int32Array>();
  auto head_bytes = options.Get("headBytes").As<Napi::Uint8Array>();
  auto head_index = options.Get("headIndex").As<Napi::Int32Array>();
  auto candidates = options.Get("candidates").As<Napi::Int32Array>();
  load_ = Napi::Reference<Napi::Int32Array>::New(load, 1);
  head_bytes_array_ = Napi::Reference<Napi::Uint8Array>::New(head_bytes, 1);
  head_index_array_ = Napi::Reference<Napi::Int32Array>::New(head_index, 1);
  candidates_array_ = Napi::Reference<Napi::Int32Array>::New(candidates, 1);
  head_bytes_ = head_bytes.Data();
  head_capacity_ = head_bytes.ByteLength();
  head_index_ = head_index.Data();
  candidates_ = candidates.Data();
  candidates_capacity_ = candidates.ElementLength();
  bool lossless = false;
  const uint64_t seed = options.Get("idSeed").As<Napi::BigInt>().Uint64Value(&lossless);
  const auto rows = static_cast<uint32_t>(load.ElementLength() / kLoadRowFields);
  if (rows < 2) {
    Napi::RangeError::New(env, "Worker: load has no rows").ThrowAsJavaScriptException();
    return;
  }
  const LoadTable table(load.Data(), rows - 1);
  std::unique_ptr<Splicer> splicer;
  if (options.Get("engine").ToString().Utf8Value() == "packet") {
    splicer = packet_splicer(options.Get("worker").ToNumber().Uint32Value());
  }
  worker_ = std::make_unique<Worker>(*this, table, make_engine(options), std::move(splicer), seed);
  start_polling();
}

void WorkerBinding::start_polling() {
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(Env(), &loop);
  napi_async_init(Env(), Value(), Napi::String::New(Env(), "longsplice"), &context_);
  poll_ = new uv_poll_t;
  poll_->data = this;
  uv_poll_init(loop, poll_, worker_->fd());
  uv_poll_start(poll_, UV_READABLE, on_readable);
  // A worker thread that is terminated aborts the process when a handle is still open, and closing one takes a turn
  // of the loop: hence the asynchronous hook.
  napi_add_async_cleanup_hook(Env(), on_environment_exit, this, &cleanup_);
  Ref();
}

WorkerBinding::~WorkerBinding() = default;

void WorkerBinding::on_readable(uv_poll_t* handle, int, int) {
  static_cast<WorkerBinding*>(handle->data)->run_turn();
}

// One callback scope for the whole turn: promises of policies settle when it closes.
void WorkerBinding::run_turn() {
  const Napi::HandleScope handles(Env());
  napi_callback_scope scope = nullptr;
  napi_open_callback_scope(Env(), Value(), context_, &scope);
  in_turn_ = true;
  if (worker_) worker_->turn();
  in_turn_ = false;
  napi_close_callback_scope(Env(), scope);
  if (close_requested_) shut_down();
}

void WorkerBinding::shut_down() {
  if (!worker_) return;
  worker_->close();
  worker_.reset();
  napi_async_destroy(Env(), context_);
  uv_poll_stop(poll_);
  uv_close(reinterpret_cast<uv_handle_t*>(poll_), [](uv_handle_t* handle) {
    auto* self = static_cast<WorkerBinding*>(handle->data);
    delete reinterpret_cast<uv_poll_t*>(handle);
    if (self->cleanup_ != nullptr) napi_remove_async_cleanup_hook(self->cleanup_);
    self->cleanup_ = nullptr;
    const Napi::HandleScope handles(self->Env());
    self->Unref();
  });
  poll_ = nullptr;
}

void WorkerBinding::on_environment_exit(napi_async_cleanup_hook_handle, void* data) {
  auto* self = static_cast<WorkerBinding*>(data);
  // No JavaScript runs any more: a call would fail without an exception, and that ends the process.
  self->exiting_ = true;
  self->shut_down();
}

bool WorkerBinding::require_open() {
  if (worker_) return true;
  Napi::Error::New(Env(), "Worker: it is closed").ThrowAsJavaScriptException();
  return false;
}

Napi::Value WorkerBinding::apply(const Napi::CallbackInfo& info) {
  if (!require_open()) return {};
  JsReader reader(Env());
  const SnapshotPtr snapshot =
      info[0].IsObject() ? read_snapshot(reader, info[0].As<Napi::Object>()) : SnapshotPtr();
  if (!snapshot) {
    Napi::TypeError::New(Env(), "Worker.apply: " + reader.error()).ThrowAsJavaScriptException();
    return {};
  }
  const uint32_t slots = worker_->load().slots();
  for (const Pool& pool : snapshot->pools) {
    const bool fits =
        std::ranges::all_of(pool.backends, [&](const Backend& backend) { return backend.slot < slots; });
    if (fits && pool.retries.slot < slots) continue;
    Napi::RangeError::New(Env(), "Worker.apply: slot outside the load table").ThrowAsJavaScriptException();
    return {};
  }
  worker_->apply(snapshot);
  return Env().Undefined();
}

Napi::Value WorkerBinding::listen(const Napi::CallbackInfo& info) {
  if (!require_open()) return {};
  JsReader reader(Env());
  if (!info[0].IsObject()) reader.fail("an object expected");
  const auto from = info[0].IsObject() ? info[0].As<Napi::Object>() : Napi::Object::New(Env());
  const std::string name = reader.text(from, "name");
  const uint32_t fd = reader.number(from, "fd");
  CidrSet proxy_from = read_ranges(reader, from, "proxyFrom");
  if (!reader.error().empty()) {
    Napi::TypeError::New(Env(), "Worker.listen: " + reader.error()).ThrowAsJavaScriptException();
    return {};
  }
  worker_->listen(Fd(static_cast<int>(fd)), name, std::move(proxy_from));
  return Env().Undefined();
}

Napi::Value WorkerBinding::drain(const Napi::CallbackInfo&) {
  if (!require_open()) return {};
  worker_->drain();
  return Env().Undefined();
}

Napi::Value WorkerBinding::close(const Napi::CallbackInfo&) {
  if (in_turn_) {
    close_requested_ = true;
  } else {
    shut_down();
  }
  return Env().Undefined();
}

Napi::Value WorkerBinding::decided(const Napi::CallbackInfo& info) {
  if (!worker_) return Env().Undefined();
  worker_->decided(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Int32Value());
  return Env().Undefined();
}

Napi::Value WorkerBinding::add_response_field(const Napi::CallbackInfo& info) {
  if (!worker_) return Env().Undefined();
  const std::u16string line = info[1].As<Napi::String>().Utf16Value();
  const std::string bytes(line.begin(), line.end());
  worker_->add_response_field(info[0].As<Napi::Number>().Uint32Value(), bytes);
  return Env().Undefined();
}

Napi::Value WorkerBinding::policies_in_use(const Napi::CallbackInfo&) {
  if (!require_open()) return {};
  const std::vector<uint32_t> numbers = worker_->policies_in_use();
  Napi::Array result = Napi::Array::New(Env(), numbers.size());
  for (size_t i = 0; i < numbers.size(); i++) result[static_cast<uint32_t>(i)] = numbers[i];
  return result;
}

int32_t WorkerBinding::select(const SelectRequest& request) {
  if (exiting_) return kNone;
  size_t used = 0;
  const auto put = [&](std::string_view text) -> int32_t {
    if (text.size() > head_capacity_ - used) return -1;
    if (!text.empty()) std::memcpy(head_bytes_ + used, text.data(), text.size());
    used += text.size();
    return static_cast<int32_t>(text.size());
  };
  const auto index = [&](HeadIndex field) -> int32_t& { return head_index_[static_cast<uint32_t>(field)]; };
  index(HeadIndex::token) = static_cast<int32_t>(request.token);
  index(HeadIndex::policy) = static_cast<int32_t>(request.pool.policy);
  index(HeadIndex::attempt) = static_cast<int32_t>(request.attempt);
  index(HeadIndex::method_length) = put(request.method);
  index(HeadIndex::target_length) = put(request.target);
  index(HeadIndex::path_length) = static_cast<int32_t>(request.path_length);
  index(HeadIndex::host_length) = put(request.host);
  index(HeadIndex::client_length) = put(request.client_address);
  int32_t* length = &index(HeadIndex::headers);
  for (const std::string& name : request.pool.needed_headers) {
    const HeaderField* field = request.head.find(name);
    *length++ = field == nullptr ? -1 : put(request.head.value(*field));
  }
  const size_t count = std::min(request.candidates.size(), candidates_capacity_ - 1);
  candidates_[0] = static_cast<int32_t>(count);
  for (size_t i = 0; i < count; i++) candidates_[i + 1] = static_cast<int32_t>(request.candidates[i]);

  const Napi::HandleScope handles(Env());
  napi_value result = nullptr;
  int32_t slot = kNone;
  // Called directly: it runs once for each request.
  if (napi_call_function(Env(), Value(), on_select_.Value(), 0, nullptr, &result) == napi_ok &&
      napi_get_value_int32(Env(), result, &slot) == napi_ok) {
    return slot;
  }
  if (Env().IsExceptionPending()) {
    log(LogLevel::error, "choosing a backend failed: " + Env().GetAndClearPendingException().Message());
  }
  return kNone;
}

void WorkerBinding::exchange_done(const ExchangeReport& report) {
  if (exiting_) return;
  const Napi::Env env = Env();
  const Napi::HandleScope handles(env);
  on_done_.Call({Napi::Number::New(env, report.pool.policy), Napi::Number::New(env, report.slot),
                 Napi::Number::New(env, report.status), Napi::Boolean::New(env, report.ok),
                 Napi::Number::New(env, static_cast<double>(report.head_micros)),
                 Napi::Number::New(env, static_cast<double>(report.total_micros)),
                 Napi::Number::New(env, static_cast<double>(report.bytes)), about(env, report)});
  if (env.IsExceptionPending()) {
    log(LogLevel::error, "reporting an exchange failed: " + env.GetAndClearPendingException().Message());
  }
}

void WorkerBinding::access_log(std::string_view lines) {
  if (exiting_) return;
  const Napi::HandleScope handles(Env());
  // Memory of its own, which can be given to another thread without a copy.
  auto memory = Napi::ArrayBuffer::New(Env(), lines.size());
  if (memory.IsEmpty()) return;  // the thread is ending
  std::memcpy(memory.Data(), lines.data(), lines.size());
  on_access_log_.Call({Napi::Uint8Array::New(Env(), lines.size(), memory, 0)});
}

void WorkerBinding::log(LogLevel level, std::string_view message) {
  if (exiting_) return;
  const Napi::HandleScope handles(Env());
  on_log_.Call({Napi::String::New(Env(), level == LogLevel::warn ? "warn" : "error"),
                Napi::String::New(Env(), message.data(), message.size())});
}

void WorkerBinding::drained() {
  if (exiting_) return;
  const Napi::HandleScope handles(Env());
  on_drained_.Call({});
}

}  // namespace longsplice
