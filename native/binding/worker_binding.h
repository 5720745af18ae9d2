// The JavaScript class `Worker` of the addon: a core Worker that runs in the event loop of the thread it was made in.
#pragma once

#include <napi.h>
#include <uv.h>

#include <memory>

#include "../core/host.h"
#include "../core/worker.h"

namespace longsplice {

// Where a head is laid down for the policies; must match `HeadIndex` in src/dataplane/request-head.ts.
enum class HeadIndex : uint32_t {
  token,
  policy,
  attempt,
  method_length,
  target_length,
  path_length,
  host_length,
  client_length,
  headers,  // one length for each needed header, -1 when absent
};

class WorkerBinding final : public Napi::ObjectWrap<WorkerBinding>, public Host {
 public:
  static Napi::Function define(Napi::Env env);
  explicit WorkerBinding(const Napi::CallbackInfo& info);
  ~WorkerBinding() override;

  int32_t select(const SelectRequest& request) override;
  void exchange_done(const ExchangeReport& report) override;
  void access_log(std::string_view lines) override;
  void log(LogLevel level, std::string_view message) override;
  void drained() override;

 private:
  Napi::Value apply(const Napi::CallbackInfo& info);
  Napi::Value listen(const Napi::CallbackInfo& info);
  Napi::Value drain(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  Napi::Value decided(const Napi::CallbackInfo& info);
  Napi::Value add_response_field(const Napi::CallbackInfo& info);
  Napi::Value policies_in_use(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);

  static void on_readable(uv_poll_t* handle, int status, int events);
  static void on_environment_exit(napi_async_cleanup_hook_handle handle, void* data);
  void run_turn();
  void shut_down();
  bool require_open();
  void start_polling();
  bool exiting_ = false;

  Napi::FunctionReference on_select_;
  Napi::FunctionReference on_done_;
  Napi::FunctionReference on_access_log_;
  Napi::FunctionReference on_log_;
  Napi::FunctionReference on_drained_;
  // Keep the memory alive that the pointers below point to.
  Napi::Reference<Napi::Int32Array> load_;
  Napi::Reference<Napi::Uint8Array> head_bytes_array_;
  Napi::Reference<Napi::Int32Array> head_index_array_;
  Napi::Reference<Napi::Int32Array> candidates_array_;
  uint8_t* head_bytes_ = nullptr;
  size_t head_capacity_ = 0;
  int32_t* head_index_ = nullptr;
  int32_t* candidates_ = nullptr;
  size_t candidates_capacity_ = 0;

  std::unique_ptr<Worker> worker_;
  uv_poll_t* poll_ = nullptr;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle cleanup_ = nullptr;
  bool in_turn_ = false;
  bool close_requested_ = false;  // by a callback of the turn: the worker must outlive it
};

}  // namespace longsplice
