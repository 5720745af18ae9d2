#include "snapshot_reader.h"

namespace longsplice {
namespace {

RouteMatch read_match(JsReader& reader, const Napi::Object& route) {
  RouteMatch match;
  const std::string host_kind = reader.text(route, "hostKind");
  match.host_kind = host_kind == "exact"    ? RouteMatch::Host::exact
                    : host_kind == "suffix" ? RouteMatch::Host::suffix
                                            : RouteMatch::Host::any;
  match.host = reader.text(route, "host");
  const std::string path_kind = reader.text(route, "pathKind");
  match.path = reader.text(route, "path");
  match.path_kind = path_kind == "prefix"    ? RouteMatch::Path::prefix
                    : path_kind == "segment" ? RouteMatch::Path::segment
                    : path_kind == "regex"   ? RouteMatch::Path::regex
                                             : RouteMatch::Path::any;
  if (match.path_kind == RouteMatch::Path::regex) {
    std::string error;
    match.regex = compile_regex(match.path, error);
    if (!match.regex) reader.fail("path: " + error);
  }
  match.methods = reader.texts(route, "methods");
  const Napi::Array headers = reader.array(route, "headers");
  for (uint32_t i = 0; i < headers.Length(); i++) {
    const Napi::Object header = reader.element(headers, i);
    match.headers.push_back({reader.text(header, "name"), reader.text(header, "pattern")});
  }
  return match;
}

HeaderEdits read_edits(JsReader& reader, const Napi::Object& route, const char* key) {
  const Napi::Object from = reader.object(route, key);
  HeaderEdits edits;
  const Napi::Array set = reader.array(from, "set");
  for (uint32_t i = 0; i < set.Length(); i++) {
    const Napi::Object entry = reader.element(set, i);
    edits.set.push_back({reader.text(entry, "name"), Template(reader.text(entry, "template"))});
  }
  edits.remove = reader.texts(from, "remove");
  return edits;
}

HeaderRules::Forward read_forward(JsReader& reader, const Napi::Object& route) {
  const std::string forward = reader.text(route, "forward");
  return forward == "connection" ? HeaderRules::Forward::connection
         : forward == "request"  ? HeaderRules::Forward::request
                                 : HeaderRules::Forward::exchange;
}

Pool read_pool(JsReader& reader, const Napi::Object& from) {
  Pool pool;
  pool.name = reader.text(from, "name");
  pool.policy = reader.number(from, "policy");
  pool.needed_headers = reader.texts(from, "neededHeaders");
  if (!from.Get("neededResponseHeaders").IsNull()) {
    pool.needed_response_headers = reader.texts(from, "neededResponseHeaders");
  }
  pool.wants_done = reader.boolean(from, "wantsDone");
  const std::string choice = reader.text(from, "choosesBy");
  pool.choice = choice == "load"     ? Pool::Choice::by_load
                : choice == "target" ? Pool::Choice::by_target
                                     : Pool::Choice::by_request;
  const std::string proxy_protocol = reader.text(from, "proxyProtocol");
  pool.proxy_protocol = proxy_protocol == "v1"   ? ProxyProtocol::v1
                        : proxy_protocol == "v2" ? ProxyProtocol::v2
                                                 : ProxyProtocol::none;
  const Napi::Object retries = reader.object(from, "retries");
  pool.retries = {reader.number(retries, "slot"), reader.number(retries, "percent"),
                  reader.number(retries, "min")};
  const Napi::Array backends = reader.array(from, "backends");
  for (uint32_t i = 0; i < backends.Length(); i++) {
    const Napi::Object entry = reader.element(backends, i);
    Backend backend;
    backend.slot = reader.number(entry, "slot");
    backend.id = reader.number(entry, "id");
    backend.name = reader.text(entry, "name");
    backend.original_destination = reader.boolean(entry, "originalDestination");
    if (!backend.original_destination) {
      backend.address = read_address(reader, entry);
    }
    pool.backends.push_back(std::move(backend));
  }
  return pool;
}

ForwardingRules read_forwarding(JsReader& reader, const Napi::Object& from) {
  ForwardingRules rules;
  rules.active = reader.boolean(from, "active");
  rules.write_for = reader.boolean(from, "xForwardedFor");
  rules.write_proto = reader.boolean(from, "xForwardedProto");
  rules.write_host = reader.boolean(from, "xForwardedHost");
  rules.write_forwarded = reader.boolean(from, "forwarded");
  rules.trusted = read_ranges(reader, from, "trusted");
  return rules;
}

}  // namespace

SocketAddress read_address(JsReader& reader, const Napi::Object& from) {
  const std::string path = reader.text(from, "path");
  const auto address = path.empty()
                           ? SocketAddress::from_ip(reader.text(from, "host"),
                                                    static_cast<uint16_t>(reader.number(from, "port")))
                           : SocketAddress::from_path(path);
  if (!address) reader.fail("not a socket address");
  return address.value_or(SocketAddress());
}

CidrSet read_ranges(JsReader& reader, const Napi::Object& from, const char* key) {
  CidrSet ranges;
  for (const std::string& range : reader.texts(from, key)) {
    if (!ranges.add(range)) reader.fail(std::string(key) + ": not an address range");
  }
  return ranges;
}

SnapshotPtr read_snapshot(JsReader& reader, const Napi::Object& from) {
  auto snapshot = std::make_shared<Snapshot>();
  std::vector<RouteMatch> matches;
  const Napi::Array routes = reader.array(from, "routes");
  const Napi::Array pools = reader.array(from, "pools");
  for (uint32_t i = 0; i < routes.Length(); i++) {
    const Napi::Object route = reader.element(routes, i);
    matches.push_back(read_match(reader, route));
    snapshot->header_rules.push_back({read_edits(reader, route, "requestHeaders"),
                                      read_edits(reader, route, "responseHeaders"),
                                      read_forward(reader, route)});
    snapshot->route_pools.push_back(reader.number(route, "pool"));
    snapshot->route_ids.push_back(reader.number(route, "id"));
    snapshot->route_labels.push_back(reader.text(route, "label"));
    if (snapshot->route_pools.back() >= pools.Length()) reader.fail("pool: no such index");
  }
  snapshot->router = Router(std::move(matches));
  for (uint32_t i = 0; i < pools.Length(); i++) {
    snapshot->pools.push_back(read_pool(reader, reader.element(pools, i)));
  }
  const Napi::Object timeouts = reader.object(from, "timeouts");
  snapshot->timeouts = {reader.number(timeouts, "header"), reader.number(timeouts, "connect"),
                        reader.number(timeouts, "queue"),  reader.number(timeouts, "response"),
                        reader.number(timeouts, "idle"),   reader.number(timeouts, "stream")};
  const Napi::Object limits = reader.object(from, "limits");
  snapshot->limits = {reader.number(limits, "headerBytes"), reader.number(limits, "headers"),
                      reader.number(limits, "connections"), reader.number(limits, "queue")};
  snapshot->forwarding = read_forwarding(reader, reader.object(from, "forwarding"));
  const std::string access_log = reader.text(from, "accessLog");
  snapshot->access_log = access_log == "json"       ? AccessLogFormat::json
                         : access_log == "combined" ? AccessLogFormat::combined
                                                    : AccessLogFormat::off;
  snapshot->generation = reader.number(from, "generation");
  if (!reader.error().empty()) return nullptr;
  return snapshot;
}

}  // namespace longsplice
