#include "pipeline/time_zones.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/names.h"

namespace ratchet::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxZoneName = 64;
constexpr size_t kMostSuggested = 3;
constexpr size_t kMostZoneFiles = 10'000;
constexpr std::string_view kNotNames[] = {"localtime", "posixrules", "posix", "right"};

fs::path Database() {
  const char* folder = std::getenv("TZDIR");
  return folder && *folder ? folder : "/usr/share/zoneinfo";
}

// So that no name leads out of the database, or means something else to the library.
bool HasShapeOfName(std::string_view name) {
  auto good = [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-' || c == '+' || c == '/'; };
  return !name.empty() && name.size() <= kMaxZoneName && name[0] != '/' && std::ranges::all_of(name, good) &&
         !std::ranges::count(kNotNames, name.substr(0, name.find('/')));
}

bool IsZoneFile(const fs::path& path) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  std::ifstream file(path, std::ios::binary);
  std::array<char, 4> magic{};
  return file.read(magic.data(), magic.size()) && std::string_view(magic.data(), magic.size()) == "TZif";
}

std::vector<std::string> AllTimeZones() {
  std::vector<std::string> names = {"UTC"};
  std::error_code error;
  fs::path root = Database();
  for (fs::recursive_directory_iterator at(root, error), end; at != end && !error; at.increment(error)) {
    std::string name = at->path().lexically_relative(root).string();
    if (!HasShapeOfName(name)) {
      std::error_code ignored;
      if (at->is_directory(ignored)) at.disable_recursion_pending();
    } else if (name != "UTC" && IsZoneFile(at->path())) {
      names.push_back(std::move(name));
    }
    if (names.size() >= kMostZoneFiles) break;
  }
  return names;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::ranges::replace(lower, ' ', '_');
  return lower;
}

// Up to three zones that the word may mean: by the whole name, or by the city alone.
std::vector<std::string> NamesLike(std::string_view word, const std::vector<std::string>& zones) {
  std::string wanted = Lower(word.substr(0, kMaxZoneName));
  size_t farthest = std::max<size_t>(1, wanted.size() / 4);
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& zone : zones) {
    std::string name = Lower(zone), city = name.substr(name.rfind('/') + 1);
    size_t distance = std::min(EditDistance(wanted, name), EditDistance(wanted, city));
    if (distance <= farthest) near.emplace_back(distance, zone);
  }
  std::ranges::sort(near);
  std::vector<std::string> names;
  for (auto& [distance, zone] : near)
    if (names.size() < kMostSuggested) names.push_back(std::move(zone));
  return names;
}

std::string HintFor(std::string_view name) {
  std::vector<std::string> zones = AllTimeZones(), like = NamesLike(name, zones);
  if (!like.empty()) return fmt::format("Did you mean {}?", fmt::join(like, " or "));
  if (zones.size() == 1)
    return fmt::format("Only UTC is known: there are no zones in {}; install tzdata", Database().string());
  return "Write a name of the IANA database, as UTC, Europe/Berlin or America/New_York";
}

}  // namespace

bool IsTimeZone(std::string_view name) {
  return name == "UTC" || (HasShapeOfName(name) && IsZoneFile(Database() / name));
}

Status CheckTimeZone(std::string_view name) {
  if (IsTimeZone(name)) return {};
  Error error{.code = ErrorCode::kInvalid, .operation = "read the schedule", .subject = Quoted(name)};
  error.cause = "it is not a time zone that is known here";
  error.hint = HintFor(name);
  error.field = "zone";
  return std::unexpected(std::move(error));
}

}  // namespace ratchet::pipeline
