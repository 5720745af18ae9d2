#include "verdicts.h"

#include <algorithm>
#include <set>

namespace longsplice {

namespace {

using Destination = VerdictTable::Destination;

// Fields that say something to the next hop, about the body, or of the client. Those that begin with "x-forwar" need no
// mention (native/bpf/include/head.bpf.h).
constexpr const char* kReturningFields[] = {
    "content-length",
    "transfer-encoding",
    "upgrade",
    "expect",
    "te",
    "trailer",
    "keep-alive",
    "http2-settings",
    "proxy-connection",
    "proxy-authorization",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-original-url",
    "x-rewrite-url",
    "x-original-host",
    "x-original-for",
    "true-client-ip",
    "cf-connecting-ip",
    "max-forwards",
    "proxy-authenticate",
    "x-http-method-override",
};

bool begins_at_boundary(const std::string& path, const RouteMatch& route) {
  if (!path.starts_with(route.path)) return false;
  if (route.path_kind == RouteMatch::Path::prefix || path.size() == route.path.size()) return true;
  return path[route.path.size()] == '/';
}

// Whether a request may match whose path begins with `path` and with no longer one of the table.
enum class Match : uint8_t { no, yes, perhaps };
Match match_path(const RouteMatch& route, const std::string& path) {
  switch (route.path_kind) {
    case RouteMatch::Path::any:
      return Match::yes;
    case RouteMatch::Path::regex:
      return Match::perhaps;
    case RouteMatch::Path::prefix:
    case RouteMatch::Path::segment:
      if (begins_at_boundary(path, route)) return Match::yes;
      // It is too long for the table.
      if (route.path.size() > VerdictTable::kLongestPath && route.path.starts_with(path))
        return Match::perhaps;
      return Match::no;
  }
  return Match::perhaps;
}

Destination destination(const Snapshot& snapshot, const std::vector<uint32_t>& routes,
                        const std::string& path, std::string_view method) {
  for (const uint32_t index : routes) {
    const RouteMatch& route = snapshot.router.route(index);
    if (!route.methods.empty() && std::ranges::find(route.methods, method) == route.methods.end()) continue;
    const Match match = match_path(route, path);
    if (match == Match::no) continue;
    if (match == Match::perhaps || !route.headers.empty() || !snapshot.passes_by_connection(index)) return {};
    const uint32_t pool = snapshot.route_pools[index];
    return {index, pool, snapshot.pools[pool].choice == Pool::Choice::by_target};
  }
  return {};
}

}  // namespace

Verdicts::Verdicts(const Snapshot& snapshot, uint64_t state) {
  const bool any = std::ranges::any_of(snapshot.header_rules, [](const HeaderRules& rules) {
    return rules.forward == HeaderRules::Forward::connection;
  });
  const Router& router = snapshot.router;
  const auto add_class = [&](const std::vector<uint32_t>& routes) {
    const auto host_class = static_cast<uint32_t>(table_.depths.size());
    std::set<std::string> paths{""};
    for (const uint32_t index : routes) {
      const RouteMatch& route = router.route(index);
      const bool plain =
          route.path_kind == RouteMatch::Path::prefix || route.path_kind == RouteMatch::Path::segment;
      if (plain && route.path.size() <= VerdictTable::kLongestPath) paths.insert(route.path);
    }
    table_.depths.push_back(0);
    for (const std::string& path : paths) {
      table_.depths.back() |= uint64_t{1} << path.size();
      table_.paths.push_back(
          {host_class,
           path,
           {destination(snapshot, routes, path, "GET"), destination(snapshot, routes, path, "HEAD")}});
    }
    return host_class;
  };

  of_others_ = add_class(any ? router.routes_of_unnamed("") : std::vector<uint32_t>());
  if (!any) return;
  for (const auto& [host, routes] : router.by_host()) of_host_[host] = add_class(routes);
  std::set<std::string> suffixes;
  for (uint32_t i = 0; i < router.size(); i++) {
    if (router.route(i).host_kind == RouteMatch::Host::suffix) suffixes.insert(router.route(i).host);
  }
  for (const std::string& suffix : suffixes) {
    of_suffix_.emplace_back(suffix, add_class(router.routes_of_unnamed("x" + suffix)));
  }
  std::ranges::sort(of_suffix_, std::greater(), [](const auto& entry) { return entry.first.size(); });

  table_.returning_fields.assign(std::begin(kReturningFields), std::end(kReturningFields));
  for (const HeaderRules& rules : snapshot.header_rules) {
    for (const std::string& name : rules.request.remove) table_.returning_fields.push_back(name);
  }
  table_.head_bytes = snapshot.limits.header_bytes;
  table_.fields = snapshot.limits.headers;
  table_.detail = snapshot.access_log == AccessLogFormat::json       ? VerdictTable::Detail::target
                  : snapshot.access_log == AccessLogFormat::combined ? VerdictTable::Detail::head
                                                                     : VerdictTable::Detail::none;
  table_.generation = snapshot.generation;
  table_.state = state;
}

uint32_t Verdicts::host_class(std::string_view host) const {
  const auto found = of_host_.find(std::string(host));
  if (found != of_host_.end()) return found->second;
  for (const auto& [suffix, host_class] : of_suffix_) {
    if (host.size() > suffix.size() && host.ends_with(suffix)) return host_class;
  }
  return of_others_;
}

}  // namespace longsplice
