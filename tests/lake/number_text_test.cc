#include "lake/number_text.h"

#include <gtest/gtest.h>

namespace ratchet::lake {
namespace {

struct Case {
  const char* text;
  NumberKind kind;
  double value = 0;
};

TEST(ReadNumber, TellsKindsApart) {
  for (const Case& c : {Case{"", NumberKind::kNone},
                        Case{"-", NumberKind::kNone},
                        Case{"abc", NumberKind::kNone},
                        Case{"007", NumberKind::kNone},
                        Case{"-01", NumberKind::kNone},
                        Case{"+5", NumberKind::kNone},
                        Case{"1,000", NumberKind::kNone},
                        Case{"0x10", NumberKind::kNone},
                        Case{".", NumberKind::kNone},
                        Case{"1e", NumberKind::kNone},
                        Case{"12abc", NumberKind::kNone},
                        Case{"1 2", NumberKind::kNone},
                        Case{"00.5", NumberKind::kNone},
                        Case{"0", NumberKind::kInteger, 0},
                        Case{" 42\t", NumberKind::kInteger, 42},
                        Case{"-7", NumberKind::kInteger, -7},
                        Case{"9223372036854775807", NumberKind::kInteger, 9223372036854775807.0},
                        Case{"-9223372036854775808", NumberKind::kInteger, -9223372036854775808.0},
                        Case{"9223372036854775808", NumberKind::kHugeInteger, 9223372036854775808.0},
                        Case{"0.5", NumberKind::kReal, 0.5},
                        Case{".5", NumberKind::kReal, 0.5},
                        Case{"5.", NumberKind::kReal, 5},
                        Case{"-1.5e3", NumberKind::kReal, -1500},
                        Case{"1e-999", NumberKind::kReal, 0},
                        Case{"1e999", NumberKind::kNotFinite},
                        Case{"inf", NumberKind::kNotFinite},
                        Case{"-Infinity", NumberKind::kNotFinite},
                        Case{"NaN", NumberKind::kNan},
                        Case{"nano", NumberKind::kNone}}) {
    const Number number = ReadNumber(c.text);
    EXPECT_EQ(number.kind, c.kind) << c.text;
    if (c.kind == NumberKind::kInteger) {
      EXPECT_EQ(static_cast<double>(number.integer), c.value) << c.text;
    }
    if (c.kind == NumberKind::kReal || c.kind == NumberKind::kHugeInteger) {
      EXPECT_EQ(number.real, c.value) << c.text;
    }
  }
}

}  // namespace
}  // namespace ratchet::lake
