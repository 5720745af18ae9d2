// Runs cases on a rig; what they find wrong is printed.
//
//   program_test host|kernel GROUP [INTERFACE]
//
// In the kernel: as root, in a network namespace with lo and the named interface up.
#include <cstdio>
#include <cstring>
#include <exception>

#include "program_cases.h"

namespace longsplice::programs {

std::string Rig::counted() {
  static constexpr const char* kNames[] = {
#define LS_COUNTER_NAME(name, text) #name,
      LS_COUNTERS(LS_COUNTER_NAME)
#undef LS_COUNTER_NAME
  };
  const std::vector<uint64_t> now = counters();
  std::string text;
  for (size_t i = 0; i < now.size(); i++) {
    if (now[i] == last_[i]) continue;
    text += (text.empty() ? "" : ", ") + std::string(kNames[i]) + " " + std::to_string(now[i] - last_[i]);
  }
  last_ = now;
  return text;
}

namespace {

int run_all(Rig& rig, const std::string& group) {
  int ran = 0, failed = 0;
  for (const auto& cases : {translate_cases(), option_cases(), ignored_cases(), stack_cases(), copy_cases(),
                            end_cases(), resume_cases(), icmp_cases(), head_cases(), route_cases(),
                            verdict_cases(), direct_cases(), response_cases(), random_cases()}) {
    for (const Case& one : cases) {
      if (group != one.group) continue;
      Report report;
      one.run(rig, report);
      ran++;
      if (report.lines().empty()) continue;
      failed++;
      printf("%s%s\n", one.name, report.lines().c_str());
    }
  }
  printf("%d cases, %d failed\n", ran, failed);
  return ran > 0 && failed == 0 ? 0 : 1;
}

}  // namespace

}  // namespace longsplice::programs

int main(int argc, char** argv) {
  using longsplice::programs::make_host_rig;
  using longsplice::programs::make_kernel_rig;
  if (argc < 3) return 2;
  try {
    const bool in_kernel = strcmp(argv[1], "kernel") == 0;
    const auto rig = in_kernel ? make_kernel_rig(argc > 3 ? argv[3] : "") : make_host_rig();
    return longsplice::programs::run_all(*rig, argv[2]);
  } catch (const std::exception& error) {
    fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
