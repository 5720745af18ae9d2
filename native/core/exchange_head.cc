// Reading and judging the request head.
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "exchange.h"
#include "free_list.h"
#include "host.h"
#include "text.h"
#include "worker.h"

namespace longsplice {

namespace {

constexpr size_t kReceiveBytes = 4096;
constexpr const char* kVersions = "only HTTP/1.0 and HTTP/1.1 are supported";

bool names_h2c(std::string_view upgrade) {
  bool found = false;
  for_each_token(upgrade, [&](std::string_view protocol) { found = found || iequals(protocol, "h2c"); });
  return found;
}

bool is_reg_name_char(char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
  return std::string_view("-._~!$&'()*+,;=%").find(c) != std::string_view::npos;
}

bool is_valid_port(std::string_view port) {
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  return port.empty() || (error == std::errc{} && end == port.data() + port.size());
}

// RFC 3986, 3.2.2 and 3.2.3: an IP literal in brackets or a name, then perhaps a port. No user information.
bool is_valid_authority(std::string_view authority) {
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return false;
    in6_addr parsed;
    const std::string literal(authority.substr(1, close - 1));
    if (inet_pton(AF_INET6, literal.c_str(), &parsed) != 1) return false;
    port = authority.substr(close + 1);
    if (!port.empty() && port.front() != ':') return false;
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    if (colon == 0 || !std::ranges::all_of(authority.substr(0, colon), is_reg_name_char)) return false;
    port = authority.substr(colon);
  }
  return port.empty() || is_valid_port(port.substr(1));
}

}  // namespace

Exchange::Exchange(Downstream& client, SnapshotPtr snapshot)
    : client_(client), worker_(client.worker()), snapshot_(std::move(snapshot)) {
  request_parser_.start(HttpParser::Kind::request, &request_,
                        {snapshot_->limits.header_bytes, snapshot_->limits.headers});
}

Exchange::~Exchange() = default;

namespace {
FreeList& exchange_blocks() {
  constexpr size_t kKeptBlocks = 256;
  thread_local FreeList blocks(sizeof(Exchange), kKeptBlocks);
  return blocks;
}
}  // namespace

void* Exchange::operator new(size_t) { return exchange_blocks().take(); }
void Exchange::operator delete(void* memory) { exchange_blocks().give(memory); }

Exchange::HeadResult Exchange::read_head() {
  for (;;) {
    if (request_bytes_.size() > parsed_) {
      const bool first_bytes = parsed_ == 0;
      const size_t from = std::exchange(parsed_, request_bytes_.size());
      switch (request_parser_.parse_head(request_bytes_.data(), from, parsed_)) {
        case ParseStatus::complete:
          return on_head();
        case ParseStatus::error:
          if (request_parser_.target_too_long()) return refuse(414, "request target too long");
          if (request_parser_.head_too_large()) return refuse(431, "request head too large");
          if (request_parser_.version_unknown()) return refuse(505, kVersions);
          return refuse(400, request_parser_.reason());
        case ParseStatus::need_more:
          break;
      }
      if (first_bytes) {
        started_ns_ = monotonic_ns();
        // The time for a head runs from its first byte and is not extended by further ones.
        if (client_.state() == Downstream::State::reading_head) client_.arm(snapshot_->timeouts.header);
        client_.set_state(Downstream::State::reading_head);
      }
    }
    char* room = request_bytes_.reserve(kReceiveBytes);
    size_t received = 0;
    switch (client_.stream().receive(room, request_bytes_.room(), received)) {
      case Stream::Read::data:
        request_bytes_.commit(received);
        break;
      case Stream::Read::would_block:
        if (!request_bytes_.empty()) return HeadResult::need_more;
        request_bytes_.release();
        return HeadResult::nothing;
      case Stream::Read::closed:
      case Stream::Read::failed:
        return HeadResult::closed;
    }
  }
}

void Exchange::head_timed_out() { refuse(408, "no complete request head in time"); }

Exchange::HeadResult Exchange::refuse(uint32_t status, const char* reason) {
  answer(status, reason);
  return HeadResult::moved_on;
}

