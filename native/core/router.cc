#include "router.h"

#include <re2/re2.h>

#include <algorithm>

#include "text.h"

namespace longsplice {
namespace {

bool suffix_matches(std::string_view host, std::string_view suffix) {
  return host.size() > suffix.size() && host.ends_with(suffix);
}

bool host_matches(const RouteMatch& route, std::string_view host) {
  switch (route.host_kind) {
    case RouteMatch::Host::any:
      return true;
    case RouteMatch::Host::exact:
      return host == route.host;
    case RouteMatch::Host::suffix:
      return suffix_matches(host, route.host);
  }
  return false;
}

bool path_matches(const RouteMatch& route, std::string_view path) {
  switch (route.path_kind) {
    case RouteMatch::Path::any:
      return true;
    case RouteMatch::Path::prefix:
      return path.starts_with(route.path);
    case RouteMatch::Path::segment:
      return path.starts_with(route.path) &&
             (path.size() == route.path.size() || path[route.path.size()] == '/');
    case RouteMatch::Path::regex:
      return re2::RE2::PartialMatch(re2::StringPiece(path.data(), path.size()), *route.regex);
  }
  return false;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = ascii_lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

std::string decode_unreserved(std::string_view path) {
  std::string out;
  out.reserve(path.size());
  for (size_t i = 0; i < path.size(); i++) {
    if (path[i] == '%' && i + 2 < path.size()) {
      const int high = hex_value(path[i + 1]);
      const int low = hex_value(path[i + 2]);
      const char decoded = static_cast<char>(high * 16 + low);
      if (high >= 0 && low >= 0 && is_unreserved(decoded)) {
        out.push_back(decoded);
        i += 2;
        continue;
      }
    }
    out.push_back(path[i]);
  }
  return out;
}

// RFC 3986, 5.2.4, for a path that begins with '/'.
void remove_dot_segments(std::string_view path, std::string& out) {
  out.clear();
  size_t at = 0;
  while (at < path.size()) {
    const size_t next = std::min(path.find('/', at + 1), path.size());
    const std::string_view segment = path.substr(at, next - at);
    const bool last = next == path.size();
    if (segment == "/.") {
      if (last) out.push_back('/');
    } else if (segment == "/..") {
      out.resize(out.rfind('/') == std::string::npos ? 0 : out.rfind('/'));
      if (last) out.push_back('/');
    } else {
      out.append(segment);
    }
    at = next;
  }
}

}  // namespace

Router::Router(std::vector<RouteMatch> routes) : routes_(std::move(routes)) {
  for (const RouteMatch& route : routes_) {
    if (route.host_kind == RouteMatch::Host::exact) by_host_.try_emplace(route.host);
  }
  for (uint32_t index = 0; index < routes_.size(); index++) {
    if (routes_[index].host_kind != RouteMatch::Host::exact) for_other_hosts_.push_back(index);
    for (auto& [host, indexes] : by_host_) {
      if (host_matches(routes_[index], host)) indexes.push_back(index);
    }
  }
}

int Router::match(std::string_view method, std::string_view host, std::string_view path,
                  const MessageHead& head) const {
  const std::vector<uint32_t>* indexes = &for_other_hosts_;
  bool host_known = false;
  if (!by_host_.empty()) {
    const auto found = by_host_.find(std::string(host));
    if (found != by_host_.end()) {
      indexes = &found->second;
      host_known = true;
    }
  }
  for (const uint32_t index : *indexes) {
    const RouteMatch& route = routes_[index];
    if (!host_known && !host_matches(route, host)) continue;
    if (matches(route, method, path, head)) return static_cast<int>(index);
  }
  return -1;
}

std::vector<uint32_t> Router::routes_of_unnamed(std::string_view host) const {
  std::vector<uint32_t> routes;
  for (const uint32_t index : for_other_hosts_) {
    if (host_matches(routes_[index], host)) routes.push_back(index);
  }
  return routes;
}

bool Router::matches(const RouteMatch& route, std::string_view method, std::string_view path,
                     const MessageHead& head) const {
  if (!route.methods.empty() && std::ranges::find(route.methods, method) == route.methods.end()) return false;
  if (!path_matches(route, path)) return false;
  for (const RouteMatch::Header& wanted : route.headers) {
    const bool found = std::ranges::any_of(head.fields, [&](const HeaderField& field) {
      return iequals(head.name(field), wanted.name) && glob_matches(wanted.pattern, head.value(field));
    });
    if (!found) return false;
  }
  return true;
}

// Linear in practice and never worse than pattern times text: only the last '*' is ever retried.
bool glob_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      p++;
      t++;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') p++;
  return p == pattern.size();
}

std::shared_ptr<re2::RE2> compile_regex(const std::string& pattern, std::string& error) {
  re2::RE2::Options options(re2::RE2::Quiet);
  // Request targets are bytes, not UTF-8.
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  auto regex = std::make_shared<re2::RE2>(pattern, options);
  if (!regex->ok()) {
    error = regex->error();
    return nullptr;
  }
  return regex;
}

std::string_view normalize_path(std::string_view path, std::string& storage) {
  const bool encoded = path.find('%') != std::string_view::npos;
  if (!encoded && path.find("/.") == std::string_view::npos) return path;
  if (path.empty() || path.front() != '/') return path;
  const std::string decoded = encoded ? decode_unreserved(path) : std::string(path);
  remove_dot_segments(decoded, storage);
  return storage;
}

std::string_view normalize_host(std::string_view authority, std::string& storage) {
  if (!authority.empty() && authority.front() == '[') {
    authority = authority.substr(0, authority.find(']') + 1);
  } else {
    authority = authority.substr(0, authority.find(':'));
  }
  // "example.com." names the same host.
  if (authority.size() > 1 && authority.back() == '.') authority.remove_suffix(1);
  const bool capitals = std::ranges::any_of(authority, [](char c) { return c >= 'A' && c <= 'Z'; });
  if (!capitals) return authority;
  storage = lowercase(authority);
  return storage;
}

}  // namespace longsplice
