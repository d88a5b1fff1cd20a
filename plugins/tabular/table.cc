#include "plugins/tabular/table.h"

#include "plugins/sdk/class_table.h"
#include "plugins/sdk/torch_bundle.h"

namespace ratchet::tabular {
namespace {

constexpr std::int64_t kReadRows = 8192;

std::vector<std::string> NamesOf(const std::vector<lake::Column>& columns, const std::string& target) {
  std::vector<std::string> names;
  for (const lake::Column& column : columns) names.push_back(column.name);
  names.push_back(target);
  return names;
}

std::vector<lake::Column> ColumnsOf(const Features& features) {
  std::vector<lake::Column> columns;
  for (const NumberFeature& feature : features.numbers) columns.push_back(feature.column);
  for (const CategoryFeature& feature : features.categories) columns.push_back(feature.column);
  return columns;
}

}  // namespace

Result<Survey> SurveyPacks(const std::vector<std::string>& packs, const std::vector<lake::Column>& columns,
                           const std::string& target, const UsableRows& usable) {
  RATCHET_ASSIGN(const auto reader, lake::PackReader::Open(packs, NamesOf(columns, target)));
  Survey survey{.features = FeatureFinder(columns)};
  for (;;) {
    RATCHET_ASSIGN(lake::Batch batch, reader->Next(kReadRows));
    if (batch.rows == 0) return survey;
    const std::vector<std::uint8_t> use = usable(batch.columns.back());
    survey.features.Add(batch, use);
    survey.usable.insert(survey.usable.end(), use.begin(), use.end());
    sdk::AppendColumn(std::move(batch.columns.back()), survey.target);
  }
}

Result<Encoded> EncodePacks(const std::vector<std::string>& packs, const Features& features, const std::string& target,
                            const UsableRows& usable, torch::jit::Module& net) {
  RATCHET_ASSIGN(const auto reader, lake::PackReader::Open(packs, NamesOf(ColumnsOf(features), target)));
  Encoded encoded;
  std::vector<torch::Tensor> numbers = {
      torch::empty({0, static_cast<std::int64_t>(features.numbers.size())}, torch::kFloat64)};
  std::vector<torch::Tensor> codes = {
      torch::empty({0, static_cast<std::int64_t>(features.categories.size())}, torch::kInt64)};
  std::vector<std::int64_t> kept;
  for (std::int64_t row = 0;;) {
    RATCHET_ASSIGN(lake::Batch batch, reader->Next(kReadRows));
    if (batch.rows == 0) break;
    RATCHET_ASSIGN(auto inputs, sdk::InputsFromBatch(InputsOf(features), reader->schema(), batch));
    const auto parts = net.get_method("encode")(std::move(inputs)).toTuple();
    numbers.push_back(parts->elements()[0].toTensor());
    codes.push_back(parts->elements()[1].toTensor());
    for (const std::uint8_t use : usable(batch.columns.back())) {
      if (use) kept.push_back(row);
      ++row;
    }
    sdk::AppendColumn(std::move(batch.columns.back()), encoded.target);
  }
  encoded.kept = torch::tensor(kept, torch::kInt64);
  encoded.numbers = torch::cat(numbers).index_select(0, encoded.kept);
  encoded.codes = torch::cat(codes).index_select(0, encoded.kept);
  return encoded;
}

}  // namespace ratchet::tabular