Exchange::HeadResult Exchange::on_head() {
  head_complete_ = true;
  head_done_ns_ = monotonic_ns();
  if (started_ns_ == 0) started_ns_ = head_done_ns_;
  request_used_ = request_.length;
  if (const char* error = check_request_line()) return refuse(400, error);
  if (request_.major != 1) return refuse(505, kVersions);
  request_fields_ = summarize_fields(request_);
  if (request_fields_.error != nullptr) return refuse(400, request_fields_.error);
  if (request_fields_.host_count > 1) return refuse(400, "more than one Host field");
  if (request_fields_.host_count == 0 && request_.minor >= 1) return refuse(400, "no Host field");
  // An empty Host is what a client sends for a target without an authority (RFC 9112, 3.2).
  if (!request_fields_.host.empty() && !is_valid_authority(request_fields_.host)) {
    return refuse(400, "invalid Host field");
  }
  if (method() == "CONNECT") return refuse(405, "CONNECT is not allowed");
  if (!read_target()) return refuse(400, "invalid request target");
  // An h2c tunnel would carry requests that nobody routed or judged.
  asks_upgrade_ = request_.minor >= 1 && request_fields_.connection_upgrade &&
                  !request_fields_.upgrade.empty() && !names_h2c(request_fields_.upgrade);
  host_ = normalize_host(authority_, host_storage_);
  const ForwardingRules& forwarding = snapshot_->forwarding;
  peer_trusted_ = forwarding.active && forwarding.trusted.contains(client_.client_address());
  if (peer_trusted_) believe_peer(forwarding);

  if (!find_route()) return refuse(404, "no route for this request");
  client_.set_state(Downstream::State::deciding);
  choose();
  return HeadResult::moved_on;
}

bool Exchange::find_route() {
  std::string path_storage;
  const std::string_view path = normalize_path(target_.substr(0, target_.find('?')), path_storage);
  const int route = snapshot_->router.match(method(), host_, path, request_);
  if (route < 0) return false;
  route_ = static_cast<uint32_t>(route);
  rules_ = &snapshot_->header_rules[route_];
  pool_ = &snapshot_->pools[snapshot_->route_pools[route_]];
  return true;
}

void Exchange::believe_peer(const ForwardingRules& forwarding) {
  const auto client = original_client(request_, forwarding);
  if (!client) return;
  original_client_ = client->host();
  original_port_ = client->port();
}

// llhttp reads RTSP and ICE too, tolerates blanks before the target, and takes a fragment for part of it.
const char* Exchange::check_request_line() const {
  const char* base = request_.base_;
  const Span& target = request_.target;
  const std::string_view before(base, target.offset);
  if (before.size() >= 2 && before[before.size() - 2] == ' ') return "more than one space before the target";
  const std::string_view after(base + target.offset + target.length,
                               request_.length - target.offset - target.length);
  if (request_.major != 0 && !after.starts_with(" HTTP/")) return "unknown protocol";
  if (request_.text(target).find('#') != std::string_view::npos) return "fragment in the request target";
  return nullptr;
}

// RFC 9112, 3.2: origin-form, asterisk-form, or absolute-form, whose authority replaces the Host field.
bool Exchange::read_target() {
  const std::string_view raw = request_.text(request_.target);
  authority_ = request_fields_.host;
  if (raw.starts_with('/')) {
    target_ = raw;
    return true;
  }
  if (raw == "*") {
    target_ = raw;
    return method() == "OPTIONS";
  }
  const size_t scheme = raw.find("://");
  if (scheme == std::string_view::npos) return false;
  if (!iequals(raw.substr(0, scheme), "http") && !iequals(raw.substr(0, scheme), "https")) return false;
  const std::string_view rest = raw.substr(scheme + 3);
  const size_t end = std::min(rest.find_first_of("/?"), rest.size());
  authority_ = rest.substr(0, end);
  target_ = rest.substr(end);
  if (!target_.starts_with('/')) {
    // The path is empty: "http://host" or "http://host?query"; for OPTIONS see RFC 9112, 3.2.4.
    const bool whole_server = target_.empty() && method() == "OPTIONS";
    target_storage_ = (whole_server ? "*" : "/") + std::string(target_);
    target_ = target_storage_;
  }
  return is_valid_authority(authority_);
}

}  // namespace longsplice
