#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gate/evidence.h"

// The cases that reference_figures.py wrote: columns of both sides, and what must come of them.
namespace ratchet::gate::reference {

class Case {
 public:
  explicit Case(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  void Put(std::string key, std::vector<double> values) { entries_[std::move(key)] = std::move(values); }
  bool Has(const std::string& key) const { return entries_.contains(key); }
  // Ends the program where the file has no such entry: then script and tests do not fit together.
  const std::vector<double>& At(const std::string& key) const;

  // The kept evidence of side 0 or 1. Spans over the case, which must outlive it.
  Evidence Side(int side) const;

 private:
  std::span<const double> Numbers(const std::string& key) const;
  std::span<const std::int32_t> Integers(const std::string& key) const;
  Lists ListsOf(const std::string& key) const;

  std::string name_;
  std::map<std::string, std::vector<double>> entries_;
  mutable std::map<std::string, std::vector<std::int32_t>> integers_;
  mutable std::map<std::string, std::vector<std::int64_t>> ends_;
  mutable std::map<std::string, std::vector<float>> relevances_;
};

// All of the file, read once. Ends the program where the script left none.
const std::vector<Case>& Cases();

}  // namespace ratchet::gate::reference
