#pragma once

#include <cstdint>

namespace ratchet::serving {

// What a call of a model costs by its rows: a line through the calls seen, where newer ones weigh more (weighted least
// squares). Plain values; one thread at a time.
class BatchCost {
 public:
  void Saw(std::int64_t rows, std::int64_t took_us);
  // µs that one call of so many rows will take; 0 while too few calls have been seen to say.
  std::int64_t Expect(std::int64_t rows) const;
  bool Known() const { return seen_ >= kEnough; }

 private:
  static constexpr int kEnough = 8;       // the first ones may be slow for other reasons
  static constexpr double kForget = 0.05;  // weight of the newest call

  int seen_ = 0;
  double rows_ = 0, us_ = 0, rows_rows_ = 0, rows_us_ = 0;  // weighted means
};

}  // namespace ratchet::serving
