#include "tests/gate/reference_cases.h"

#include <fstream>
#include <sstream>

#include "base/result.h"

namespace ratchet::gate::reference {
namespace {

std::vector<Case> ReadCases(const char* path) {
  std::vector<Case> cases;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key, name;
    words >> key;
    if (key == "case") {
      words >> name;
      cases.emplace_back(name);
      continue;
    }
    std::vector<double> values;
    while (words >> name) values.push_back(std::stod(name));
    cases.back().Put(key, std::move(values));
  }
  RATCHET_CHECK(!cases.empty());
  return cases;
}

template <typename To>
std::span<const To> Converted(std::map<std::string, std::vector<To>>& kept, const std::string& key,
                              std::span<const double> from) {
  auto [at, is_new] = kept.try_emplace(key);
  if (is_new) at->second.assign(from.begin(), from.end());
  return at->second;
}

}  // namespace

const std::vector<double>& Case::At(const std::string& key) const {
  auto found = entries_.find(key);
  RATCHET_CHECK(found != entries_.end());
  return found->second;
}

std::span<const double> Case::Numbers(const std::string& key) const {
  return Has(key) ? std::span<const double>(At(key)) : std::span<const double>();
}

std::span<const std::int32_t> Case::Integers(const std::string& key) const {
  return Converted(integers_, key, Numbers(key));
}

Lists Case::ListsOf(const std::string& key) const {
  return {Converted(ends_, key, Numbers(key + "_ends")), Converted(relevances_, key, Numbers(key))};
}

Evidence Case::Side(int side) const {
  const std::string of = std::to_string(side) + ".";
  Evidence evidence{.columns = {}, .weight = Numbers("weight")};
  if (Has("classes")) {
    evidence.columns = ClassColumns{.classes = static_cast<std::int64_t>(At("classes")[0]),
                                    .target = Integers("target"),
                                    .predicted = Integers(of + "predicted"),
                                    .target_probability = Numbers(of + "target_probability"),
                                    .predicted_probability = Numbers(of + "predicted_probability"),
                                    .square_sum = Numbers(of + "square_sum"),
                                    .positive_probability = Numbers(of + "positive_probability")};
  } else if (Has("target")) {
    evidence.columns = NumberColumns{.target = Numbers("target"),
                                     .prediction = Numbers(of + "prediction"),
                                     .scale = Numbers("scale"),
                                     .levels = Numbers("levels"),
                                     .quantiles = Numbers(of + "quantiles")};
  } else if (Has("relevant")) {
    evidence.columns = RankedColumns{.ranked = ListsOf(of + "ranked"), .relevant = ListsOf("relevant")};
  } else {
    evidence.columns = TranscriptColumns{.word_edits = Integers(of + "word_edits"),
                                         .words = Integers(of + "words"),
                                         .character_edits = Integers(of + "character_edits"),
                                         .characters = Integers(of + "characters")};
  }
  return evidence;
}

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = ReadCases(RATCHET_REFERENCE_FIGURES);
  return cases;
}

}  // namespace ratchet::gate::reference
