// What tells libFuzzer which code a run came through. Its own means is clang's; g++, which the product is built with, calls
// the hook below on each edge, and libFuzzer takes counters of any kind from a section of this name.
#include <cstdint>

namespace {

constexpr std::uintptr_t kCounters = 1u << 16;
__attribute__((section("__libfuzzer_extra_counters"))) std::uint8_t counters[kCounters];

}  // namespace

// libFuzzer has an empty hook of the name; the linker's --wrap puts this one in its place.
extern "C" void __wrap___sanitizer_cov_trace_pc() {
  const auto place = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  std::uint8_t& counter = counters[(place ^ (place >> 16)) % kCounters];
  if (counter < 255) ++counter;
}

// g++ tells of comparisons of floating-point numbers as well, which libFuzzer has no use for.
extern "C" void __sanitizer_cov_trace_cmpf(float, float) {}
extern "C" void __sanitizer_cov_trace_cmpd(double, double) {}
