#pragma once

#include <cstdint>
#include <string>
#include <vector>

// How a model's traffic is shared while a release is on its way; see docs/formats.md, "Routes to replicas". Plain values.
namespace ratchet::serving {

struct VersionRef {
  std::int64_t version = 0;
  std::string bundle;  // SHA-256 of its manifest.json

  auto operator<=>(const VersionRef&) const = default;
};

enum class SplitMode { kShadow, kCanary, kAb };

struct SplitArm {
  std::string role;  // shadow, canary, ab
  VersionRef ref;
  double share = 0;  // 0 < s ≤ 1

  bool operator==(const SplitArm&) const = default;
};

// What the arms leave is the live version's; a shadow's arm leaves all.
struct RouteSplit {
  std::int64_t release = 0, step = 0;
  SplitMode mode = SplitMode::kCanary;
  std::vector<SplitArm> arms;

  bool operator==(const RouteSplit&) const = default;
};

inline constexpr size_t kMaxArms = 16;

}  // namespace ratchet::serving
