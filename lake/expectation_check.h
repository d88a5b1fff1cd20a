#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "lake/expectations.h"

// The inside of Evaluate: one check for each entry, fed row by row.
namespace ratchet::lake {

// What a check is made from. All must outlive it.
struct CheckSetting {
  const Schema& columns;  // of the rows that Add() gets
  const Summary* live;    // null: no live version
  std::int64_t now_us;
  std::string scratch;
  std::size_t unique_checks;  // how many share memory
};

// What is known once all rows have gone by.
struct WholeData {
  PackReader& reader;                // to look at single rows again
  const Summary* summary = nullptr;  // there where an entry asks for `like` and there is a live version
};

class RowCheck {
 public:
  virtual ~RowCheck() = default;
  virtual Status Add(std::int64_t number, const Row& row) = 0;
  virtual Result<CheckResult> Finish(const WholeData& whole) = 0;
};

// The entry must suit the columns (CheckExpectations).
Result<std::unique_ptr<RowCheck>> MakeRowCheck(const Expectation& expectation, const CheckSetting& setting);

}  // namespace ratchet::lake
