// Two connections joined past this process: in forward mode `connection` for good, after the first request was sent; in
// forward mode `exchange` for a long body, which both ends know the length of.
#include <algorithm>

#include "exchange.h"
#include "worker.h"

namespace longsplice {

namespace {

// A shorter body is copied. Where a link begins to pay is still to be measured (docs/adr/0014).
constexpr uint64_t kLeastLinkedBody = 128 * 1024;

uint32_t budget_of(uint64_t bytes) {
  return static_cast<uint32_t>(std::min<uint64_t>(bytes, Splicer::kMaxBudget));
}

}  // namespace

// What rules it out before a connection to the backend is made; the rest is seen when joining.
const char* Exchange::link_obstacle() const {
  if (worker_.splicer() == nullptr) return "engine";
  // The backend would answer as to HTTP/1.1.
  if (request_.minor == 0) return "http_1_0";
  return client_.stream().peer_closed() ? "half_closed" : nullptr;
}

void Exchange::plan_link() {
  wants_link_ = false;
  if (!rules_->forward_connection) return;
  // The only request of its connection. A kept connection to the backend serves it for less than a new one and a link.
  if (!asks_upgrade_ && !persists(request_, request_fields_)) return;
  const char* obstacle = link_obstacle();
  wants_link_ = obstacle == nullptr;
  if (!wants_link_) count_fallback(obstacle);
}

void Exchange::count_fallback(const char* reason) { worker_.stats().fallbacks[reason]++; }

// Nullptr when the link stands, or the word for why it cannot.
const char* Exchange::join(std::optional<uint32_t> client_budget, std::optional<uint32_t> backend_budget) {
  Splicer& splicer = *worker_.splicer();
  Stream& client = client_.stream();
  Stream& backend = upstream_->stream();
  const Splicer::Terms terms{client.output().size(), backend.output().size(), client_budget, backend_budget};
  const char* reason = splicer.join(client.park(splicer), backend.park(splicer), terms, *this, link_);
  if (reason != nullptr) {
    count_fallback(reason);
    return reason;
  }
  linked_ = true;
  up_ = {client_budget.value_or(UINT64_MAX), 0};
  down_ = {backend_budget.value_or(UINT64_MAX), 0};
  client_.disarm();
  return nullptr;
}

// True when the link stands. Else the exchange goes on as any other.
bool Exchange::try_link() {
  Buffer& out = upstream_->stream().output();
  write_proxy_protocol(out);
  write_request_head(out);
  // What lies behind the head belongs to the connection, whatever it is.
  out.append(request_bytes_.view().substr(request_.length));
  out.append(client_.input().view());
  const char* reason = join({}, {});
  // What came between the reading of the numbers and the link is in the queue: bytes will be relayed, but nobody can
  // repeat a FIN to the backend. Nothing has passed yet.
  if (reason == nullptr && client_.stream().peek() == Stream::Read::closed) {
    worker_.splicer()->cut(link_);
    linked_ = false;
    count_fallback("half_closed");
    reason = "half_closed";
  }
  if (reason != nullptr) {
    wants_link_ = false;
    out.release();
    return false;
  }
  client_.input().release();
  shed_request();
  return true;
}

// A link may stand for days, and there may be many. What it keeps of its request is what its log line will say.
void Exchange::shed_request() {
  if (snapshot_->access_log == AccessLogFormat::combined) {
    request_.keep_only({"referer", "user-agent"}, kept_);
  } else {
    request_.keep_only({}, kept_);
  }
  host_storage_ = std::string(host_);
  host_ = host_storage_;
  target_ = authority_ = {};
  request_fields_ = {};
  request_bytes_.release();
  parsed_ = request_used_ = 0;
}

// True when what is left of a body goes past this process from here on.
bool Exchange::try_body_link() {
  if (worker_.splicer() == nullptr || body_link_refused_ || tunnel_ || upstream_write_failed_) return false;
  // A FIN that has been received is in nobody's numbers.
  if (client_.stream().peer_closed() || upstream_->stream().peer_closed()) return false;
  const std::optional<uint64_t> up = request_body_.to_come();
  const std::optional<uint64_t> down = status_ == 0 ? 0 : response_body_.to_come();
  if (!up || !down || std::max(*up, *down) < kLeastLinkedBody) return false;
  // An answer before the end of its request: this process has to tell the client that it may stop.
  if (status_ != 0 && *up > 0) return false;
  Splicer& splicer = *worker_.splicer();
  if (!splicer.has_room(client_.stream().fd(), upstream_->stream().fd(), *up, *down)) return false;
  body_link_refused_ = join(budget_of(*up), budget_of(*down)) != nullptr;
  if (body_link_refused_) return false;
  body_link_ = body_linked_ = true;
  if (*up > 0) replayable_ = false;
  return true;
}

// Bytes that slipped into a parked socket's queue take the way through the other one. False: a parked socket failed by
// itself.
bool Exchange::relay(Stream& from, Stream& to, bool to_backend) {
  Splicer& splicer = *worker_.splicer();
  Relayed& relayed = to_backend ? up_ : down_;
  while (relayed.left > 0) {
    if (!to.flush()) return false;
    if (to.blocked()) return true;
    size_t received = 0;
    switch (
        from.receive(worker_.scratch(), std::min<uint64_t>(relayed.left, Worker::kScratchBytes), received)) {
      case Stream::Read::would_block:
        return true;
      case Stream::Read::closed:
      case Stream::Read::failed:
        return false;
      case Stream::Read::data:
        break;
    }
    if (splicer.resumed(link_)) {
      // It returned in this moment: these came with the packet that it returned at.
      (to_backend ? late_from_client_ : late_from_backend_).append({worker_.scratch(), received});
      return true;
    }
    const auto bytes = static_cast<uint32_t>(received);
    relayed.left -= received;
    relayed.bytes += received;
    if (to_backend) {
      splicer.relay_to_backend(link_, bytes);
    } else {
      splicer.relay_to_client(link_, bytes);
    }
    const iovec piece{worker_.scratch(), received};
    if (!to.send({&piece, 1})) return false;
  }
  return to.flush();
}

bool Exchange::step_linked() {
  Stream& client = client_.stream();
  Stream& backend = upstream_->stream();
  const bool well = relay(client, backend, true) && relay(backend, client, false);
  if (body_link_ && worker_.splicer()->resumed(link_)) return go_on_after_link();
  if (well && body_link_ && down_.left == 0 && backend.readable()) {
    // The backend had begun to answer before the link was made, or has said more than it announced.
    if (go_on_after_link()) return true;
    worker_.splicer()->pause_client(link_);
  }
  if (well) return false;
  worker_.stats().links_cut++;
  cut_link();
  return true;
}

// What a body's link carried, and what of it this process had to relay.
void Exchange::account_body_link(const Splicer::Totals& totals) {
  request_body_.skip(totals.from_client - up_.bytes, up_.bytes);
  response_body_.skip(totals.from_backend - down_.bytes, down_.bytes);
}

void Exchange::leave_link() {
  const Splicer::Totals totals = worker_.splicer()->totals(link_);
  linked_ = false;
  if (std::exchange(body_link_, false)) return account_body_link(totals);
  if (totals.status_ns > sent_ns_) {
    response_head_ns_ = totals.status_ns;
    worker_.load().observe_head_time(backend_->slot, (response_head_ns_ - sent_ns_) / 1000);
  }
  status_ = totals.status;
  link_bytes_ = totals.to_client;
  worker_.stats().downstream.linked += totals.to_client;
  worker_.stats().upstream.linked += totals.to_backend;
}

// True when both sockets speak for themselves again. False: something is under way.
bool Exchange::go_on_after_link() {
  if (!worker_.splicer()->take_back(link_)) return false;
  const uint64_t up = request_body_.to_come().value_or(0);
  leave_link();
  // The backend answers early: the rest of the request is copied.
  if (up > 0 && up <= Splicer::kMaxBudget && !request_body_.complete()) body_link_refused_ = true;
  worker_.stats().links_resumed++;
  note_progress();
  size_t used = 0;
  request_body_.feed(late_from_client_.view(), upstream_->stream(), used);
  client_.input().append(late_from_client_.view().substr(used));
  late_from_client_.release();
  response_body_.feed(late_from_backend_.view(), client_.stream(), used);
  upstream_->input().append(late_from_backend_.view().substr(used));
  late_from_backend_.release();
  return true;
}

// Both ends are told by RST, with the numbers that they expect.
void Exchange::cut_link() {
  leave_link();
  worker_.splicer()->cut(link_);
  upstream_->stream().reset();
  client_gone();
}

bool Exchange::close_quiet_link(uint64_t quiet_ms) {
  if (!linked_ || body_link_ || worker_.splicer()->idle_ms(link_) < quiet_ms) return false;
  if (!worker_.splicer()->quiet(link_)) return false;
  worker_.stats().links_cut++;
  leave_link();
  worker_.splicer()->cut(link_);
  record(status_);
  // The programs translate for the sockets as long as this process runs: so it hears the client out.
  over(Downstream::After::linger);
  return true;
}

void Exchange::budget_spent() {
  if (body_link_ && go_on_after_link()) client_.drive();
}

void Exchange::link_ended(Splicer::End end) {
  Stats& stats = worker_.stats();
  if (end == Splicer::End::idle && body_link_ && go_on_after_link()) {
    // As if it had been copied: whoever is waited for is told.
    timed_out();
    client_.drive();
  } else if (end == Splicer::End::idle || end == Splicer::End::late) {
    (end == Splicer::End::idle ? stats.links_idle : stats.links_reset)++;
    cut_link();
  } else if (end == Splicer::End::refused) {
    stats.links_reset++;
    const bool answering = worker_.splicer()->totals(link_).from_backend > 0;
    leave_link();
    worker_.splicer()->cut(link_);
    // What was on its way to the client in this moment, nobody can send again.
    if (answering) return client_gone();
    upstream_failed(Failure::reset);
    client_.drive();
  } else {
    (end == Splicer::End::finished ? stats.links_finished : stats.links_reset)++;
    leave_link();
    const bool silent = worker_.splicer()->release(link_);
    if (!silent) upstream_->stream().reset();
    record(status_ != 0 ? status_ : kClientClosedRequest);
    over(silent ? Downstream::After::silent : Downstream::After::reset);
  }
}

}  // namespace longsplice
