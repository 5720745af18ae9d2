// The client of the soak: very many short connections in one thread, each with a fate. At its end it writes a line of
// JSON, and on stderr what went otherwise than the fate says.
//
//   churn_client ADDRESS PORT TOTAL AT_ONCE FATE...      the fates in turn; see kFates
#include <chrono>
#include <cstdio>
#include <random>
#include <set>

#include "churn.h"

namespace {

using namespace churn;
using peer::End;
using peer::Endpoint;
using Clock = std::chrono::steady_clock;

enum class Leave {
  fin,         // when the last response is complete
  half,        // FIN behind the last request
  wait,        // when the other side has closed
  rst_after,   // RST when the last response is complete
  rst_within,  // RST at the first bytes of a response
  rst_any,     // RST after a random time, whatever is under way
};

struct Fate {
  const char* name;
  // A letter for each: `t` opens a tunnel, in which those behind it are; `p` is a POST, `g` a GET, `o` a GET that leads to
  // another pool, `c` one that is answered in chunks.
  std::string_view requests;
  size_t up;  // bytes of the last request's body
  size_t down;
  Answer answer;  // to the last request
  Leave leave;
  peer::End end;  // what the client sees in the end; `complete`: it ended the connection by RST
  std::string_view status = "200";  // of the last response
  size_t cookie = 0;                // bytes of one that each request has
};

// So many bytes are asked for by `o`.
constexpr size_t kElsewhere = 1'001;

constexpr Fate kFates[] = {
    {"client-fin", "tp", 0, 1'000, Answer::keep, Leave::fin, End::fin},
    {"server-fin", "tp", 0, 1'000, Answer::finish, Leave::wait, End::fin},
    {"both-fin", "tpp", 0, 1'000, Answer::finish, Leave::half, End::fin},
    {"half-close", "tpp", 20'000, 20'000, Answer::finish, Leave::half, End::fin},
    {"client-rst", "tp", 0, 1'000, Answer::keep, Leave::rst_after, End::complete},
    {"client-rst-in-response", "tp", 0, 150'000, Answer::keep, Leave::rst_within, End::complete},
    {"client-rst-any-time", "tpp", 50'000, 50'000, Answer::keep, Leave::rst_any, End::complete},
    {"server-rst", "tpp", 0, 50'000, Answer::reset_after, Leave::wait, End::reset},
    {"server-rst-early", "tp", 0, 0, Answer::reset_early, Leave::wait, End::reset},
    {"server-rst-in-request", "tp", 150'000, 0, Answer::reset_body, Leave::wait, End::reset},
    {"idle", "tp", 0, 1'000, Answer::keep, Leave::wait, End::reset},

    {"idle-with-cookie", "ggg", 0, 1'000, Answer::keep, Leave::wait, End::reset, "200", 1'500},
    {"judged-series", "gggggg", 0, 1'000, Answer::keep, Leave::fin, End::fin},
    {"judged-post", "gggpggg", 0, 1'000, Answer::keep, Leave::fin, End::fin},
    {"judged-elsewhere", "gggoggg", 0, 1'000, Answer::keep, Leave::fin, End::fin},
    {"judged-chunked", "gggcggg", 0, 1'000, Answer::keep, Leave::fin, End::fin},
    {"judged-long", "ggg", 0, 150'000, Answer::keep, Leave::fin, End::fin},
    {"judged-tunnel", "gggtp", 0, 1'000, Answer::keep, Leave::fin, End::fin},
    {"judged-fin-waiting", "ggg", 0, 1'000, Answer::keep, Leave::half, End::fin},
    {"judged-rst", "ggg", 0, 1'000, Answer::keep, Leave::rst_after, End::complete},
    {"judged-rst-waiting", "ggg", 0, 1'000, Answer::never, Leave::rst_any, End::complete},
    {"judged-rst-in-response", "ggg", 0, 150'000, Answer::keep, Leave::rst_within, End::complete},
    {"judged-rst-any-time", "gggggg", 0, 10'000, Answer::keep, Leave::rst_any, End::complete},
    {"judged-server-fin", "ggg", 0, 1'000, Answer::finish, Leave::fin, End::fin},
    {"judged-server-fin-early", "ggg", 0, 1'000, Answer::finish_early, Leave::fin, End::fin, "502"},
    {"judged-server-fin-in-response", "ggg", 0, 50'000, Answer::finish_within, Leave::wait, End::reset},
    {"judged-server-rst", "ggg", 0, 1'000, Answer::reset_idle, Leave::fin, End::fin},
    {"judged-server-rst-early", "ggg", 0, 1'000, Answer::reset_early, Leave::fin, End::fin, "502"},
    {"judged-server-rst-in-response", "ggg", 0, 50'000, Answer::reset_after, Leave::wait, End::reset},
};

class ClientSide {
 public:
  ClientSide(const Endpoint& endpoint, const Fate& fate, std::mt19937& random)
      : socket_(socket(endpoint.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)), fate_(fate) {
    if (!socket_.open()) die("socket");
    endpoint.connect(socket_.fd());
    if (fate.leave == Leave::rst_any) abort_at_ = Clock::now() + std::chrono::microseconds(random() % 5'000);
    send_request();
  }

  int fd() const { return socket_.fd(); }
  const Fate& fate() const { return fate_; }
  Clock::time_point abort_at() const { return abort_at_; }
  void abort() { end_ = reset(); }

  // False when the connection is over.
  bool step() {
    const bool more = socket_.receive([this](std::string_view bytes) { take(bytes); });
    if (!socket_.open()) return false;
    if (more && socket_.flush()) return true;
    end_ = socket_.was_reset() ? End::reset : End::fin;
    return false;
  }

  // What is not as the fate says, or nothing.
  const char* complaint() const {
    if (fate_.leave == Leave::rst_any) return wrong_ ? "response" : nullptr;
    if (wrong_) return "response";
    // Who has not acknowledged the response in that moment is told.
    if (fate_.answer == Answer::reset_idle && end_ == End::reset) return nullptr;
    if (end_ != fate_.end) return name_of(end_);
    const bool expects_all = fate_.end == End::fin || fate_.leave == Leave::rst_after;
    return expects_all && responses_ < fate_.requests.size() ? "too few responses" : nullptr;
  }

 private:
  bool at_last() const { return requests_ == fate_.requests.size(); }

  void send_request() {
    const char kind = fate_.requests[requests_++];
    if (kind == 't') return socket_.queue(peer::kOpensTunnel);
    const Answer answer = at_last() ? fate_.answer : kind == 'c' ? Answer::chunked : Answer::keep;
    const std::string target = "/" + std::to_string(kind == 'o' ? kElsewhere : fate_.down) + "/" +
                               static_cast<char>(answer) + " HTTP/1.1";
    std::string host = "\r\nhost: test.example";
    if (fate_.cookie > 0) host += "\r\ncookie: " + std::string(fate_.cookie, 'c');
    if (kind == 'p') {
      socket_.queue(message("POST " + target + host, at_last() ? fate_.up : 0));
    } else {
      socket_.queue("GET " + target + host + "\r\n\r\n");
    }
    if (at_last() && fate_.leave == Leave::half) socket_.finish_behind();
  }

  void take(std::string_view bytes) {
    input_.append(bytes);
    for (;;) {
      const size_t end = input_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      const bool opens = fate_.requests[requests_ - 1] == 't';
      const std::string_view status = opens ? "101" : at_last() ? fate_.status : "200";
      if (input_.rfind("HTTP/1.1 " + std::string(status) + " ", 0) != 0) wrong_ = true;
      if (wrong_ || (at_last() && fate_.leave == Leave::rst_within)) {
        end_ = reset();
        return;
      }
      const size_t total = length_of(input_, end + 4);
      if (total == 0 || input_.size() < total) return;
      const bool chunked = fate_.requests[requests_ - 1] == 'c';
      if (status == "200" && !chunked && input_.find_first_not_of('x', end + 4) < total) wrong_ = true;
      input_.erase(0, total);
      responses_++;
      if (!go_on()) return;
    }
  }

  bool go_on() {
    if (!at_last()) {
      send_request();
    } else if (fate_.leave == Leave::rst_after) {
      end_ = reset();
      return false;
    } else if (fate_.leave == Leave::fin) {
      socket_.finish_behind();
    }
    return true;
  }

  End reset() {
    socket_.reset();
    return End::complete;
  }

  Socket socket_;
  const Fate& fate_;
  Clock::time_point abort_at_ = Clock::time_point::max();
  End end_ = End::failed;
  unsigned requests_ = 0;
  unsigned responses_ = 0;
  bool wrong_ = false;
  std::string input_;
};

class Client {
 public:
  Client(Endpoint endpoint, uint64_t total, std::vector<const Fate*> fates)
      : endpoint_(std::move(endpoint)), total_(total), fates_(std::move(fates)) {}

  void run(uint64_t at_once) {
    while (done_ < total_) {
      while (started_ < total_ && started_ - done_ < at_once) start();
      poll_.wait(aborts_.empty() ? 1'000 : 1, [this](void* owner) {
        auto* side = static_cast<ClientSide*>(owner);
        if (!side->step()) finish(side);
      });
      while (!aborts_.empty() && aborts_.begin()->first <= Clock::now()) {
        ClientSide* side = aborts_.begin()->second;
        side->abort();
        finish(side);
      }
    }
    printf(R"({"done":%llu,"wrong":%llu})"
           "\n",
           static_cast<unsigned long long>(done_), static_cast<unsigned long long>(wrong_));
  }

 private:
  void start() {
    auto* side = new ClientSide(endpoint_, *fates_[started_++ % fates_.size()], random_);
    poll_.add(side->fd(), side);
    if (side->abort_at() != Clock::time_point::max()) aborts_.emplace(side->abort_at(), side);
  }

  void finish(ClientSide* side) {
    const char* complaint = side->complaint();
    if (complaint != nullptr && wrong_++ < 20) fprintf(stderr, "%s: %s\n", side->fate().name, complaint);
    aborts_.erase({side->abort_at(), side});
    delete side;
    done_++;
  }

  Endpoint endpoint_;
  uint64_t total_;
  std::vector<const Fate*> fates_;
  Poll poll_;
  std::mt19937 random_{1};
  std::set<std::pair<Clock::time_point, ClientSide*>> aborts_;
  uint64_t started_ = 0, done_ = 0, wrong_ = 0;
};

const Fate* fate_called(std::string_view name) {
  for (const Fate& fate : kFates) {
    if (fate.name == name) return &fate;
  }
  errno = 0;
  die("fate " + std::string(name));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) die("churn_client ADDRESS PORT TOTAL AT_ONCE FATE...");
  const Endpoint endpoint(argv[1], static_cast<uint16_t>(to_number(argv[2], "port")));
  std::vector<const Fate*> fates;
  for (int i = 5; i < argc; i++) fates.push_back(fate_called(argv[i]));
  Client client(endpoint, to_number(argv[3], "total"), fates);
  client.run(to_number(argv[4], "at once"));
}
