// How an exchange ends: well, with an answer of our own, or not at all.
#include <algorithm>
#include <charconv>

#include "exchange.h"
#include "host.h"
#include "text.h"
#include "worker.h"

namespace longsplice {

namespace {

// What was taken off a pipe or a socket that the kernel hands over has arrived by then, if the backend takes it.
constexpr uint64_t kOnItsWayMs = 100;

std::string_view reason_phrase(uint32_t status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 414:
      return "URI Too Long";
    case 431:
      return "Request Header Fields Too Large";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

}  // namespace

std::string_view Exchange::method() const { return llhttp::llhttp_method_name(request_.method); }

const std::string& Exchange::client_address() const {
  return original_client_.empty() ? client_.client_address() : original_client_;
}

uint16_t Exchange::client_port() const {
  return original_client_.empty() ? client_.client_port() : original_port_;
}

// The one that moved the bodies, or some of their bytes.
const char* Exchange::engine_name() const {
  if (backend_ == nullptr) return "";
  if (carried_ != Link::none) return "packet";
  if (request_body_.moved().redirected + response_body_.moved().redirected > 0) return "sockmap";
  return request_body_.moved().piped + response_body_.moved().piped > 0 ? "pipe" : "copy";
}

const char* Exchange::forward_name() const {
  if (carried_ == Link::tunnel) return "connection";
  if (carried_ != Link::judged) return "exchange";
  return passes_ ? "connection" : "request";
}

std::string_view Exchange::id() {
  if (id_.front() == '\0') id_ = worker_.next_request_id();
  return {id_.data(), id_.size()};
}

TemplateValues Exchange::template_values() {
  thread_local std::string port;
  port = std::to_string(client_port());
  return {
      .client_address = client_address(),
      .client_port = port,
      .request_id = id(),
      .host = authority_,
      .backend_address = backend_ != nullptr ? std::string_view(backend_->name) : std::string_view(),
  };
}

void Exchange::return_input(Buffer& input) {
  if (request_bytes_.size() <= request_used_) return;
  request_bytes_.consume(request_used_);
  request_used_ = 0;
  // Only one of the two can hold bytes: what is read beyond a body is read after the first buffer was used up.
  request_bytes_.swap(input);
}

void Exchange::answer(uint32_t status, std::string_view detail) {
  if (response_started_) {
    record(status_ != 0 ? status_ : status);
    return over(Downstream::After::reset);
  }
  const bool request_read = head_complete_ && request_framing(request_fields_) == BodyFraming::none &&
                            request_fields_.error == nullptr;
  const bool framing_known = status == 404 || status >= 502;
  const bool keep = request_read && framing_known && status != 505 && persists(request_, request_fields_) &&
                    !worker_.draining();
  std::string body(reason_phrase(status));
  body.append(": ").append(detail).append("\n");
  Buffer& out = client_.stream().output();
  out.append("HTTP/1.1 " + std::to_string(status) + " ");
  out.append(reason_phrase(status));
  out.append("\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: " + std::to_string(body.size()));
  if (status == 405) out.append("\r\nallow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
  if (!keep) {
    out.append("\r\nconnection: close");
  } else if (request_.minor == 0) {
    out.append("\r\nconnection: keep-alive");
  }
  out.append("\r\n\r\n");
  if (!head_complete_ || method() != "HEAD") out.append(body);
  record(status);
  over(keep ? Downstream::After::keep_alive : Downstream::After::linger);
}

void Exchange::finish() {
  const bool request_done = request_body_.complete() && !upstream_write_failed_;
  record(status_);
  if (request_done && !tunnel_ && backend_stays() && upstream_->input().empty() &&
      !upstream_->stream().has_output() && has_right_window()) {
    upstream_->become_idle(upstream_idle_ms_);
    upstream_ = nullptr;
  }
  if (tunnel_) return over(Downstream::After::close);
  if (!request_done && !request_body_.complete()) return over(Downstream::After::linger);
  over(client_keep_alive_ ? Downstream::After::keep_alive : Downstream::After::close);
}

// A reload may have taken it away, and its place in the tables may be another one's.
bool Exchange::backend_stays() const {
  if (pool_snapshot() == worker_.snapshot()) return true;
  const Backend* now = worker_.backend_at(backend_->slot);
  return now != nullptr && now->is(*backend_);
}

// Whether the connection to the backend is of the kind that a new one would be. A window cannot be taken back.
bool Exchange::has_right_window() {
  if (worker_.splicer() == nullptr || backend_->address.family() == AF_UNIX) return true;
  const uint64_t body = response_body_.bytes();
  if (body > Upstream::kNarrowWindow) {
    const bool linkable = response_body_.framing() == BodyFraming::length;
    worker_.note_body(backend_->slot, linkable && body >= kLeastLinkedBody + Upstream::kNarrowWindow);
  }
  return upstream_->narrow() == worker_.sends_long_bodies(backend_->slot);
}

void Exchange::over(Downstream::After after) {
  over_ = true;
  abandon();
  client_.exchange_over(after);
}

void Exchange::abandon() {
  if (linked_ != Link::none) {
    worker_.stats().links_cut++;
    leave_link();
    worker_.splicer()->cut(link_);
    upstream_->stream().reset();
    client_.stream().reset();
  }
  leave_queue();
  if (token_ != 0) worker_.forget_decision(std::exchange(token_, 0));
  if (backend_ != nullptr) account_bytes();
  drop_upstream();
  release_place();
  leave_budget();
  if (!recorded_ && head_complete_) record(status_ != 0 ? status_ : kClientClosedRequest);
}

// Without asking whether there is one: for what is under way at this backend already.
void Exchange::hold_place() {
  if (!std::exchange(holds_place_, true)) worker_.load().add(backend_->slot, LoadField::active, 1);
}

void Exchange::release_place() {
  if (!std::exchange(holds_place_, false)) return;
  worker_.load().release(backend_->slot);
  worker_.place_freed();
}

void Exchange::client_gone() {
  record(status_ != 0 ? status_ : kClientClosedRequest);
  over(Downstream::After::reset);
}

void Exchange::timed_out() {
  switch (client_.state()) {
    case Downstream::State::deciding:
      return not_served("no backend became free in time");
    case Downstream::State::connecting:
      return upstream_failed(Failure::connect_timeout);
    default:
      break;
  }
  if (tunnel_ || response_started_) return client_gone();
  if (request_body_.complete()) return upstream_failed(Failure::response_timeout);
  // The request did not end in time: the client's fault, unless the backend would not take it.
  if (upstream_->stream().blocked()) return upstream_failed(Failure::response_timeout);
  if (request_body_.holds_bytes()) {
    // What has just come is on its way to the backend at any moment.
    const uint64_t given = request_body_.given_to_sink();
    const auto before = std::exchange(given_at_timeout_, given);
    if (!before) return client_.arm(kOnItsWayMs);
    if (*before == given) return upstream_failed(Failure::response_timeout);
  }
  answer(408, "the request body did not arrive in time");
}

void Exchange::record(uint32_t status) {
  if (std::exchange(recorded_, true)) return;
  const uint64_t end = ended_ns_ != 0 ? ended_ns_ : monotonic_ns();
  if (started_ns_ == 0) started_ns_ = end;
  for (const BodyPump* body : {&request_body_, &response_body_}) {
    if (body->fallback() != nullptr) worker_.stats().body_fallbacks[body->fallback()]++;
  }
  const bool combined = snapshot_->access_log == AccessLogFormat::combined;
  const auto field = [&](std::string_view name) {
    const HeaderField* found = head_complete_ && combined ? request_.find(name) : nullptr;
    return found != nullptr ? request_.value(*found) : std::string_view();
  };
  report({
      .route = route_,
      .status = status,
      .answered = status_ != 0,
      .ok = status_ != 0 && status_ < 500 && !cut_short_ && (response_body_.complete() || link_bytes_ > 0),
      .started_ns = started_ns_,
      .decided_ns = head_done_ns_,
      .ended_ns = end,
      .head_us = response_head_ns_ != 0 ? (response_head_ns_ - sent_ns_) / 1000 : 0,
      .bytes = response_body_.bytes() + link_bytes_,
      .method = head_complete_ ? method() : std::string_view("-"),
      .target = head_complete_ ? request_.text(request_.target) : std::string_view("-"),
      .protocol = !head_complete_       ? ""
                  : request_.minor == 0 ? "HTTP/1.0"
                                        : "HTTP/1.1",
      .referer = field("referer"),
      .user_agent = field("user-agent"),
      .engine = engine_name(),
      .forward = forward_name(),
  });
}

void Exchange::report(const Outcome& outcome) {
  Stats& stats = worker_.stats();
  const bool routed = outcome.route != UINT32_MAX;
  const bool chosen = backend_ != nullptr;
  const uint32_t backend = chosen ? backend_->id : RequestKey::kNoBackend;
  const uint32_t route = routed ? snapshot_->route_ids[outcome.route] : RequestKey::kNoRoute;
  stats.requests[{route, backend, outcome.status}]++;
  stats.request_seconds.observe(static_cast<double>(outcome.ended_ns - outcome.started_ns) * 1e-9);
  // Of a response that the client did not want to the end nobody knows whether it would have been whole.
  const bool known = !std::exchange(failure_noted_, false) && (outcome.ok || outcome.status >= 500);
  if (chosen && outcome.answered && known) {
    worker_.load().observe_result(backend_->slot, outcome.status);
  }
  if (pool_ != nullptr && chosen && pool_->wants_done) {
    worker_.host().exchange_done({
        .pool = *pool_,
        .slot = backend_->slot,
        .status = outcome.answered || outcome.status == kClientClosedRequest ? outcome.status : 0,
        .ok = outcome.ok,
        .head_micros = outcome.head_us,
        .total_micros = (outcome.ended_ns - outcome.decided_ns) / 1000,
        .bytes = outcome.bytes,
        .method = outcome.method,
        .target = outcome.target,
        .host = host_,
        .headers = told_headers_,
    });
  }
  if (snapshot_->access_log == AccessLogFormat::off) return;
  worker_.access_log().write(
      snapshot_->access_log,
      {
          .client = client_address(),
          .client_port = client_port(),
          .method = outcome.method,
          .target = outcome.target,
          .host = host_,
          .protocol = outcome.protocol,
          .referer = outcome.referer,
          .user_agent = outcome.user_agent,
          .route = routed ? std::string_view(snapshot_->route_labels[outcome.route]) : std::string_view(),
          .pool = pool_ != nullptr ? std::string_view(pool_->name) : std::string_view(),
          .backend = chosen ? std::string_view(backend_->name) : std::string_view(),
          .engine = chosen ? outcome.engine : std::string_view(),
          .forward = chosen ? outcome.forward : std::string_view(),
          .id = id(),
          .bytes = outcome.bytes,
          .duration_us = (outcome.ended_ns - outcome.started_ns) / 1000,
          .head_us = outcome.head_us,
          .status = static_cast<uint16_t>(outcome.status),
      });
}

}  // namespace longsplice
