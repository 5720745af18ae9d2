#include "pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "socket_count.h"

namespace longsplice {

std::unique_ptr<Pipe> Pipe::open(const char*& reason) {
  if (!SocketCount::of_process().pipe_opened()) {
    reason = "pool";
    return nullptr;
  }
  // From here on the destructor gives the place back.
  std::unique_ptr<Pipe> pipe(new Pipe);
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) {
    reason = "descriptors";
    return nullptr;
  }
  pipe->reader_ = Fd(ends[0]);
  pipe->writer_ = Fd(ends[1]);
  // Refused above fs.pipe-max-size, and where the pipes of this user together are above fs.pipe-user-pages-soft.
  if (::fcntl(ends[1], F_SETPIPE_SZ, kBytes) < 0) {
    reason = "pipe_pages";
    return nullptr;
  }
  return pipe;
}

Pipe::~Pipe() { SocketCount::of_process().pipe_closed(); }

}  // namespace longsplice
