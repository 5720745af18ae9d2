#include "pipe_engine.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "../../core/stream.h"

namespace longsplice {

namespace {

constexpr size_t kBytesPerTurn = 1024 * 1024;
// Where the source brings less at a time, copying costs as little, and it saves the call that finds the socket empty:
// a short splice does not tell that, as it may have been the pipe that was full.
constexpr size_t kLittle = 16 * 1024;

// True when the pipe is empty; else the sink is full, or it failed.
bool empty_pipe(Stream& sink, Passage& passage, bool& failed) {
  Pipe& pipe = *passage.pipe;
  while (pipe.held() > 0) {
    size_t sent = 0;
    failed = !sink.splice_from(pipe.reader(), pipe.held(), sent);
    if (failed || sent == 0) return false;
    pipe.left(sent);
    passage.moved.piped += sent;
  }
  return true;
}

}  // namespace

MoveResult PipeEngine::move(Stream& source, Stream& sink, Passage& passage) {
  const bool by_pipe = passage.pipe || (source.readable() && worth_a_pipe(passage) && provide_pipe(passage));
  if (!by_pipe) return lesser_->move(source, sink, passage);
  const MoveResult result = splice(source, sink, passage);
  if (passage.pipe->held() == 0) spare_ = std::move(passage.pipe);
  return result;
}

bool PipeEngine::worth_a_pipe(const Passage& passage) const {
  if (passage.moved.copied < passage.copy_until) return false;
  const bool endless = passage.remaining == Passage::kUntilClose;
  return (endless ? passage.moved.total() : passage.remaining) >= least_;
}

bool PipeEngine::provide_pipe(Passage& passage) {
  passage.pipe = spare_ ? std::move(spare_) : Pipe::open(passage.fallback);
  return static_cast<bool>(passage.pipe);
}

MoveResult PipeEngine::splice(Stream& source, Stream& sink, Passage& passage) const {
  size_t this_turn = 0;
  bool failed = false;
  for (;;) {
    // A head may be held back for company, but nothing overtakes it.
    if (!sink.flush_now()) return MoveResult::sink_failed;
    if (sink.blocked()) return MoveResult::sink_full;
    if (!empty_pipe(sink, passage, failed)) return failed ? MoveResult::sink_failed : MoveResult::sink_full;
    if (passage.remaining == 0) return MoveResult::done;
    if (this_turn >= kBytesPerTurn) return MoveResult::turn_over;
    size_t received = 0;
    // The pipe is empty here, so EAGAIN means one thing only: the socket is empty, too.
    switch (source.splice_into(passage.pipe->writer(), std::min<uint64_t>(passage.remaining, Pipe::kBytes),
                               received)) {
      case Stream::Read::data:
        break;
      case Stream::Read::would_block:
        return MoveResult::source_empty;
      case Stream::Read::closed:
        return MoveResult::source_closed;
      case Stream::Read::failed:
        return MoveResult::source_failed;
    }
    passage.pipe->entered(received);
    this_turn += received;
    if (passage.remaining != Passage::kUntilClose) passage.remaining -= received;
    if (received < kLittle) passage.copy_until = passage.moved.copied + least_;
  }
}

const char* pipe_obstacle() {
  const char* reason = nullptr;
  const std::unique_ptr<Pipe> pipe = Pipe::open(reason);
  if (!pipe) return reason;
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) return "descriptors";
  const Fd near(pair[0]);
  const Fd far(pair[1]);
  char byte = 'x';
  const bool carried = ::send(near.get(), &byte, 1, MSG_NOSIGNAL) == 1 &&
                       ::splice(far.get(), nullptr, pipe->writer(), nullptr, 1, SPLICE_F_NONBLOCK) == 1 &&
                       ::splice(pipe->reader(), nullptr, far.get(), nullptr, 1, SPLICE_F_NONBLOCK) == 1 &&
                       ::recv(near.get(), &byte, 1, 0) == 1;
  return carried ? nullptr : "splice";
}

}  // namespace longsplice
