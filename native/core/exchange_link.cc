// Two connections joined past this process: for a long body, which both ends know the length of; in forward mode
// `connection` for a tunnel, which lasts as long as they do; and for requests that are judged one by one
// (exchange_verdict.cc).
#include <sys/epoll.h>

#include <algorithm>

#include "exchange.h"
#include "worker.h"

namespace longsplice {

namespace {

uint32_t budget_of(uint64_t bytes) {
  return static_cast<uint32_t>(std::min<uint64_t>(bytes, Splicer::kMaxBudget));
}

}  // namespace

void Exchange::count_fallback(const char* reason) { worker_.stats().fallbacks[reason]++; }

// Nullptr when the link stands, or the word for why it cannot.
const char* Exchange::join(Link kind, const Splicer::Terms& asked) {
  Splicer& splicer = *worker_.splicer();
  Stream& client = client_.stream();
  Stream& backend = upstream_->stream();
  Splicer::Terms terms = asked;
  terms.to_client = client.output().size();
  terms.to_backend = backend.output().size();
  const char* reason = splicer.join(client.park(splicer), backend.park(splicer), terms, *this, link_);
  if (reason != nullptr) {
    count_fallback(reason);
    return reason;
  }
  // Before the response to a request that is judged, as without a link.
  if (kind != Link::judged) leave_budget();
  linked_ = carried_ = kind;
  waits_ = 0;
  up_ = {terms.client_budget.value_or(UINT64_MAX), 0};
  down_ = {terms.backend_budget.value_or(UINT64_MAX), 0};
  accounted_to_client_ = accounted_to_backend_ = 0;
  client_.disarm();
  return nullptr;
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
  sent_head_.release();
  lost_ = false;
  parsed_ = request_used_ = 0;
}

// True when what is left of a body goes past this process from here on.
bool Exchange::try_body_link() {
  if (worker_.splicer() == nullptr || link_refused_ || tunnel_ || upstream_write_failed_) return false;
  // A FIN that has been received is in nobody's numbers.
  if (client_.stream().peer_closed() || upstream_->stream().peer_closed()) return false;
  const std::optional<uint64_t> up = request_body_.to_come();
  const std::optional<uint64_t> down = status_ == 0 ? 0 : response_body_.to_come();
  if (!up || !down) return false;
  // An answer before the end of its request: this process has to tell the client that it may stop.
  if (status_ != 0 && *up > 0) return false;
  Splicer& splicer = *worker_.splicer();
  const uint64_t most = std::max(*up, *down);
  const int source = (*up > *down ? client_.stream() : upstream_->stream()).fd();
  if (most < kLeastLinkedBody || most < kLeastLinkedBody + splicer.unread(source)) return false;
  if (worker_.translates(backend_->slot)) return false;
  if (!splicer.has_room(client_.stream().fd(), upstream_->stream().fd(), *up, *down)) return false;
  const Splicer::Terms terms{.client_budget = budget_of(*up), .backend_budget = budget_of(*down)};
  if (const char* reason = join(Link::body, terms)) {
    link_refused_ = true;
    // The next one may be linked.
    const bool passing = std::string_view(reason) == "out_of_order" || std::string_view(reason) == "records";
    if (!passing) worker_.note_refused_body(backend_->slot);
    return false;
  }
  if (*up > 0) replayable_ = false;
  // What came while the numbers were read may have raised its edge before.
  if (*up > 0) client_.stream().note_events(EPOLLIN);
  if (*down > 0) upstream_->stream().note_events(EPOLLIN);
  return true;
}

// True when the tunnel goes past this process from here on.
bool Exchange::try_tunnel_link(bool fresh) {
  if (!tunnel_ || rules_->forward != HeaderRules::Forward::connection || worker_.splicer() == nullptr ||
      link_refused_)
    return false;
  Stream& client = client_.stream();
  Stream& backend = upstream_->stream();
  // Few bytes would wait until the end of the round.
  if (!client.flush_now() || !backend.flush_now() || client.has_output() || backend.has_output())
    return false;
  if (client.peer_closed() || backend.peer_closed() || worker_.translates(backend_->slot)) return false;
  // What can be under way in a new one is little: nobody sends a whole window at once. And who is silent at first would
  // not be asked again.
  if (!fresh && !worker_.splicer()->has_room(client.fd(), backend.fd(), UINT64_MAX, UINT64_MAX)) return false;
  link_refused_ = join(Link::tunnel, {}) != nullptr;
  if (link_refused_) return false;
  shed_request();
  return true;
}

// Bytes that slipped into a parked socket's queue take the way through the other one. False: a parked socket failed by
// itself.
bool Exchange::relay(Stream& from, Stream& to, bool to_backend) {
  Splicer& splicer = *worker_.splicer();
  Relayed& relayed = to_backend ? up_ : down_;
  while (relayed.left > 0) {
    if (!to.flush()) return false;
    // Also when the sink takes no more: until it is read it is in nobody's numbers, and what slipped in is not much.
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

// False: a parked socket failed by itself.
bool Exchange::relay_what_slipped() {
  Stream& client = client_.stream();
  Stream& backend = upstream_->stream();
  if (!relay(client, backend, true) || !relay(backend, client, false)) return false;
  if ((client.readable() || backend.readable()) && linked_ == Link::body) worker_.splicer()->keep_rest(link_);
  return true;
}

bool Exchange::step_linked() {
  if (link_end_) {
    const Splicer::End end = *std::exchange(link_end_, std::nullopt);
    if (linked_ == Link::judged && waits_for_client(end)) return false;
    go_on_after_end(end);
    return true;
  }
  if (linked_ == Link::judged) return step_judged();
  const Stream& backend = upstream_->stream();
  const bool well = relay_what_slipped();
  const bool body = linked_ == Link::body;
  if (body && (spent_ || worker_.splicer()->resumed(link_)) && go_on_after_link()) return true;
  if (well && body && down_.left == 0 && backend.readable()) {
    // The backend had begun to answer before the link was made, or has said more than it announced.
    if (go_on_after_link()) return true;
    worker_.splicer()->pause_client(link_);
  }
  if (well) return false;
  if (!body && undo_tunnel_link()) return true;
  worker_.stats().links_cut++;
  cut_link();
  return true;
}

// What a body's link carried, and what of it this process had to relay.
void Exchange::account_body_link(const Splicer::Totals& totals) {
  request_body_.skip(totals.from_client - up_.bytes, up_.bytes);
  response_body_.skip(totals.from_backend - down_.bytes, down_.bytes);
}

// TCP payload that went past this process since it was last accounted for.
void Exchange::account_link() {
  const Splicer::Totals totals = worker_.splicer()->totals(link_);
  Stats& stats = worker_.stats();
  stats.downstream.linked += totals.to_client - std::exchange(accounted_to_client_, totals.to_client);
  stats.upstream.linked += totals.to_backend - std::exchange(accounted_to_backend_, totals.to_backend);
}

void Exchange::leave_link() {
  const Link kind = std::exchange(linked_, Link::none);
  link_end_.reset();
  spent_ = lost_ = false;
  sent_head_.release();
  if (kind == Link::body) return account_body_link(worker_.splicer()->totals(link_));
  account_link();
  if (kind == Link::tunnel) link_bytes_ = accounted_to_client_;
}

// True when both sockets speak for themselves again. False: something is under way.
bool Exchange::go_on_after_link() {
  if (!worker_.splicer()->take_back(link_)) return false;
  const uint64_t up = request_body_.to_come().value_or(0);
  leave_link();
  // The backend answers early: the rest of the request is copied.
  if (up > 0 && up <= Splicer::kMaxBudget && !request_body_.complete()) link_refused_ = true;
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

// A FIN that was on its way to its stack when the link was made. True: the tunnel is copied.
bool Exchange::undo_tunnel_link() {
  if (!worker_.splicer()->undo(link_)) return false;
  leave_link();
  link_refused_ = true;
  count_fallback("half_closed");
  note_progress();
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
  if (linked_ != Link::tunnel && linked_ != Link::judged) return false;
  if (worker_.splicer()->idle_ms(link_) < quiet_ms || !worker_.splicer()->quiet(link_)) return false;
  if (linked_ == Link::judged) {
    if (worker_.splicer()->resumed(link_)) return false;
    // A backend may take its time; `timeouts` say how long.
    if (worker_.splicer()->standing(link_).exchange != Splicer::Standing::Exchange::none) return false;
    judged_link_ended(Splicer::End::idle);
    return true;
  }
  worker_.stats().links_cut++;
  leave_link();
  worker_.splicer()->cut(link_);
  record(status_);
  // The programs translate for the sockets as long as this process runs: so it hears the client out.
  over(Downstream::After::linger);
  return true;
}

void Exchange::budget_spent() {
  spent_ = true;
  worker_.poller().resume_later(client_);
}

void Exchange::request_handed() { worker_.poller().resume_later(client_); }

void Exchange::request_lost() {
  lost_ = true;
  worker_.poller().resume_later(client_);
}

void Exchange::link_ended(Splicer::End end) {
  link_end_ = end;
  worker_.poller().resume_later(client_);
}

void Exchange::go_on_after_end(Splicer::End end) {
  if (linked_ == Link::judged) return judged_link_ended(end);
  Stats& stats = worker_.stats();
  if (end == Splicer::End::idle && linked_ == Link::body && go_on_after_link()) {
    // As if it had been copied: whoever is waited for is told.
    timed_out();
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
