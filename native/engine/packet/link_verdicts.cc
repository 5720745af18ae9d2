// Links whose requests are judged one by one.
#include <algorithm>
#include <cstring>

#include "links.h"
#include "numbers.h"
#include "verdict_hash.h"

namespace longsplice::packet {

void Links::publish(const VerdictTable& table) {
  depths_ = table.depths;
  version_ = kernel_->publish(table);
}

void Links::place(uint32_t route, std::string_view host, std::string_view target, uint32_t backend) {
  const uint64_t hash = hash_target(hash_host(kernel_->seed(), host), target);
  kernel_->place({version_, route, hash}, backend);
}

namespace {
// So many are given back before the first of them is used again: a program may still be at it. Not more, as those that were
// in use lately are in the processor's cache.
constexpr size_t kRestingJudges = 4096;
}  // namespace

// One that was never used, or the one that was given back first.
bool Links::take_judge(Link& link) {
  if (free_judges_.size() < kRestingJudges && next_judge_ < end_of_judges_)
    free_judges_.push_front(next_judge_++);
  if (free_judges_.empty()) return false;
  link.judge = free_judges_.front();
  free_judges_.pop_front();
  return true;
}

// The programs may read it from the moment on in which the link stands.
void Links::instruct(const Link& link, const Verdict& verdict) {
  ls_judge& j = judge(link);
  j.version = verdict.passes ? version_ : 0;
  j.host_class = verdict.host_class;
  j.pool = verdict.pool;
  j.backend = verdict.backend;
  j.depths = depths_[verdict.host_class];
  j.host_hash = hash_host(kernel_->seed(), verdict.host);
  memset(j.host, 0, sizeof j.host);
  verdict.host.copy(j.host, sizeof j.host);
  j.host_length = static_cast<uint32_t>(verdict.host.size());
  j.busy = 0;
  j.state = LS_WAITING;
  j.request_begin = link.client.begin - link.held;
  j.request_end = link.client.begin;
  j.handed = 0;
  j.direct = link.direct != 0 ? 1 : 0;
  j.early = 0;
  j.fields = 0;
  j.response_begin = j.response_end = link.backend.begin;
  j.head_method = verdict.head ? 1 : 0;
  j.passed.started_ns = verdict.started_ns;
  j.passed.responded_ns = 0;
  j.passed.route = VerdictTable::kReturns;
  j.passed.status = 0;
  for (const Half* half : {&link.client, &link.backend}) {
    record(*half).judge = *link.judge;
    record(*half).flags |= LS_JUDGED;
  }
}

Splicer::Standing Links::standing(LinkId id) const {
  const Link& link = at(id);
  const ls_judge& j = judge(link);
  Standing standing{};
  standing.pipelines = (load(record(link.client).ends) & LS_PIPELINES) != 0;
  const ls_record& b = record(link.backend);
  standing.client_has_all = load(record(link.client).ack_seen) == reached(id, b) + b.delta_seq;
  standing.backend_closes = (load(b.ends) & LS_CLOSES) != 0;
  standing.exchange = exchange_on(id);
  if (standing.exchange == Standing::Exchange::none) return standing;
  const size_t length = std::min<size_t>(j.request_end - j.request_begin, LS_HEAD_MAX);
  if (j.direct == 0) standing.head = {j.head, length};
  standing.started_ns = j.passed.started_ns;
  if (standing.exchange == Standing::Exchange::waiting) return standing;
  standing.responded_ns = j.passed.responded_ns;
  standing.status = j.passed.status;
  standing.body = reached(id, b) - j.body_begin;
  return standing;
}

// A packet that was judged may have been dropped, because the link returned in that moment. It comes again.
Splicer::Standing::Exchange Links::exchange_on(LinkId id) const {
  const Link& link = at(id);
  const ls_judge& j = judge(link);
  const uint32_t state = load(j.state);
  if (state == LS_IDLE) return Standing::Exchange::none;
  if (reached(id, record(link.client)) == j.request_begin && j.request_begin != j.request_end)
    return Standing::Exchange::none;
  const bool unanswered = reached(id, record(link.backend)) == j.response_begin;
  return unanswered || state == LS_WAITING ? Standing::Exchange::waiting : Standing::Exchange::responding;
}

void Links::recall(LinkId id) { store(judge(at(id)).version, 0); }

void Links::on_passed(const ls_passed& passed) {
  const size_t index = passed.record - sockets_.first_record();
  if (index >= links_.size() || links_[index].owner == nullptr) return;
  // Said of an earlier link of the same socket.
  if (sockets_.record(passed.record).phase >> 2 != passed.link) return;
  links_[index].owner->request_passed({
      .started_ns = passed.started_ns,
      .responded_ns = passed.responded_ns,
      .ended_ns = passed.ended_ns,
      .body = passed.body,
      .route = passed.route,
      .status = passed.status,
      .text = {reinterpret_cast<const char*>(&passed + 1), passed.text},
  });
}

uint64_t Links::patience_with(const Link& link, const Patience& patience) const {
  if (!link.judge) return patience.otherwise;
  switch (load(judge(link).state)) {
    case LS_IDLE:
      return patience.between_requests;
    case LS_WAITING:
      return patience.for_response;
    default:
      return patience.otherwise;
  }
}

}  // namespace longsplice::packet
