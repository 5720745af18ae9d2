#include "probes.h"

#include <string>
#include <vector>

#include "../core/downstream.h"
#include "../core/http_parser.h"
#include "../core/load_table.h"
#include "../core/router.h"
#include "../core/verdicts.h"
#include "../engine/pipe/pipe_engine.h"
#include "snapshot_reader.h"

namespace longsplice {
namespace {

// regexError(pattern) -> why RE2 refuses it, or null.
Napi::Value regex_error(const Napi::CallbackInfo& info) {
  std::string error;
  if (compile_regex(info[0].ToString().Utf8Value(), error)) return info.Env().Null();
  return Napi::String::New(info.Env(), error);
}

// matchRoute(snapshot, method, authority, path, [[name, value], ...]) -> index of the route, or -1.
Napi::Value match_route(const Napi::CallbackInfo& info) {
  JsReader reader(info.Env());
  const SnapshotPtr snapshot = read_snapshot(reader, info[0].As<Napi::Object>());
  if (!snapshot) {
    Napi::TypeError::New(info.Env(), reader.error()).ThrowAsJavaScriptException();
    return {};
  }
  std::string bytes;
  MessageHead head;
  const auto fields = info[4].As<Napi::Array>();
  for (uint32_t i = 0; i < fields.Length(); i++) {
    const auto pair = fields.Get(i).As<Napi::Array>();
    const std::string name = pair.Get(0u).ToString();
    const std::string value = pair.Get(1u).ToString();
    const auto at = static_cast<uint32_t>(bytes.size());
    bytes.append(name).append(value);
    const auto name_length = static_cast<uint32_t>(name.size());
    head.fields.push_back(
        {at, name_length, at + name_length, static_cast<uint32_t>(value.size()), HeaderId::other});
  }
  head.rebase(bytes.data());
  std::string host_storage;
  std::string path_storage;
  const std::string authority = info[2].ToString();
  const std::string path = info[3].ToString();
  const int route =
      snapshot->router.match(info[1].ToString().Utf8Value(), normalize_host(authority, host_storage),
                             normalize_path(path, path_storage), head);
  return Napi::Number::New(info.Env(), route);
}

// verdictOf(snapshot, method, authority, path) -> index of the route by which a plain request may pass in the kernel, or -1:
// that of the longest path of the table with which the request's begins, at a boundary.
Napi::Value verdict_of(const Napi::CallbackInfo& info) {
  JsReader reader(info.Env());
  const SnapshotPtr snapshot = read_snapshot(reader, info[0].As<Napi::Object>());
  if (!snapshot) {
    Napi::TypeError::New(info.Env(), reader.error()).ThrowAsJavaScriptException();
    return {};
  }
  const Verdicts verdicts(*snapshot, 0);
  const std::string authority = info[2].ToString();
  const std::string path = info[3].ToString();
  std::string host_storage;
  const uint32_t host_class = verdicts.host_class(normalize_host(authority, host_storage));
  const auto begins = [&](const std::string& text) {
    if (text.empty()) return true;
    return path.starts_with(text) &&
           (text.back() == '/' || path.size() == text.size() || path[text.size()] == '/');
  };
  const VerdictTable::Path* longest = nullptr;
  for (const VerdictTable::Path& candidate : verdicts.table().paths) {
    if (candidate.host_class != host_class || !begins(candidate.text)) continue;
    if (longest == nullptr || candidate.text.size() > longest->text.size()) longest = &candidate;
  }
  if (longest == nullptr) return Napi::Number::New(info.Env(), -1);
  const uint32_t route = longest->to[info[1].ToString().Utf8Value() == "HEAD" ? 1 : 0].route;
  return Napi::Number::New(info.Env(), route == VerdictTable::kReturns ? -1 : static_cast<double>(route));
}

// parseHead("request" | "response", bytes, splits) -> { status, reason, length, target, code, fields } where `splits`
// are the positions at which the bytes arrive in pieces.
Napi::Value parse_head(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool request = info[0].ToString().Utf8Value() == "request";
  const auto bytes = info[1].As<Napi::Uint8Array>();
  const auto splits = info[2].As<Napi::Array>();
  HttpParser parser;
  MessageHead head;
  parser.start(request ? HttpParser::Kind::request : HttpParser::Kind::response, &head, {16384, 100});
  ParseStatus status = ParseStatus::need_more;
  size_t from = 0;
  // Each piece is parsed in a copy of its own, as when the receive buffer moves while it grows.
  std::vector<std::string> copies;
  copies.reserve(splits.Length() + 1u);
  for (uint32_t i = 0; i <= splits.Length() && status == ParseStatus::need_more; i++) {
    const size_t to = i < splits.Length() ? splits.Get(i).ToNumber().Uint32Value() : bytes.ByteLength();
    copies.emplace_back(reinterpret_cast<const char*>(bytes.Data()), to);
    status = parser.parse_head(copies.back().data(), from, to);
    from = to;
  }
  Napi::Object result = Napi::Object::New(env);
  result["status"] = status == ParseStatus::complete ? "complete"
                     : status == ParseStatus::error  ? "error"
                                                     : "need-more";
  result["reason"] = parser.reason();
  if (status != ParseStatus::complete) return result;
  result["length"] = head.length;
  result["target"] = std::string(head.text(head.target));
  result["code"] = head.status;
  Napi::Array fields = Napi::Array::New(env, head.fields.size());
  for (uint32_t i = 0; i < head.fields.size(); i++) {
    Napi::Array pair = Napi::Array::New(env, 2);
    pair[0u] = std::string(head.name(head.fields[i]));
    pair[1u] = std::string(head.value(head.fields[i]));
    fields[i] = pair;
  }
  result["fields"] = fields;
  return result;
}

Napi::Array state_names(Napi::Env env) {
  Napi::Array names = Napi::Array::New(env);
  for (uint32_t i = 0; i <= static_cast<uint32_t>(Downstream::State::closed); i++) {
    names[i] = Downstream::state_name(static_cast<Downstream::State>(i));
  }
  return names;
}

Napi::Object load_layout(Napi::Env env) {
  Napi::Object layout = Napi::Object::New(env);
  layout["rowFields"] = kLoadRowFields;
  const auto put = [&](const char* name, LoadField field) { layout[name] = static_cast<uint32_t>(field); };
  put("active", LoadField::active);
  put("eligible", LoadField::eligible);
  put("weight", LoadField::weight);
  put("maxConnections", LoadField::max_connections);
  put("ewmaMicros", LoadField::ewma_micros);
  put("errors", LoadField::errors);
  put("requests", LoadField::requests);
  put("connections", LoadField::connections);
  put("health", LoadField::health);
  put("cpu", LoadField::cpu);
  put("memory", LoadField::memory);
  put("io", LoadField::io);
  put("tcpConnections", LoadField::tcp_connections);
  put("activeSockets", LoadField::active_sockets);
  put("queue", LoadField::queue);
  put("utilization", LoadField::utilization);
  put("reports", LoadField::reports);
  put("failuresFrom", LoadField::failures_from);
  put("successes", LoadField::successes);
  put("failures", LoadField::failures);
  put("failureRun", LoadField::failure_run);
  put("longestRun", LoadField::longest_run);
  return layout;
}

// probePipeEngine() -> why no byte can go from one socket through a pipe to another, or null.
Napi::Value probe_pipe_engine(const Napi::CallbackInfo& info) {
  const char* obstacle = pipe_obstacle();
  return obstacle == nullptr ? info.Env().Null() : Napi::String::New(info.Env(), obstacle);
}

}  // namespace

void export_probes(Napi::Env env, Napi::Object exports) {
  exports["regexError"] = Napi::Function::New<regex_error>(env, "regexError");
  exports["matchRoute"] = Napi::Function::New<match_route>(env, "matchRoute");
  exports["verdictOf"] = Napi::Function::New<verdict_of>(env, "verdictOf");
  exports["parseHead"] = Napi::Function::New<parse_head>(env, "parseHead");
  exports["probePipeEngine"] = Napi::Function::New<probe_pipe_engine>(env, "probePipeEngine");
  exports["stateNames"] = state_names(env);
  exports["loadLayout"] = load_layout(env);
}

}  // namespace longsplice
