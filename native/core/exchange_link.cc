// Forward mode `connection`: after the first request is read and a backend chosen, both connections are joined, and
// everything else goes past this process until one of the ends is done.
#include "exchange.h"
#include "worker.h"

namespace longsplice {

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
  const char* obstacle = link_obstacle();
  wants_link_ = obstacle == nullptr;
  if (!wants_link_) count_fallback(obstacle);
}

void Exchange::count_fallback(const char* reason) { worker_.stats().fallbacks[reason]++; }

bool Exchange::refuse_link(const char* reason) {
  count_fallback(reason);
  wants_link_ = false;
  upstream_->stream().output().release();
  return false;
}

// True when the link stands. Else the exchange goes on as any other.
bool Exchange::try_link() {
  Stream& out = upstream_->stream();
  write_proxy_protocol(out.output());
  write_request_head(out.output());
  // What lies behind the head belongs to the connection, whatever it is.
  out.output().append(request_bytes_.view().substr(request_.length));
  out.output().append(client_.input().view());
  Splicer& splicer = *worker_.splicer();
  Splicer::Terms terms{};
  terms.to_client = client_.stream().output().size();
  terms.to_backend = out.output().size();
  const char* reason = splicer.join(client_.stream().park(splicer), out.park(splicer), terms, *this, link_);
  if (reason != nullptr) return refuse_link(reason);
  // What came between the reading of the numbers and the link is in the queue: bytes will be relayed, but nobody can
  // repeat a FIN to the backend. Nothing has passed yet.
  if (client_.stream().peek() == Stream::Read::closed) {
    splicer.cut(link_);
    return refuse_link("half_closed");
  }
  linked_ = true;
  request_used_ = request_bytes_.size();
  client_.input().release();
  client_.disarm();
  return true;
}

// Bytes that slipped into a parked socket's queue take the way through the other one.
bool Exchange::relay(Stream& from, Stream& to, bool to_backend) {
  for (;;) {
    if (!to.flush()) return false;
    if (to.blocked()) return true;
    size_t received = 0;
    switch (from.receive(worker_.scratch(), Worker::kScratchBytes, received)) {
      case Stream::Read::would_block:
        return true;
      case Stream::Read::closed:
      case Stream::Read::failed:
        return false;
      case Stream::Read::data:
        break;
    }
    const auto bytes = static_cast<uint32_t>(received);
    if (to_backend) {
      worker_.splicer()->relay_to_backend(link_, bytes);
    } else {
      worker_.splicer()->relay_to_client(link_, bytes);
    }
    const iovec piece{worker_.scratch(), received};
    if (!to.send({&piece, 1})) return false;
  }
}

bool Exchange::step_linked() {
  Stream& client = client_.stream();
  Stream& backend = upstream_->stream();
  if (relay(client, backend, true) && relay(backend, client, false)) return false;
  // A parked socket failed by itself: what was sent through it was never acknowledged.
  worker_.stats().links_resumed++;
  cut_link();
  return true;
}

void Exchange::leave_link() {
  const Splicer::Totals totals = worker_.splicer()->totals(link_);
  linked_ = false;
  if (totals.status_ns > sent_ns_) {
    response_head_ns_ = totals.status_ns;
    worker_.load().observe_head_time(backend_->slot, (response_head_ns_ - sent_ns_) / 1000);
  }
  status_ = totals.status;
  link_bytes_ = totals.to_client;
  worker_.stats().packet_bytes_downstream += totals.to_client;
  worker_.stats().packet_bytes_upstream += totals.to_backend;
}

// Both ends are told by RST, with the numbers that they expect.
void Exchange::cut_link() {
  leave_link();
  worker_.splicer()->cut(link_);
  upstream_->stream().reset();
  client_gone();
}

bool Exchange::close_quiet_link(uint64_t quiet_ms) {
  if (!linked_ || worker_.splicer()->idle_ms(link_) < quiet_ms || !worker_.splicer()->quiet(link_))
    return false;
  worker_.stats().links_resumed++;
  leave_link();
  worker_.splicer()->cut(link_);
  record(status_);
  // The programs translate for the sockets as long as this process runs: so it hears the client out.
  over(Downstream::After::linger);
  return true;
}

void Exchange::budget_spent() {}

void Exchange::link_ended(Splicer::End end) {
  Stats& stats = worker_.stats();
  if (end == Splicer::End::idle || end == Splicer::End::late) {
    (end == Splicer::End::idle ? stats.links_idle : stats.links_reset)++;
    cut_link();
  } else {
    (end == Splicer::End::finished ? stats.links_finished : stats.links_reset)++;
    leave_link();
    // Closing the sockets sends nothing.
    worker_.splicer()->release(link_);
    record(status_ != 0 ? status_ : kClientClosedRequest);
    over(Downstream::After::silent);
  }
}

}  // namespace longsplice
