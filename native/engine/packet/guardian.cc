#include "guardian.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "filters.h"

namespace longsplice::packet {

namespace {

// Runs in the child, between fork and _exit, where another thread of the parent may have held any lock: so only system
// calls. All signals are blocked, because the handlers here are the parent's, and would write to the parent's pipes.
[[noreturn]] void guard(int lifeline, std::string_view owner) {
  setsid();
  // 15 characters are all that the kernel keeps.
  prctl(PR_SET_NAME, "splice-guardian");
  // What the parent closes must be closed, and the file system that it ran from may be unmounted.
  if (lifeline != 0) dup2(lifeline, 0);
  close_range(1, UINT_MAX, 0);
  if (chdir("/") != 0) _exit(1);
  char nothing;
  while (read(0, &nothing, 1) < 0 && errno == EINTR) continue;
  remove_all_filters(owner);
  _exit(0);
}

}  // namespace

std::unique_ptr<Guardian> Guardian::start(std::string_view owner) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return nullptr;
  const Fd reading(pipe_ends[0]);
  Fd writing(pipe_ends[1]);
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t process = fork();
  if (process == 0) guard(reading.get(), owner);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  if (process < 0) return nullptr;
  return std::unique_ptr<Guardian>(new Guardian(process, std::move(writing)));
}

Guardian::~Guardian() {
  kill(process_, SIGKILL);
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) continue;
}

}  // namespace longsplice::packet
