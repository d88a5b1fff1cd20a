#pragma once

#include "plugins/sdk/step_recipe.h"

// Steps that bring data into shape before a training.
namespace ratchet::flow {

// `flow.pass`: each input becomes, byte by byte, the output of the same position.
class Pass final : public sdk::StepRecipe {
 public:
  const sdk::RecipeInfo& Info() const override { return info_; }
  Result<nlohmann::json> Run(const sdk::StepContext& context) const override;

 private:
  const sdk::RecipeInfo info_{"flow.pass", "Hands its inputs on as its outputs, in their order.", "step", "", {}};
};

// `flow.sql`: one SELECT over its inputs, which have to be packs, becomes a pack, its one output. Each input is a
// read-only schema with the table `rows`, called as the input, without `.pack` and with `_` for all but ASCII letters
// and digits: `data.train` is read as `data_train.rows`, `join.joined.pack` as `join_joined.rows`.
class Sql final : public sdk::StepRecipe {
 public:
  const sdk::RecipeInfo& Info() const override { return info_; }
  Result<nlohmann::json> Run(const sdk::StepContext& context) const override;

 private:
  const sdk::RecipeInfo info_{"flow.sql",
                              "Makes a pack of what a query over other packs gives: joins, features, labels.",
                              "step",
                              "",
                              {{"query",
                                sdk::ParamType::kText,
                                "",
                                {},
                                {},
                                {},
                                "One SELECT in SQLite's dialect; an input data.train is read as data_train.rows."}}};
};

}  // namespace ratchet::flow
