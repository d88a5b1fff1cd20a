#include "base/clock.h"

#include <chrono>

namespace ratchet {
namespace {
template <typename ChronoClock>
std::int64_t SinceEpochUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(ChronoClock::now().time_since_epoch()).count();
}
}  // namespace

std::int64_t SystemClock::WallUs() const { return SinceEpochUs<std::chrono::system_clock>(); }
std::int64_t SystemClock::MonotonicUs() const { return SinceEpochUs<std::chrono::steady_clock>(); }

}  // namespace ratchet
