// Forward modes `request` and `connection`: a request is sent, and its connection joined to the backend's. The response
// passes in the kernel; so do requests that follow, in `connection`, as long as a verdict says that they lead to the same
// backend. Any other returns, and is an exchange again.
#include <algorithm>

#include "exchange.h"
#include "worker.h"

namespace longsplice {

using Standing = Splicer::Standing;

namespace {
// Mostly an acknowledgement is there already, and it is never later than the longest delay of one (40 ms).
constexpr uint64_t kAcknowledgedMs = 5;
constexpr uint32_t kMostWaits = 20;
}  // namespace

// ---- Joining -------------------------------------------------------------------------------------------------------

// What rules it out before a connection to the backend is made; the rest is seen when joining.
const char* Exchange::link_obstacle() const {
  if (worker_.splicer() == nullptr) return "engine";
  if (worker_.translates(backend_->slot)) return "nat";
  // The backend would answer as to HTTP/1.1.
  if (request_.minor == 0) return "http_1_0";
  return client_.stream().peer_closed() ? "half_closed" : nullptr;
}

// Nothing but a response is to be expected before the next request.
bool Exchange::may_link() const {
  if (asks_upgrade_ || request_fields_.expect_continue || !persists(request_, request_fields_)) return false;
  if (request_framing(request_fields_) != BodyFraming::none || request_bytes_.size() > request_.length)
    return false;
  return !client_.pipelines() && !worker_.draining() && pool_->proxy_protocol == ProxyProtocol::none;
}

// The next requests on the link can be compared with this one.
bool Exchange::may_pass() const {
  return request_fields_.host.size() <= Splicer::kLongestHost &&
         request_.text(request_.target).starts_with('/') && snapshot_->passes_by_connection(route_);
}

void Exchange::plan_link() {
  wants_link_ = false;
  // A connection that makes one request is served for less than a link costs.
  if (!snapshot_->passes_responses(route_) || !client_.served()) return;
  if (const char* obstacle = link_obstacle()) return count_fallback(obstacle);
  wants_link_ = may_link();
}

// True when the link stands. Else the exchange goes on as any other.
bool Exchange::try_link() {
  Buffer& out = upstream_->stream().output();
  write_request_head(out);
  passes_ = may_pass();
  const Splicer::Verdict verdict{
      .length = request_.length,
      .passes = passes_,
      .pool = snapshot_->route_pools[route_],
      .backend = backend_->slot,
      .host_class = passes_ ? worker_.verdicts().host_class(host_) : 0,
      .host = passes_ ? request_fields_.host : std::string_view(),
      .head = method() == "HEAD",
      .started_ns = started_ns_,
  };
  if (!client_.input().empty() || join(Link::judged, {.verdict = verdict}) != nullptr) {
    wants_link_ = false;
    out.release();
    return false;
  }
  if (worker_.splicer()->direct(link_)) {
    sent_head_.swap(out);
    send_by_link();
  }
  return true;
}

void Exchange::send_by_link() {
  if (worker_.splicer()->direct(link_)) return worker_.splicer()->send_past_stack(link_, sent_head_.view());
  upstream_->stream().output().append(sent_head_.view());
  sent_head_.release();
}

// ---- While it stands -----------------------------------------------------------------------------------------------

// What a parked socket got: with the packet at which the link returned, or in the moment in which it was made. False: from
// the backend, and it cannot be what was waited for.
bool Exchange::take_late_bytes() {
  Stream& client = client_.stream();
  Stream& backend = upstream_->stream();
  size_t received = 0;
  while (client.readable()) {
    const Stream::Read result = client.receive(worker_.scratch(), Worker::kScratchBytes, received);
    if (result == Stream::Read::data) {
      keep_early(static_cast<uint32_t>(received));
      late_from_client_.append({worker_.scratch(), received});
    } else if (result == Stream::Read::closed && !std::exchange(client_closed_, true)) {
      keep_early(1);  // FIN has a number
    } else {
      break;
    }
  }
  while (backend.readable() &&
         backend.receive(worker_.scratch(), Worker::kScratchBytes, received) == Stream::Read::data) {
    late_from_backend_.append({worker_.scratch(), received});
  }
  return worker_.splicer()->resumed(link_) || (late_from_backend_.empty() && !backend.peer_closed());
}

// Behind the request that the link was made with, before its response. It is served when that is complete.
void Exchange::keep_early(uint32_t bytes) {
  if (worker_.splicer()->resumed(link_)) return;
  worker_.splicer()->keep_early_request(link_, bytes);
  client_.note_pipelining();
}

bool Exchange::step_judged() {
  if (std::exchange(lost_, false) && !sent_head_.empty()) send_by_link();
  // Answers to earlier requests may still be on their way to the client.
  if (!client_.stream().flush()) {
    cut_link();
    return true;
  }
  const bool sent = upstream_->stream().flush();
  const bool well = take_late_bytes() && sent;
  Splicer& splicer = *worker_.splicer();
  if (splicer.resumed(link_)) return go_on_after_verdicts();
  const Standing standing = splicer.standing(link_);
  if (!well) {
    const bool for_own = standing.exchange == Standing::Exchange::waiting && standing.head.empty();
    if (for_own && !late_from_backend_.empty()) {
      leave_translated_backend();
    } else if (waits_for_client(Splicer::End::closed)) {
      return false;
    } else {
      backend_closed();
    }
    return true;
  }
  // What the client sent ahead is served when it has all of the response before: `budget_spent` says so.
  if ((late_from_client_.empty() && !client_closed_) || standing.exchange != Standing::Exchange::none)
    return false;
  return !splicer.await_quiet(link_) && go_on_after_verdicts();
}

// The response took the way of the stacks: on its way to the backend a packet filter of this host changes addresses, which
// the programs do not see. Nothing has passed, and nothing would.
void Exchange::leave_translated_backend() {
  count_fallback("nat");
  worker_.note_translation(backend_->slot);
  leave_link();
  worker_.splicer()->cut(link_);
  carried_ = Link::none;
  await_response();
}

// ---- When it returns -----------------------------------------------------------------------------------------------

// True when both sockets speak for themselves again. False: the backend has yet to acknowledge something.
bool Exchange::go_on_after_verdicts() {
  Splicer& splicer = *worker_.splicer();
  splicer.handle_events();
  const Standing standing = splicer.standing(link_);
  if (!splicer.take_back(link_)) {
    client_.look_again(kAcknowledgedMs);
    return false;
  }
  take_handed_bytes();
  if (standing.pipelines) client_.note_pipelining();
  const bool answered = standing.exchange == Standing::Exchange::none;
  if (!answered) adopt(standing);
  worker_.stats().links_resumed++;
  leave_link();
  if (answered) {
    give_client_back(Downstream::After::keep_alive);
  } else {
    await_response();
  }
  return true;
}

// They came before whatever is in the client's socket.
void Exchange::take_handed_bytes() {
  const std::string_view handed = worker_.splicer()->handed(link_);
  if (handed.empty()) return;
  Buffer bytes;
  bytes.append(handed);
  bytes.append(late_from_client_.view());
  late_from_client_.swap(bytes);
}

// Whose response comes next: that of the request which made the link, or one that passed.
void Exchange::adopt(const Standing& standing) {
  hold_place();
  if (!standing.head.empty()) {
    request_bytes_.release();
    request_bytes_.append(standing.head);
    adopt_head();
    started_ns_ = head_done_ns_ = sent_ns_ = standing.started_ns;
    upstream_->note_reuse();
  }
  response_head_ns_ = standing.responded_ns;
  status_ = standing.status;
  link_bytes_ = standing.body;
  response_started_ = standing.status != 0;
  cut_short_ = standing.exchange == Standing::Exchange::responding;
}

// It was judged to be plain, so it can be read.
void Exchange::adopt_head() {
  request_parser_.start(HttpParser::Kind::request, &request_,
                        {snapshot_->limits.header_bytes, snapshot_->limits.headers});
  parsed_ = request_bytes_.size();
  request_parser_.parse_head(request_bytes_.data(), 0, parsed_);
  request_fields_ = summarize_fields(request_);
  request_used_ = request_.length;
  read_target();
  host_ = normalize_host(authority_, host_storage_);
  find_route();
  id_.front() = '\0';
  tried_.clear();
  attempts_ = interim_responses_ = 0;
  failure_status_ = 0;
  avoid_reuse_ = recorded_ = false;
  // Those of the request that the link was made for.
  policy_fields_.clear();
  told_headers_.clear();
  replayable_ = true;
  ended_ns_ = 0;
}

void Exchange::await_response() {
  unread_response_ = late_from_backend_.size();
  upstream_->input().append(late_from_backend_.view());
  late_from_backend_.release();
  client_.input().append(late_from_client_.view());
  late_from_client_.release();
  upstream_->parser().start(HttpParser::Kind::response, &response_,
                            {snapshot_->limits.header_bytes, snapshot_->limits.headers});
  note_progress();
}

// Nothing is under way. The backend's connection serves others, if it has nothing to say.
void Exchange::give_client_back(Downstream::After after) {
  record(status_);
  const bool closes = upstream_->stream().peer_closed() || worker_.splicer()->standing(link_).backend_closes;
  if (late_from_backend_.empty() && !closes && backend_stays()) {
    upstream_->become_idle(upstream_->idle_limit_ms());
    upstream_ = nullptr;
  }
  client_.input().append(late_from_client_.view());
  over(after);
}

// ---- When it ends --------------------------------------------------------------------------------------------------

void Exchange::judged_link_ended(Splicer::End end) {
  Splicer& splicer = *worker_.splicer();
  Stats& stats = worker_.stats();
  splicer.handle_events();
  if (end == Splicer::End::closed) {
    stats.links_reset++;
    return backend_closed();
  }
  if (end == Splicer::End::idle && splicer.resumed(link_)) {
    go_on_after_verdicts();
    return;
  }
  const Standing standing = splicer.standing(link_);
  if (standing.exchange != Standing::Exchange::none) adopt(standing);
  if (end == Splicer::End::idle && standing.exchange != Standing::Exchange::responding &&
      splicer.take_back(link_)) {
    stats.links_idle++;
    take_handed_bytes();
    leave_link();
    if (standing.exchange == Standing::Exchange::none) {
      return give_client_back(late_from_client_.empty() ? Downstream::After::close
                                                        : Downstream::After::keep_alive);
    }
    await_response();
    return timed_out();
  }
  if (end == Splicer::End::idle) {
    stats.links_idle++;
    return cut_link();
  }
  stats.links_reset++;
  leave_link();
  const bool silent = splicer.release(link_);
  if (!silent) upstream_->stream().reset();
  if (!recorded_) record(status_ != 0 ? status_ : kClientClosedRequest);
  over(silent ? Downstream::After::silent : Downstream::After::reset);
}

// The backend went right behind a complete response. The client has it as good as certainly, but its acknowledgement may take
// as long as a delayed one, and only then can its connection go on without the backend's.
bool Exchange::waits_for_client(Splicer::End end) {
  Splicer& splicer = *worker_.splicer();
  if (end != Splicer::End::closed || ++waits_ > kMostWaits) return false;
  splicer.handle_events();
  const Standing standing = splicer.standing(link_);
  if (standing.exchange == Standing::Exchange::responding || standing.client_has_all) return false;
  link_end_ = end;
  client_.look_again(kAcknowledgedMs);
  return true;
}

// The client has not heard of it. As long as it has no byte of a response that will not be whole, it need not.
void Exchange::backend_closed() {
  Splicer& splicer = *worker_.splicer();
  leave_link();
  splicer.cut(link_);
  take_handed_bytes();
  // Not before: until then a request may still pass, which nobody would answer.
  const Standing standing = splicer.standing(link_);
  const bool answered = standing.exchange == Standing::Exchange::none;
  if (!answered) adopt(standing);
  upstream_->stream().reset();
  if (cut_short_) note_failure();
  if (cut_short_ || !standing.client_has_all) return client_gone();
  if (answered) {
    drop_upstream();
    record(status_);
    client_.input().append(late_from_client_.view());
    return over(Downstream::After::keep_alive);
  }
  client_.input().append(late_from_client_.view());
  late_from_client_.release();
  upstream_failed(Failure::reset);
}

void Exchange::recall_link() {
  if (linked_ == Link::judged) worker_.splicer()->recall(link_);
}

void Exchange::note_load() {
  if (linked_ != Link::judged) return;
  if (worker_.splicer()->exchanging(link_)) {
    hold_place();
  } else {
    release_place();
  }
}

bool Exchange::leave_lost_backend() {
  if (linked_ != Link::judged) return false;
  if (worker_.load().get(backend_->slot, LoadField::health) != LoadTable::kUnhealthy) return false;
  link_end_ = Splicer::End::closed;
  return true;
}

// ---- What passed ---------------------------------------------------------------------------------------------------

void Exchange::request_passed(const Splicer::Passed& passed) {
  account_link();
  const uint64_t head_us = (passed.responded_ns - passed.started_ns) / 1000;
  worker_.load().observe_head_time(backend_->slot, head_us);
  if (passed.route != VerdictTable::kReturns) {
    worker_.load().add(backend_->slot, LoadField::requests, 1);
    id_.front() = '\0';
    return log_passed(passed);
  }
  status_ = passed.status;
  response_head_ns_ = passed.responded_ns;
  ended_ns_ = passed.ended_ns;
  link_bytes_ = passed.body;
  leave_budget();
  record(status_);
  shed_request();
  // Its response is complete; what the client sent behind it can be served.
  if (!late_from_client_.empty() || client_closed_) worker_.poller().resume_later(client_);
}

// Of the head there is as much as the format of the log needs.
void Exchange::log_passed(const Splicer::Passed& passed) {
  MessageHead head;
  if (snapshot_->access_log == AccessLogFormat::combined) {
    HttpParser parser;
    parser.start(HttpParser::Kind::request, &head,
                 {snapshot_->limits.header_bytes, snapshot_->limits.headers});
    parser.parse_head(passed.text.data(), 0, passed.text.size());
  }
  const auto field = [&](std::string_view name) {
    const HeaderField* found = head.find(name);
    return found != nullptr ? head.value(*found) : std::string_view();
  };
  const size_t space = std::min(passed.text.find(' '), passed.text.size());
  const std::string_view behind = passed.text.substr(std::min(space + 1, passed.text.size()));
  report({
      .route = passed.route,
      .status = passed.status,
      .answered = true,
      .ok = passed.status < 500,
      .started_ns = passed.started_ns,
      .decided_ns = passed.started_ns,
      .ended_ns = passed.ended_ns,
      .head_us = (passed.responded_ns - passed.started_ns) / 1000,
      .bytes = passed.body,
      .method = passed.text.substr(0, space),
      .target = behind.substr(0, behind.find(' ')),
      .protocol = "HTTP/1.1",
      .referer = field("referer"),
      .user_agent = field("user-agent"),
      .engine = "packet",
      .forward = "connection",
  });
}

}  // namespace longsplice
