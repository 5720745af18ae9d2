// What a worker has counted, as JavaScript sees it.
#include "worker_binding.h"

#include "../core/listener.h"

namespace longsplice {
namespace {

template <size_t N>
Napi::Object histogram_to_js(Napi::Env env, const Histogram<N>& histogram) {
  Napi::Array bounds = Napi::Array::New(env, N);
  Napi::Array counts = Napi::Array::New(env, N + 1);
  for (uint32_t i = 0; i < N; i++) bounds[i] = histogram.bounds[i];
  for (uint32_t i = 0; i <= N; i++) counts[i] = static_cast<double>(histogram.counts[i]);
  Napi::Object object = Napi::Object::New(env);
  object["bounds"] = bounds;
  object["counts"] = counts;
  object["sum"] = histogram.sum;
  return object;
}

Napi::Object counts_to_js(Napi::Env env, const std::map<std::string_view, uint64_t>& counts) {
  Napi::Object object = Napi::Object::New(env);
  for (const auto& [name, count] : counts) object[std::string(name)] = static_cast<double>(count);
  return object;
}

}  // namespace

Napi::Value WorkerBinding::stats(const Napi::CallbackInfo&) {
  if (!require_open()) return {};
  const Napi::Env env = Env();
  worker_->read_link_events();
  const Stats& stats = worker_->stats();
  Napi::Array requests = Napi::Array::New(env);
  uint32_t next = 0;
  for (const auto& [key, count] : stats.requests) {
    Napi::Object entry = Napi::Object::New(env);
    entry["route"] = key.route == RequestKey::kNoRoute ? -1.0 : static_cast<double>(key.route);
    entry["backend"] = key.backend == RequestKey::kNoBackend ? -1.0 : static_cast<double>(key.backend);
    entry["code"] = static_cast<double>(key.code);
    entry["count"] = static_cast<double>(count);
    requests[next++] = entry;
  }
  Napi::Array listeners = Napi::Array::New(env);
  next = 0;
  for (const auto& listener : worker_->listeners()) {
    Napi::Object entry = Napi::Object::New(env);
    entry["address"] = listener->name();
    entry["accepted"] = static_cast<double>(listener->accepted());
    entry["active"] = static_cast<double>(listener->active());
    listeners[next++] = entry;
  }
  Napi::Object result = Napi::Object::New(env);
  result["requests"] = requests;
  result["listeners"] = listeners;
  result["copyBytesDownstream"] = static_cast<double>(stats.downstream.copied);
  result["copyBytesUpstream"] = static_cast<double>(stats.upstream.copied);
  result["pipeBytesDownstream"] = static_cast<double>(stats.downstream.piped);
  result["pipeBytesUpstream"] = static_cast<double>(stats.upstream.piped);
  result["sockmapBytesDownstream"] = static_cast<double>(stats.downstream.redirected);
  result["sockmapBytesUpstream"] = static_cast<double>(stats.upstream.redirected);
  result["packetBytesDownstream"] = static_cast<double>(stats.downstream.linked);
  result["packetBytesUpstream"] = static_cast<double>(stats.upstream.linked);
  Napi::Object links = Napi::Object::New(env);
  const Splicer* splicer = worker_->splicer();
  links["active"] = static_cast<double>(splicer != nullptr ? splicer->active() : 0);
  Napi::Object records = Napi::Object::New(env);
  records["free"] = static_cast<double>(splicer != nullptr ? splicer->free_records() : 0);
  records["ended"] = static_cast<double>(splicer != nullptr ? splicer->ended_records() : 0);
  result["records"] = records;
  links["finished"] = static_cast<double>(stats.links_finished);
  links["reset"] = static_cast<double>(stats.links_reset);
  links["cut"] = static_cast<double>(stats.links_cut);
  links["resumed"] = static_cast<double>(stats.links_resumed);
  links["idle"] = static_cast<double>(stats.links_idle);
  result["links"] = links;
  result["packetFallbacks"] = counts_to_js(env, stats.fallbacks);
  result["bodyFallbacks"] = counts_to_js(env, stats.body_fallbacks);
  result["retries"] = counts_to_js(env, stats.retries);
  result["retriesRefused"] = static_cast<double>(stats.retries_refused);
  result["idleUpstream"] = static_cast<double>(worker_->idle_set().size());
  result["requestSeconds"] = histogram_to_js(env, stats.request_seconds);
  result["decisionSeconds"] = histogram_to_js(env, stats.decision_seconds);
  return result;
}

}  // namespace longsplice
