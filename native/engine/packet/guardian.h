// Filters of clsact stay when their process dies. The guardian is a small process of its own that sees that happen and
// removes them; links of tcx need none.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string_view>

#include "../../core/fd.h"

namespace longsplice::packet {

class Guardian {
 public:
  // Guards the filters with this owner's name. Returns nullptr, with errno, if it could not be started.
  static std::unique_ptr<Guardian> start(std::string_view owner);
  // Ends it; it removes nothing then.
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

 private:
  Guardian(pid_t process, Fd lifeline) : process_(process), lifeline_(std::move(lifeline)) {}

  pid_t process_;
  Fd lifeline_;  // the writing end of a pipe: closed by the kernel when this process dies, however it dies
};

}  // namespace longsplice::packet
