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
  unsigned requests;
  size_t up;  // bytes of the last request's body
  size_t down;
  Answer answer;  // to the last request
  Leave leave;
  peer::End end;  // what the client sees in the end; `complete`: it ended the connection by RST
  size_t cookie = 0;  // bytes of one that each request has
};

constexpr Fate kFates[] = {
    {"client-fin", 1, 0, 1'000, Answer::keep, Leave::fin, End::fin},
    {"server-fin", 1, 0, 1'000, Answer::finish, Leave::wait, End::fin},
    {"both-fin", 2, 0, 1'000, Answer::finish, Leave::half, End::fin},
    {"half-close", 2, 20'000, 20'000, Answer::finish, Leave::half, End::fin},
    {"client-rst", 1, 0, 1'000, Answer::keep, Leave::rst_after, End::complete},
    {"client-rst-in-response", 1, 0, 150'000, Answer::keep, Leave::rst_within, End::complete},
    {"client-rst-any-time", 2, 50'000, 50'000, Answer::keep, Leave::rst_any, End::complete},
    {"server-rst", 2, 0, 50'000, Answer::reset_after, Leave::wait, End::reset},
    {"server-rst-early", 1, 0, 0, Answer::reset_early, Leave::wait, End::reset},
    {"server-rst-in-request", 1, 150'000, 0, Answer::reset_body, Leave::wait, End::reset},
    {"idle", 1, 0, 1'000, Answer::keep, Leave::wait, End::reset},
    {"idle-with-cookie", 1, 0, 1'000, Answer::keep, Leave::wait, End::reset, 3'000},
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
    if (end_ != fate_.end) return name_of(end_);
    const bool expects_all = fate_.end == End::fin || fate_.leave == Leave::rst_after;
    return expects_all && responses_ < fate_.requests ? "too few responses" : nullptr;
  }

 private:
  void send_request() {
    const bool last = ++requests_ == fate_.requests;
    const std::string target = "/" + std::to_string(fate_.down) + "/" +
                               static_cast<char>(last ? fate_.answer : Answer::keep) + " HTTP/1.1";
    std::string head = "POST " + target + "\r\nhost: test.example";
    if (fate_.cookie > 0) head += "\r\ncookie: " + std::string(fate_.cookie, 'c');
    socket_.queue(message(head, last ? fate_.up : 0));
    if (last && fate_.leave == Leave::half) socket_.finish_behind();
  }

  void take(std::string_view bytes) {
    input_.append(bytes);
    for (;;) {
      const size_t end = input_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      if (input_.rfind("HTTP/1.1 200 ", 0) != 0) wrong_ = true;
      if (wrong_ || fate_.leave == Leave::rst_within) {
        end_ = reset();
        return;
      }
      const size_t total = end + 4 + length_in(std::string_view(input_).substr(0, end));
      if (input_.size() < total) return;
      if (input_.find_first_not_of('x', end + 4) < total) wrong_ = true;
      input_.erase(0, total);
      responses_++;
      if (!go_on()) return;
    }
  }

  bool go_on() {
    if (requests_ < fate_.requests) {
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
