#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

// Rows of the holdout that training has seen all the same: under another key, but with the same inputs, or nearly.
namespace ratchet::lake {

inline constexpr std::size_t kLeakPairsTold = 5;
// Rows of the holdout that near ones are looked for of, the first so many: some 250 bytes each of text, 70 of pictures.
inline constexpr std::size_t kMostNearRows = 262'144;

struct LeakQuestion {
  std::vector<std::string> train, holdout;  // packs of one schema; those of the validation count as training
  std::vector<std::string> columns;         // what rows are compared by: all that a model reads of them
  std::string key;                          // the column by which rows are named in `pairs`; empty = by their number
  bool near = true;                         // look for nearly equal rows, too
};

struct LeakPair {
  std::string holdout, training;  // keys, at most 80 bytes of each; "row 17" where there are none
};

struct LeakedRows {
  std::vector<std::uint8_t> marks;  // one a row of the holdout, in order: 1 where training has it
  std::int64_t rows = 0;            // how many
  std::vector<LeakPair> pairs;      // the first kLeakPairsTold that were found
};

struct Leaks {
  std::int64_t training_rows = 0, holdout_rows = 0;
  LeakedRows equal;
  LeakedRows near;                // without the equal ones
  // Share of the training rows whose inputs another training row has had before, estimated: where it is large, equal rows
  // are the data's nature (few columns of few values) as likely as somebody's mistake.
  double training_repeats = 0;
  bool telling = false;           // there are pictures, other blobs or free text among the columns: no two are equal by chance
  std::string near_by;            // "image", "text", "image and text"; empty: nothing to tell near rows by
  std::int64_t near_compared = 0; // rows of the holdout that near ones were looked for of
};

// Equal: the same digest (64 bits of SHA-256) of the values of all columns; numbers by value. A row without any value is
// equal to none. Near: their pictures (the first column that ImageHasher takes) look alike and, where a row has both, their
// free text as well (columns of text with kLeastWords words in the mean, together, by MinHash). One pass over either side,
// in memory that grows with the holdout alone: 16 bytes a row, and kMostNearRows. Errors as of PackReader.
Result<Leaks> FindLeaks(const LeakQuestion& question);

}  // namespace ratchet::lake
