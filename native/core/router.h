// Head -> route. The first route whose every condition holds wins.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "message_head.h"

namespace re2 {
class RE2;
}

namespace longsplice {

struct RouteMatch {
  enum class Host : uint8_t { any, exact, suffix };           // suffix: "*.example.com" -> ".example.com"
  enum class Path : uint8_t { any, prefix, segment, regex };  // segment: equal, or a prefix up to a '/'
  struct Header {
    std::string name;     // lowercase
    std::string pattern;  // glob: '*' is any text
  };

  Host host_kind = Host::any;
  Path path_kind = Path::any;
  std::string host;  // lowercase
  std::string path;
  std::shared_ptr<re2::RE2> regex;
  std::vector<std::string> methods;
  std::vector<Header> headers;
};

class Router {
 public:
  explicit Router(std::vector<RouteMatch> routes = {});

  // The index of the route, or -1. `host` is lowercase and without port, `path` without query and normalized.
  int match(std::string_view method, std::string_view host, std::string_view path,
            const MessageHead& head) const;
  size_t size() const { return routes_.size(); }
  const RouteMatch& route(uint32_t index) const { return routes_[index]; }
  // Which routes can match hosts that one names exactly, in their order.
  const std::unordered_map<std::string, std::vector<uint32_t>>& by_host() const { return by_host_; }
  // ... and a host that none names exactly.
  std::vector<uint32_t> routes_of_unnamed(std::string_view host) const;

 private:
  bool matches(const RouteMatch& route, std::string_view method, std::string_view path,
               const MessageHead& head) const;

  std::vector<RouteMatch> routes_;
  // Which routes can match a host, in their order: by exact name, and for all other hosts.
  std::unordered_map<std::string, std::vector<uint32_t>> by_host_;
  std::vector<uint32_t> for_other_hosts_;
};

bool glob_matches(std::string_view pattern, std::string_view text);

// Compiles a pattern of the RE2 syntax (linear time, whatever the input). On failure `error` says why.
std::shared_ptr<re2::RE2> compile_regex(const std::string& pattern, std::string& error);

// The path that routes are matched against: percent-encoded unreserved characters decoded and dot segments removed
// (RFC 3986, 6.2.2), because a backend may do so too and must not be reached by a route that was not meant for it.
// Returns `path` itself when there is nothing to do; otherwise the text is in `storage`.
std::string_view normalize_path(std::string_view path, std::string& storage);

// The host of a Host field or authority: without port, lowercase, in `storage` only when it had capitals.
std::string_view normalize_host(std::string_view authority, std::string& storage);

}  // namespace longsplice
