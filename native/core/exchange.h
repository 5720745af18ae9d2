// One request and its response: read the head, find the route, let the policy choose, connect, forward both ways,
// account for it. Split over exchange_*.cc by phase.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../engine/splicer.h"
#include "body_pump.h"
#include "downstream.h"
#include "field_summary.h"
#include "http_parser.h"
#include "snapshot.h"
#include "upstream.h"

namespace longsplice {

class Exchange : private Splicer::Owner {
 public:
  enum class HeadResult : uint8_t { need_more, nothing, closed, moved_on };

  Exchange(Downstream& client, SnapshotPtr snapshot);
  ~Exchange();
  static void* operator new(size_t bytes);
  static void operator delete(void* memory);

  // Bytes that the connection already holds become the beginning of the request; what lies beyond its end goes back.
  void take_input(Buffer& input) { request_bytes_.swap(input); }
  void return_input(Buffer& input);

  // exchange_head.cc
  HeadResult read_head();
  void head_timed_out();

  // exchange_select.cc
  void decided(int32_t slot);
  // To the response that is to come, as the policies want it.
  void add_response_field(std::string_view line) { policy_fields_.append(line).append("\r\n"); }
  Pool::Turn try_from_queue();
  bool step_connecting();

  // exchange_forward.cc
  bool step_forwarding();
  void on_upstream_event() { client_.drive(); }

  // exchange_end.cc
  void timed_out();
  void client_gone();
  // exchange_link.cc
  // For draining: ends a link on which nothing happened for so long. False when there is no such link.
  bool close_quiet_link(uint64_t quiet_ms);
  // exchange_verdict.cc
  // The next request of a link comes to user space.
  void recall_link();
  // A link counts as an exchange in flight while one is under way on it.
  void note_load();
  // Ends a link whose backend is down.
  bool leave_lost_backend();

  // The client has a part of a response or tunnel whose end it can see from the connection only.
  bool response_ends_with_connection() const {
    return response_started_ && (response_ends_by_close_ || tunnel_);
  }

  // The connection closes under the exchange: release everything, answer nothing.
  void abandon();

 private:
  enum class Failure : uint8_t { connect, connect_timeout, reset, garbage, response_timeout };

  // exchange_head.cc
  HeadResult on_head();
  HeadResult refuse(uint32_t status, const char* reason);
  void believe_peer(const ForwardingRules& forwarding);
  const char* check_request_line() const;
  bool read_target();
  bool find_route();

  // exchange_select.cc
  void choose();
  // Of the plan that the backends are of: the request's, or one that came while it waited.
  const SnapshotPtr& pool_snapshot() const { return renewed_ ? renewed_ : snapshot_; }
  bool is_left(const Backend& backend) const;
  bool any_left() const;
  void use(int32_t slot);
  void none_left(std::string_view why);
  void wait_in_queue(Pool::Queue queue);
  void not_served(std::string_view why);
  bool renew_pool();
  void leave_queue();
  const Backend* find_backend(uint32_t slot) const;
  void note_place();
  bool connect();
  Upstream* open_upstream();
  bool may_reuse() const;
  void drop_upstream();

  // exchange_forward.cc
  void start_request();
  void write_request_head(Buffer& out);
  void write_proxy_protocol(Buffer& out);
  bool pump_request();
  bool pump_response();
  bool read_response_head();
  // False when the message cannot be forwarded.
  bool forward_response_head(std::string_view bytes, size_t& used);
  bool forward_interim_response();
  // False when the body is malformed from the start.
  bool start_response(const FieldSummary& fields, std::string_view rest, size_t& used);
  void write_response_head(Buffer& out, const FieldSummary& fields, BodyFraming framing);
  void keep_told_headers();
  bool client_keeps_open() const;
  void account_bytes();
  void note_progress();
  void note_request_progress(uint64_t bytes);

  // exchange_link.cc
  enum class Link : uint8_t { none, body, tunnel, judged };
  void count_fallback(const char* reason);
  const char* join(Link kind, const Splicer::Terms& terms);
  void shed_request();
  // With less of a body on its way to this host, copying is cheaper (measured: docs/packet-engine.md).
  static constexpr uint64_t kLeastLinkedBody = 512 * 1024;
  bool try_body_link();
  bool try_tunnel_link(bool fresh);
  bool step_linked();
  bool relay(Stream& from, Stream& to, bool to_backend);
  bool relay_what_slipped();
  bool go_on_after_link();
  void account_body_link(const Splicer::Totals& totals);
  void account_link();
  void leave_link();
  bool undo_tunnel_link();
  void cut_link();
  void link_ended(Splicer::End end) override;
  void budget_spent() override;
  void request_handed() override;
  void request_lost() override;
  void go_on_after_end(Splicer::End end);

  // exchange_verdict.cc
  void plan_link();
  const char* link_obstacle() const;
  bool may_link() const;
  bool may_pass() const;
  bool try_link();
  void send_by_link();
  void take_handed_bytes();
  bool take_late_bytes();
  void keep_early(uint32_t bytes);
  bool step_judged();
  void leave_translated_backend();
  bool go_on_after_verdicts();
  void adopt(const Splicer::Standing& standing);
  void adopt_head();
  void await_response();
  void give_client_back(Downstream::After after);
  void judged_link_ended(Splicer::End end);
  bool waits_for_client(Splicer::End end);
  void backend_closed();
  void request_passed(const Splicer::Passed& passed) override;
  void log_passed(const Splicer::Passed& passed);

  // Not registered; what nginx and HAProxy operators look for when a client left before the answer.
  static constexpr uint32_t kClientClosedRequest = 499;

