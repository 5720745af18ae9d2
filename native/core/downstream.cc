#include "downstream.h"

#include <array>
#include <utility>

#include "exchange.h"
#include "listener.h"
#include "proxy_protocol.h"
#include "socket_count.h"
#include "worker.h"

namespace longsplice {

namespace {
// Steps in one go before others get their turn: a client that pipelines must not starve them.
constexpr int kStepsPerTurn = 32;
// RFC 9112, 9.6: how long to read on after our FIN, and how much, so that our last bytes are not lost to a RST.
constexpr uint64_t kLingerMs = 2000;
constexpr uint64_t kLingerBytes = 16 * 1024 * 1024;
}  // namespace

const char* Downstream::state_name(State state) {
  static constexpr std::array<const char*, 7> kNames{"accepted",   "reading-head", "deciding", "connecting",
                                                     "forwarding", "draining",     "closed"};
  return kNames[static_cast<size_t>(state)];
}

Downstream::Downstream(Worker& worker, Listener& listener, const SocketAddress& peer)
    : worker_(worker), listener_(listener), client_address_(peer.host()), client_port_(peer.port()) {
  worker_.add_connection(*this);
}

Downstream::~Downstream() = default;

void Downstream::start(Worker& worker, Listener& listener, Fd fd, const SocketAddress& peer,
                       bool awaits_proxy_header) {
  auto* connection = new Downstream(worker, listener, peer);
  connection->stream_.attach(std::move(fd), worker.held());
  connection->quiet_since_ = worker.poller().now();
  connection->awaits_proxy_header_ = awaits_proxy_header;
  connection->arm(worker.snapshot()->timeouts.header);
  if (!worker.poller().add(connection->stream_.fd(), *connection)) connection->close();
}

void Downstream::arm(uint64_t milliseconds) { worker_.poller().arm(*this, milliseconds); }

void Downstream::look_again(uint64_t milliseconds) { worker_.poller().arm(look_, milliseconds); }

void Downstream::on_events(uint32_t events) {
  stream_.note_events(events);
  drive();
}

void Downstream::drive() {
  for (int steps = 0; steps < kStepsPerTurn; steps++) {
    if (!step()) return;
    finished_.reset();
  }
  worker_.poller().resume_later(*this);
}

// Returns true when the state changed and there may be more to do.
bool Downstream::step() {
  switch (state_) {
    case State::accepted:
    case State::reading_head:
      return step_reading_head();
    case State::deciding:
    case State::connecting:
      // Nobody is left to answer: free the place in the queue or at the backend.
      if (stream_.broken()) {
        exchange_->client_gone();
        return true;
      }
      return exchange_->step_connecting();
    case State::forwarding:
      return exchange_->step_forwarding();
    case State::draining:
      return step_draining();
    case State::closed:
      return false;
  }
  return false;
}

bool Downstream::step_reading_head() {
  if (!stream_.flush() || (stream_.broken() && !stream_.readable())) {
    close();
    return false;
  }
  // The next request is not looked at before the last answer is taken: else a client that only sends could pile up
  // answers here.
  if (stream_.blocked()) return false;
  if (std::exchange(flushing_, false)) arm(worker_.snapshot()->timeouts.idle);
  if (awaits_proxy_header_ && !read_proxy_header()) return false;
  if (!exchange_) {
    if (input_.empty() && !stream_.readable()) return false;
    begin_exchange();
  }
  switch (exchange_->read_head()) {
    case Exchange::HeadResult::need_more:
      return false;
    case Exchange::HeadResult::closed:
      // What answers the requests before the FIN goes first.
      if (!stream_.flush_now() || !stream_.blocked()) close();
      return false;
    case Exchange::HeadResult::nothing:
      exchange_.reset();
      return false;
    case Exchange::HeadResult::moved_on:
      return true;
  }
  return false;
}

// True when the header is complete. One that is malformed, or missing where it was agreed upon, ends the connection:
// what follows cannot be trusted to be what it seems.
bool Downstream::read_proxy_header() {
  constexpr size_t kReceiveBytes = 4096;
  for (;;) {
    size_t received = 0;
    char* room = input_.reserve(kReceiveBytes);
    const Stream::Read result = stream_.receive(room, input_.room(), received);
    if (result == Stream::Read::would_block) {
      if (input_.empty()) input_.release();
      return false;
    }
    if (result != Stream::Read::data) break;
    input_.commit(received);
    ProxyHeader header;
    size_t used = 0;
    const ProxyStatus status = longsplice::read_proxy_header(input_.view(), header, used);
    if (status == ProxyStatus::need_more) continue;
    if (status == ProxyStatus::invalid) {
      listener_.refused_proxy_header(client_address_);
      break;
    }
    input_.consume(used);
    awaits_proxy_header_ = false;
    if (header.has_source) {
      client_address_ = header.host;
      client_port_ = header.port;
    }
    return true;
  }
  close();
  return false;
}

void Downstream::begin_exchange() {
  exchange_ = std::make_unique<Exchange>(*this, worker_.snapshot());
  exchange_->take_input(input_);
}

bool Downstream::step_draining() {
  if (!stream_.flush_now()) {
    close();
    return false;
  }
  if (stream_.blocked()) return false;
  if (!linger_) {
    close();
    return false;
  }
  stream_.shut_down_sending();
  for (;;) {
    size_t received = 0;
    const Stream::Read result = stream_.receive(worker_.scratch(), Worker::kScratchBytes, received);
    drained_bytes_ += received;
    if (result == Stream::Read::would_block) return false;
    if (result != Stream::Read::data || drained_bytes_ > kLingerBytes) {
      close();
      return false;
    }
  }
}

void Downstream::exchange_over(After after) {
  exchange_->return_input(input_);
  finished_ = std::move(exchange_);
  if (!std::exchange(served_, true)) SocketCount::of_process().client_served();
  quiet_since_ = worker_.poller().now();
  if (after == After::reset) {
    stream_.reset();
    close();
    return;
  }
  if (after == After::silent) {
    close();
    return;
  }
  if (after == After::keep_alive) {
    state_ = State::reading_head;
    const Timeouts& timeouts = worker_.snapshot()->timeouts;
    flushing_ = stream_.blocked();
    arm(flushing_ ? timeouts.stream : timeouts.idle);
    return;
  }
  linger_ = after == After::linger || !input_.empty() || stream_.readable();
  state_ = State::draining;
  drained_bytes_ = 0;
  arm(stream_.blocked() ? worker_.snapshot()->timeouts.stream : kLingerMs);
}

void Downstream::on_timeout() {
  switch (state_) {
    case State::accepted:
    case State::reading_head:
      // Browsers open connections ahead of need: one that never sent anything gets no answer either.
      if (exchange_) {
        exchange_->head_timed_out();
      } else {
        close();
      }
      break;
    case State::deciding:
    case State::connecting:
    case State::forwarding:
      exchange_->timed_out();
      break;
    case State::draining:
    case State::closed:
      close();
      break;
  }
  drive();
}

void Downstream::close_if_quiet(uint64_t quiet_ms) {
  if (exchange_ && exchange_->close_quiet_link(quiet_ms)) return drive();
  const bool between_requests = (state_ == State::accepted || state_ == State::reading_head) && !exchange_;
  if (!between_requests || stream_.blocked()) return;
  if (worker_.poller().now() - quiet_since_ >= quiet_ms) close();
}

void Downstream::recall_link() {
  if (exchange_) exchange_->recall_link();
}

void Downstream::note_load() {
  if (exchange_) exchange_->note_load();
}

void Downstream::leave_lost_backend() {
  if (!exchange_ || !exchange_->leave_lost_backend()) return;
  drive();
}

void Downstream::decided(int32_t slot) {
  exchange_->decided(slot);
  drive();
}

void Downstream::add_response_field(std::string_view line) { exchange_->add_response_field(line); }

Pool::Turn Downstream::try_from_queue() {
  const Pool::Turn turn = exchange_->try_from_queue();
  drive();
  return turn;
}

void Downstream::close() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  // Cut in the middle, by the end of a drain for example: a FIN could pass for the end of the message.
  const bool cut = stream_.has_output() || (exchange_ && exchange_->response_ends_with_connection());
  if (exchange_) {
    exchange_->abandon();
    finished_ = std::move(exchange_);
  }
  if (cut) stream_.reset();
  stream_.close();
  disarm();
  look_.disarm();
  worker_.remove_connection(*this);
  listener_.connection_ended();
  worker_.poller().retire(this);
}

}  // namespace longsplice
