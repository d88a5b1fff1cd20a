#include <gmock/gmock.h>

#include "plugins/sdk/recipe.h"

namespace ratchet::sdk {
namespace {

using testing::HasSubstr;

RecipeInfo Info() {
  RecipeInfo info;
  info.name = "vision.classifier";
  info.params = {{"epochs", ParamType::kInteger, 5, 1, 100, {}, ""},
                 {"learning_rate", ParamType::kReal, 0.01, 0, {}, {}, ""},
                 {"augment", ParamType::kBoolean, true, {}, {}, {}, ""},
                 {"schedule", ParamType::kText, "cosine", {}, {}, {"cosine", "flat"}, ""}};
  return info;
}

TEST(CompleteParams, FillsDefaultsIn) {
  EXPECT_EQ(CompleteParams(Info(), nlohmann::json::object()).value(),
            nlohmann::json({{"epochs", 5}, {"learning_rate", 0.01}, {"augment", true}, {"schedule", "cosine"}}));
  EXPECT_EQ(CompleteParams(Info(), nullptr).value().at("epochs"), 5);
}

TEST(CompleteParams, KeepsWhatIsGivenInItsOwnType) {
  const auto params = CompleteParams(Info(), {{"epochs", 3.0}, {"learning_rate", 1}, {"schedule", "flat"}}).value();
  EXPECT_TRUE(params.at("epochs").is_number_integer());
  EXPECT_EQ(params.at("epochs"), 3);
  EXPECT_TRUE(params.at("learning_rate").is_number_float());
  EXPECT_EQ(params.at("schedule"), "flat");
}

struct Fault {
  nlohmann::json given;
  std::string field, says;
};

TEST(CompleteParams, RefusesWhatIsWrongAndSaysWhy) {
  const std::vector<Fault> faults = {
      {{{"epoch", 3}}, "train.params.epoch", "did you mean epochs?"},
      {{{"momentum_of_something", 3}}, "train.params.momentum_of_something", "it knows epochs, learning_rate"},
      {{{"epochs", "three"}}, "train.params.epochs", "a whole number"},
      {{{"epochs", 2.5}}, "train.params.epochs", "a whole number"},
      {{{"epochs", 0}}, "train.params.epochs", "from 1 to 100"},
      {{{"epochs", 101}}, "train.params.epochs", "from 1 to 100"},
      {{{"epochs", true}}, "train.params.epochs", "a whole number"},
      {{{"learning_rate", -1}}, "train.params.learning_rate", "at least 0"},
      {{{"learning_rate", nullptr}}, "train.params.learning_rate", "a number"},
      {{{"augment", 1}}, "train.params.augment", "true or false"},
      {{{"schedule", "square"}}, "train.params.schedule", "one of cosine, flat"},
      {nlohmann::json::array({1}), "train.params", "not a mapping"},
  };
  for (const Fault& fault : faults) {
    const auto params = CompleteParams(Info(), fault.given);
    ASSERT_FALSE(params.has_value()) << fault.given;
    EXPECT_EQ(params.error().code, ErrorCode::kInvalid);
    EXPECT_EQ(params.error().field, fault.field);
    EXPECT_THAT(params.error().Message(), HasSubstr(fault.says));
  }
}

TEST(CompleteParams, TellsEveryFault) {
  const auto params = CompleteParams(Info(), {{"epochs", 0}, {"schedul", "flat"}});
  ASSERT_FALSE(params.has_value());
  EXPECT_EQ(params.error().details.size(), 2u);
}

}  // namespace
}  // namespace ratchet::sdk
