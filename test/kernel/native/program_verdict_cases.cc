#include "program_judged.h"
namespace longsplice::programs {
std::vector<Case> verdict_cases() { return {}; }
}