  // exchange_retry.cc
  void upstream_failed(Failure failure);
  bool may_retry(Failure failure) const;
  static const char* failure_name(Failure failure);
  bool idempotent() const;
  void note_failure();
  void tell_failed_attempt();
  int32_t budget() const;
  bool has_budget();
  bool take_from_budget();
  void leave_budget();

  // exchange_end.cc
  bool backend_stays() const;
  void answer(uint32_t status, std::string_view detail);
  void finish();
  bool has_right_window();
  void over(Downstream::After after);
  // What is counted, logged and told to policies of a request that is over.
  struct Outcome {
    uint32_t route;
    uint32_t status;
    bool answered;  // by a backend
    bool ok;
    uint64_t started_ns, decided_ns, ended_ns;
    uint64_t head_us;
    uint64_t bytes;
    std::string_view method, target, protocol, referer, user_agent, engine, forward;
  };
  void record(uint32_t status);
  void report(const Outcome& outcome);
  void hold_place();
  void release_place();
  const char* engine_name() const;
  const char* forward_name() const;
  TemplateValues template_values();
  std::string_view id();  // made when it is first asked for
  std::string_view method() const;
  std::string_view target() const { return target_; }
  // Who sent the request, as far as we believe what we are told.
  const std::string& client_address() const;
  uint16_t client_port() const;

  Downstream& client_;
  Worker& worker_;
  SnapshotPtr snapshot_;

  // The request.
  Buffer request_bytes_;
  size_t parsed_ = 0;
  size_t request_used_ = 0;  // bytes of request_bytes_ that belong to this request
  HttpParser request_parser_;
  MessageHead request_;
  FieldSummary request_fields_;
  BodyPump request_body_;
  std::string_view target_;  // origin-form
  std::string_view authority_;
  std::string_view host_;
  std::string host_storage_;
  std::string target_storage_;
  std::string kept_;             // see `shed_request`
  std::array<char, 16> id_{};    // see `id`
  std::string original_client_;  // as a trusted proxy says
  uint16_t original_port_ = 0;
  uint64_t started_ns_ = 0;  // 0 until the clock was read: once for a head that arrives whole
  bool head_complete_ = false;
  bool asks_upgrade_ = false;
  bool peer_trusted_ = false;

  // The choice.
  const HeaderRules* rules_ = nullptr;
  const Pool* pool_ = nullptr;
  const Backend* backend_ = nullptr;
  SnapshotPtr renewed_;  // whose `pool_` and `backend_` are, if not `snapshot_`'s
  std::vector<uint32_t> tried_;
  std::string policy_fields_;  // lines for the head of the response
  uint64_t head_done_ns_ = 0;
  uint32_t route_ = UINT32_MAX;
  uint32_t attempts_ = 0;
  uint32_t token_ = 0;
  int failure_status_ = 0;
  bool holds_place_ = false;
  bool in_budget_ = false;                    // of retries
  const char* retry_reason_ = nullptr;        // of one that is about to be made
  bool cut_short_ = false;                    // a response on a link
  bool failure_noted_ = false;                // of the backend, in this attempt
  bool owes_budget_ = false;                  // what it left when it began to wait for a place
  Pool::Queue queue_{};                       // the one that it waits in
  std::optional<uint64_t> given_at_timeout_;  // of the request, to a backend that may not take it
  bool queued_ = false;
  bool avoid_reuse_ = false;

  // The response.
  Upstream* upstream_ = nullptr;
  MessageHead response_;
  std::vector<std::optional<std::string>> told_headers_;  // to the policies
  BodyPump response_body_;
  uint64_t sent_ns_ = 0;  // or when the backend was chosen, which is next to nothing before that
  uint64_t response_head_ns_ = 0;
  uint64_t ended_ns_ = 0;  // set when the response came in one piece: then no other clock needs to be read
  ByteCount accounted_upstream_;
  ByteCount accounted_downstream_;
  uint32_t status_ = 0;
  uint32_t interim_responses_ = 0;
  uint32_t waits_ = 0;                // for the client to acknowledge what a backend sent last
  uint64_t link_bytes_ = 0;           // to the client, past this process
  uint64_t accounted_to_client_ = 0;  // of the link, in the counters
  uint64_t accounted_to_backend_ = 0;
  Splicer::LinkId link_ = 0;
  // Of the link's bytes, what may still come this way, and what did.
  struct Relayed {
    uint64_t left = 0;
    uint64_t bytes = 0;
  };
  Relayed up_;
  Relayed down_;
  // What came with the packet at which a link returned, while it was being looked for bytes to relay.
  Buffer late_from_client_;
  Buffer late_from_backend_;
  bool wants_link_ = false;               // on which the response passes
  bool client_closed_ = false;            // while the link stood
  bool passes_ = false;                   // ... and requests that follow
  bool link_refused_ = false;             // for the body or the tunnel
  bool spent_ = false;                    // the budgets of the link may be
  bool lost_ = false;                     // the request, on its way past the stacks
  Buffer sent_head_;                      // of a request that may get lost there
  std::optional<Splicer::End> link_end_;  // news of it
  Link linked_ = Link::none;
  Link carried_ = Link::none;   // at any time
  size_t unread_response_ = 0;  // bytes in the backend's input that nobody has looked at
  uint64_t upstream_idle_ms_ = 0;
  uint64_t request_progress_ = 0;  // bytes since the timer was last armed
  bool replayable_ = true;
  bool upstream_write_failed_ = false;
  bool response_started_ = false;  // a byte of the final head was handed to the client's connection
  bool client_keep_alive_ = false;
  bool response_ends_by_close_ = false;
  bool tunnel_ = false;
  bool recorded_ = false;
  bool over_ = false;
};

}  // namespace longsplice
