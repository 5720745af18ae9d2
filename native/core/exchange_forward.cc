// Request to the backend, response to the client, both at the same time.
#include <algorithm>

#include "exchange.h"
#include "head_writer.h"
#include "worker.h"

namespace longsplice {

namespace {

constexpr size_t kReceiveBytes = 4096;
// More 1xx responses than any server has a use for.
constexpr uint32_t kMaxInterimResponses = 32;
// A longer body that is not linked wants a window that fits the way to the backend.
constexpr uint64_t kCopiedInNarrowWindow = 256 * 1024;

}  // namespace

void Exchange::start_request() {
  client_.set_state(Downstream::State::forwarding);
  worker_.load().add(backend_->slot, LoadField::requests, 1);
  upstream_->parser().start(HttpParser::Kind::response, &response_,
                            {snapshot_->limits.header_bytes, snapshot_->limits.headers});
  const BodyFraming framing = request_framing(request_fields_);
  request_body_.start(framing, request_fields_.length, framing == BodyFraming::chunked, &request_parser_,
                      &rules_->request);
  // Routes and pools had other numbers before a reload than those by which the next requests on a link would be judged.
  if (snapshot_ != worker_.snapshot()) wants_link_ = false;
  if (wants_link_ && try_link()) return;
  write_proxy_protocol(upstream_->stream().output());
  write_request_head(upstream_->stream().output());
  size_t used = 0;
  const BodyPump::Status status =
      request_body_.feed(request_bytes_.view().substr(request_.length), upstream_->stream(), used);
  request_used_ = request_.length + used;
  if (status == BodyPump::Status::malformed) return answer(400, request_parser_.reason());
  if (!upstream_->stream().flush()) upstream_write_failed_ = true;
  note_progress();
}

void Exchange::write_proxy_protocol(Buffer& out) {
  if (pool_->proxy_protocol == ProxyProtocol::none) return;
  std::string header;
  const auto source = SocketAddress::from_ip(client_address(), client_port());
  write_proxy_header(header, pool_->proxy_protocol, source.value_or(SocketAddress()),
                     SocketAddress::local_of(client_.stream().fd()));
  out.append(header);
}

void Exchange::write_request_head(Buffer& out) {
  out.append(method());
  out.append(" ");
  out.append(target_);
  out.append(" HTTP/1.1\r\n");
  const HeaderEdits& edits = rules_->request;
  if (!edits.replaces("host")) {
    // RFC 9112, 3.2: HTTP/1.1 needs a Host even where an HTTP/1.0 client sent none.
    const bool has_host = request_fields_.host_count > 0 || !authority_.empty();
    append_field(out, "host", has_host ? authority_ : std::string_view(backend_->name));
  }
  const ForwardingRules& forwarding = snapshot_->forwarding;
  append_fields(out, request_, request_fields_, edits, true, !forwarding.active);
  if (forwarding.active) {
    const ForwardingFacts facts{client_.client_address(), authority_, peer_trusted_};
    append_forwarding_fields(out, request_, forwarding, facts, edits);
  }
  if (!edits.set.empty()) append_edits(out, edits, template_values());
  if (request_fields_.chunked) append_field(out, "transfer-encoding", "chunked");
  if (asks_upgrade_) {
    append_field(out, "connection", "upgrade");
    append_field(out, "upgrade", request_fields_.upgrade);
  }
  out.append("\r\n");
}

bool Exchange::step_forwarding() {
  if (linked_ != Link::none) return step_linked();
  if (client_.stream().broken()) {
    client_gone();
    return true;
  }
  if (try_body_link()) return true;
  const bool was_tunnel = tunnel_;
  if (!pump_request() || !pump_response() || linked_ != Link::none) return true;
  // What the client sent ahead of the 101 raised its edge already.
  if (tunnel_ && !was_tunnel && !pump_request()) return true;
  account_bytes();
  if (try_tunnel_link(!was_tunnel)) return true;
  if (tunnel_) {
    if (request_body_.complete() && !upstream_->stream().blocked()) upstream_->stream().shut_down_sending();
    if (response_body_.complete() && !client_.stream().blocked()) client_.stream().shut_down_sending();
  }
  if (status_ != 0 && response_body_.complete() && (!tunnel_ || request_body_.complete())) {
    finish();
    return true;
  }
  return false;
}

// Both pumps return false when the exchange ended or started anew.
bool Exchange::pump_request() {
  if (upstream_write_failed_) return true;
  if (request_body_.complete()) {
    if (!upstream_->stream().flush()) upstream_write_failed_ = true;
    return true;
  }
  const uint64_t before = request_body_.consumed();
  const BodyPump::Status status =
      request_body_.run(client_.stream(), client_.input(), upstream_->stream(), worker_.engine());
  if (request_body_.consumed() != before) {
    replayable_ = false;
    note_request_progress(request_body_.consumed() - before);
  }
  switch (status) {
    case BodyPump::Status::complete:
      note_progress();
      return true;
    case BodyPump::Status::source_empty:
    case BodyPump::Status::sink_full:
      return true;
    case BodyPump::Status::turn_over:
      worker_.poller().resume_later(client_);
      return true;
    case BodyPump::Status::away:
      client_.look_again(request_body_.look_again_ms());
      return true;
    case BodyPump::Status::truncated:
    case BodyPump::Status::source_failed:
      client_gone();
      return false;
    case BodyPump::Status::malformed:
      answer(400, request_parser_.reason());
      return false;
    case BodyPump::Status::sink_failed:
      // The backend may have answered before it closed; whether it did is seen when reading.
      upstream_write_failed_ = true;
      if (!tunnel_) return true;
      record(status_);
      over(Downstream::After::close);
      return false;
  }
  return true;
}

bool Exchange::pump_response() {
  if (status_ == 0 && !read_response_head()) return false;
  if (try_body_link()) return true;
  if (status_ == 0 || response_body_.complete()) {
    if (client_.stream().flush()) return true;
    client_gone();
    return false;
  }
  const uint64_t before = response_body_.bytes();
  const BodyPump::Status status =
      response_body_.run(upstream_->stream(), upstream_->input(), client_.stream(), worker_.engine());
  if (response_body_.bytes() != before) note_progress();
  // Of a body that can be linked the client takes more sooner or later.
  const bool linkable = !link_refused_ && !worker_.translates(backend_->slot) && response_body_.to_come();
  if (!linkable && response_body_.moved().copied > kCopiedInNarrowWindow) upstream_->widen();
  switch (status) {
    case BodyPump::Status::complete:
    case BodyPump::Status::source_empty:
    case BodyPump::Status::sink_full:
      return true;
    case BodyPump::Status::turn_over:
      worker_.poller().resume_later(client_);
      return true;
    case BodyPump::Status::away:
      client_.look_again(response_body_.look_again_ms());
      return true;
    case BodyPump::Status::truncated:
    case BodyPump::Status::malformed:
    case BodyPump::Status::source_failed:
      upstream_failed(Failure::reset);
      return false;
    case BodyPump::Status::sink_failed:
      client_gone();
      return false;
  }
  return true;
}

// Reads until the final head is complete. False when the exchange ended or started anew.
bool Exchange::read_response_head() {
  Stream& stream = upstream_->stream();
  Buffer& input = upstream_->input();
  // Of a response that came while its link was being left, all of it.
  size_t received = std::exchange(unread_response_, 0);
  while (status_ == 0) {
    // Bytes are looked at where they were received; only an incomplete head is kept for later.
    const bool fresh = input.empty();
    char* room = fresh ? worker_.scratch() : input.reserve(kReceiveBytes);
    const size_t space = fresh ? Worker::kScratchBytes : input.room();
    const bool here = received > 0;
    const Stream::Read result = here ? Stream::Read::data : stream.receive(room, space, received);
    if (result == Stream::Read::would_block) return true;
    if (result != Stream::Read::data) {
      upstream_failed(Failure::reset);
      return false;
    }
    if (!fresh && !here) input.commit(received);
    std::string_view bytes = fresh ? std::string_view(room, received) : input.view();
    size_t from = bytes.size() - std::exchange(received, 0);
    while (!bytes.empty() && status_ == 0) {
      const ParseStatus status = upstream_->parser().parse_head(bytes.data(), from, bytes.size());
      if (status == ParseStatus::need_more) break;
      size_t used = 0;
      if (status == ParseStatus::error || !forward_response_head(bytes, used)) {
        if (!over_) upstream_failed(Failure::garbage);
        return false;
      }
      if (over_) return false;
      bytes.remove_prefix(used);
      from = 0;
    }
    if (fresh) {
      input.append(bytes);
    } else {
      input.consume(input.size() - bytes.size());
    }
  }
  return true;
}

bool Exchange::forward_response_head(std::string_view bytes, size_t& used) {
  if (response_.major != 1 || !bytes.starts_with("HTTP/1.") || !is_valid_status_line(response_)) return false;
  const uint16_t status = response_.status;
  used = response_.length;
  if (status == 101) {
    if (!asks_upgrade_ || !request_body_.complete()) return false;
  } else if (status < 200) {
    return forward_interim_response();
  }
  const FieldSummary fields = summarize_fields(response_);
  if (fields.error != nullptr) return false;
  return start_response(fields, bytes.substr(response_.length), used);
}

// RFC 9110, 15.2: every 1xx goes on to the client, except to HTTP/1.0, which knows none.
bool Exchange::forward_interim_response() {
  if (++interim_responses_ > kMaxInterimResponses) return false;
  if (request_.minor >= 1) {
    Buffer& out = client_.stream().output();
    append_status_line(out, response_);
    append_fields(out, response_, summarize_fields(response_), {}, false);
    out.append("\r\n");
    if (!client_.stream().flush()) {
      client_gone();
      return false;
    }
  }
  upstream_->parser().start(HttpParser::Kind::response, &response_,
                            {snapshot_->limits.header_bytes, snapshot_->limits.headers});
  note_progress();
  return true;
}

bool Exchange::start_response(const FieldSummary& fields, std::string_view rest, size_t& used) {
  const uint16_t status = response_.status;
  response_head_ns_ = monotonic_ns();
  worker_.load().observe_head_time(backend_->slot, (response_head_ns_ - sent_ns_) / 1000);
  if (pool_->needed_response_headers) keep_told_headers();
  // A backend that answers is none that has too much to do; and what follows may last for days.
  leave_budget();
  tunnel_ = status == 101;
  const BodyFraming framing = response_framing(fields, status, method() == "HEAD");
  // A body that ends with the backend's connection is sent in chunks, so that the client can tell whole from cut.
  const bool rechunk =
      request_.minor >= 1 && (framing == BodyFraming::chunked || framing == BodyFraming::until_close);
  response_ends_by_close_ =
      request_.minor == 0 && (framing == BodyFraming::chunked || framing == BodyFraming::until_close);
  const bool backend_keeps_open =
      persists(response_, fields) && framing != BodyFraming::until_close && !tunnel_;
  upstream_idle_ms_ = backend_keeps_open ? IdleSet::kMaxIdleMs : 0;
  if (backend_keeps_open && fields.keep_alive_seconds > 0) {
    // A second less than the backend's own limit: it is better that we close.
    const uint64_t limit = (static_cast<uint64_t>(fields.keep_alive_seconds) - 1) * 1000;
    upstream_idle_ms_ = std::min(upstream_idle_ms_, limit);
  }
  client_keep_alive_ = client_keeps_open();
  write_response_head(client_.stream().output(), fields, framing);
  response_started_ = true;
  status_ = status;
  if (tunnel_) {
    response_body_.start_tunnel();
    request_body_.start_tunnel();
    size_t early = 0;
    // What the client sent behind its request already belongs to the new protocol.
    request_body_.feed(request_bytes_.view().substr(request_used_), upstream_->stream(), early);
    request_used_ += early;
    request_body_.feed(client_.input().view(), upstream_->stream(), early);
    client_.input().release();
  } else {
    response_body_.start(framing, fields.length, rechunk, &upstream_->parser(), &rules_->response);
  }
  size_t body = 0;
  const BodyPump::Status fed = response_body_.feed(rest, client_.stream(), body);
  if (fed == BodyPump::Status::complete) ended_ns_ = response_head_ns_;
  used += body;
  note_progress();
  return fed != BodyPump::Status::malformed;
}

// The head is gone when the exchange is over.
void Exchange::keep_told_headers() {
  told_headers_.clear();
  for (const std::string& name : *pool_->needed_response_headers) {
    const HeaderField* field = response_.find(name);
    told_headers_.push_back(field == nullptr ? std::nullopt
                                             : std::optional<std::string>(response_.value(*field)));
  }
}

bool Exchange::client_keeps_open() const {
  if (response_ends_by_close_ || tunnel_) return false;
  // An answer before the request has ended leaves the rest of the request unread.
  return persists(request_, request_fields_) && request_body_.complete() && !worker_.draining();
}

void Exchange::write_response_head(Buffer& out, const FieldSummary& fields, BodyFraming framing) {
  append_status_line(out, response_);
  const HeaderEdits& edits = rules_->response;
  const bool keep_length = response_.status != 101 && response_.status != 204;
  append_fields(out, response_, fields, edits, keep_length);
  if (!edits.set.empty()) append_edits(out, edits, template_values());
  out.append(policy_fields_);
  if (tunnel_) {
    append_field(out, "connection", "upgrade");
    if (!fields.upgrade.empty()) append_field(out, "upgrade", fields.upgrade);
  } else {
    const bool has_body_to_frame = framing == BodyFraming::chunked || framing == BodyFraming::until_close;
    if (has_body_to_frame && !response_ends_by_close_) append_field(out, "transfer-encoding", "chunked");
    if (!client_keep_alive_) {
      append_field(out, "connection", "close");
    } else if (request_.minor == 0) {
      append_field(out, "connection", "keep-alive");
    }
  }
  out.append("\r\n");
}

void Exchange::account_bytes() {
  const auto account = [](ByteCount& total, ByteCount& accounted, const ByteCount& moved) {
    total.copied += moved.copied - accounted.copied;
    total.piped += moved.piped - accounted.piped;
    total.redirected += moved.redirected - accounted.redirected;
    total.linked += moved.linked - accounted.linked;
    accounted = moved;
  };
  account(worker_.stats().upstream, accounted_upstream_, request_body_.moved());
  account(worker_.stats().downstream, accounted_downstream_, response_body_.moved());
}

// A client that trickles its body must not keep a backend busy for ever: until the backend answers, only this many bytes
// buy it another `timeouts.stream`.
void Exchange::note_request_progress(uint64_t bytes) {
  constexpr uint64_t kLeastBytesPerSecond = 100;
  request_progress_ += bytes;
  const bool enough = request_progress_ * 1000 >= kLeastBytesPerSecond * snapshot_->timeouts.stream;
  if (status_ == 0 && !request_body_.complete() && !enough) return;
  request_progress_ = 0;
  note_progress();
}

// Which timeout runs now.
void Exchange::note_progress() {
  const bool waits_for_head = status_ == 0 && request_body_.complete();
  client_.arm(waits_for_head ? snapshot_->timeouts.response : snapshot_->timeouts.stream);
}

}  // namespace longsplice
