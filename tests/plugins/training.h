#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lake/pack.h"
#include "plugins/sdk/recipe.h"
#include "plugins/sdk/torch_bundle.h"

extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3();

// What the tests of every plugin need: a folder, small packs, a training, the answers of its model here and in Python.
namespace ratchet::sdk {

class Training : public testing::Test {
 protected:
  Training() {
    folder_ = (std::filesystem::temp_directory_path() / "ratchet-plugin-XXXXXX").string();
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
  }
  ~Training() override { std::filesystem::remove_all(folder_); }

  std::string WritePack(const std::string& name, const lake::Schema& schema, const std::vector<lake::Row>& rows) {
    const std::string path = folder_ + "/" + name + ".pack";
    auto writer = lake::PackWriter::Create(path, schema).value();
    for (const lake::Row& row : rows) EXPECT_TRUE(writer->Add(row).has_value());
    EXPECT_TRUE(writer->Finish().has_value());
    return path;
  }

  static const Recipe& Find(const std::string& name) {
    for (const Recipe* recipe : ratchet_plugin_v3()->recipes)
      if (recipe->Info().name == name) return *recipe;
    ADD_FAILURE() << "no recipe " << name;
    std::abort();
  }

  // A training of `recipe` whose files lie in the folder `attempt`.
  TrainInput Input(const std::string& recipe, const std::string& attempt, const lake::Schema& schema,
                   const nlohmann::json& params) {
    TrainInput input;
    input.schema = schema;
    input.target = "label";
    input.params = CompleteParams(Find(recipe).Info(), params).value();
    input.seed = 7;
    input.work_folder = folder_ + "/" + attempt;
    input.checkpoint_folder = input.work_folder + "/checkpoint";
    input.model_path = input.work_folder + "/model.pt";
    std::filesystem::create_directories(input.work_folder);
    return input;
  }

  // The recipe trains with each of its parameters at its least value, all others as in `input_for(attempt)`.
  static void TrainAtEachLeastValue(const std::string& recipe, const auto& input_for) {
    for (const Param& param : Find(recipe).Info().params) {
      if (!param.min) continue;
      TrainInput input = input_for("least-" + param.name);
      if (param.type == ParamType::kInteger) input.params[param.name] = static_cast<std::int64_t>(*param.min);
      else input.params[param.name] = *param.min;
      const auto trained = Find(recipe).Train(input);
      EXPECT_TRUE(trained) << param.name << " " << input.params[param.name] << ": " << trained.error().Message();
    }
  }

  // The model's first output for all rows of a pack.
  static torch::Tensor Answers(const std::string& model_path, const nlohmann::json& signature,
                               const std::string& pack) {
    torch::jit::Module model = LoadModel(model_path).value();
    auto reader = lake::PackReader::Open({pack}).value();
    const lake::Batch batch = reader->Next(reader->rows()).value();
    return FirstOutput(model, InputsFromBatch(signature.at("inputs"), reader->schema(), batch).value()).value();
  }

  static torch::Tensor PythonAnswers(const std::string& model_path, const nlohmann::json& signature,
                                     const std::string& pack) {
    const std::string signature_path = model_path + ".signature.json";
    std::ofstream(signature_path) << signature.dump();
    const std::string command =
        "/usr/bin/python3 " RATCHET_ANSWER_SCRIPT " " + model_path + " " + signature_path + " " + pack;
    FILE* pipe = popen(command.c_str(), "r");
    std::string text;
    for (int byte = 0; (byte = std::fgetc(pipe)) != EOF;) text.push_back(static_cast<char>(byte));
    EXPECT_EQ(pclose(pipe), 0);
    const auto answer = nlohmann::json::parse(text);
    return torch::tensor(answer.at("values").get<std::vector<double>>(), torch::kFloat64)
        .reshape(answer.at("shape").get<std::vector<std::int64_t>>());
  }

  // True when both files hold the same parameters and buffers, bit by bit.
  static bool SameWeights(const std::string& a_path, const std::string& b_path) {
    const torch::jit::Module a = LoadModel(a_path).value(), b = LoadModel(b_path).value();
    auto same = [](const auto& left, const auto& right) {
      if (left.size() != right.size()) return false;
      auto it = right.begin();
      for (const auto& entry : left) {
        if (entry.name != (*it).name || !torch::equal(entry.value, (*it).value)) return false;
        ++it;
      }
      return true;
    };
    return same(a.named_parameters(), b.named_parameters()) && same(a.named_buffers(), b.named_buffers());
  }

  // Ends a training from within, in the midst of this epoch, as a killed process would end.
  static void BreakIn(std::int64_t epoch, TrainInput& input) {
    input.report = [epoch](const Progress& progress) {
      if (progress.phase == "train" && progress.epoch == epoch) throw std::runtime_error("killed");
    };
  }

  std::string folder_;
};

}  // namespace ratchet::sdk
