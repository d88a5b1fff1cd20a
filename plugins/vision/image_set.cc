#include "plugins/vision/image_set.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cstring>

#include "base/names.h"
#include "plugins/vision/network.h"

namespace ratchet::vision {
namespace {

constexpr std::int64_t kReadRows = 1024;

bool IsImage(const lake::Column& column) { return column.type == lake::ColumnType::kBlob && column.shape.size() == 3; }

std::unexpected<Error> BadImageParam(std::string cause, std::string hint) {
  auto failure = Fail(ErrorCode::kInvalid, "find images for", "vision.classifier", std::move(cause), std::move(hint));
  failure.error().field = "train.params.image";
  return failure;
}

Result<lake::Column> CheckSides(const lake::Column& column) {
  if (std::min(column.shape[1], column.shape[2]) >= kMinSide) return column;
  return BadImageParam(fmt::format("the images of column {} are {} x {} pixels, and at least {} x {} are needed",
                                   Quoted(column.name), column.shape[1], column.shape[2], kMinSide, kMinSide),
                       "Push larger images.");
}

}  // namespace

Result<lake::Column> FindImageColumn(const lake::Schema& schema, const std::string& wanted) {
  std::vector<lake::Column> found;
  for (const lake::Column& column : schema.columns)
    if (IsImage(column) && (wanted.empty() || column.name == wanted)) found.push_back(column);
  if (found.size() == 1) return CheckSides(found[0]);
  const std::string shape_hint = "An image column is a blob with a shape of three sizes: channels, height, width.";
  if (!wanted.empty())
    return BadImageParam(fmt::format("the dataset has no image column {}", Quoted(wanted)), shape_hint);
  if (found.empty()) return BadImageParam("the dataset has no image column", shape_hint);
  return BadImageParam(fmt::format("the dataset has {} image columns", found.size()),
                       fmt::format("Name one by the parameter image, for instance image: {}.", found[0].name));
}

Result<ImageSet> ReadImages(const std::vector<std::string>& packs, const lake::Column& image,
                            const std::string& target) {
  RATCHET_ASSIGN(const auto reader, lake::PackReader::Open(packs, {image.name, target}));
  const std::int64_t bytes_per_image = image.shape[0] * image.shape[1] * image.shape[2];
  ImageSet set;
  set.images = torch::empty({reader->rows(), image.shape[0], image.shape[1], image.shape[2]}, torch::kUInt8);
  for (std::int64_t done = 0;;) {
    RATCHET_ASSIGN(lake::Batch batch, reader->Next(kReadRows));
    if (batch.rows == 0) return set;
    const lake::ColumnBatch& images = batch.columns[0];
    if (const auto gap = std::ranges::find(images.missing, 1); gap != images.missing.end())
      return Fail(ErrorCode::kInvalid, "read images from", Quoted(image.name),
                  fmt::format("row {} has no image", done + (gap - images.missing.begin()) + 1),
                  "Push rows with an image each.");
    std::memcpy(set.images.data_ptr<std::uint8_t>() + done * bytes_per_image, images.bytes.data(),
                batch.rows * bytes_per_image);
    done += batch.rows;
    sdk::AppendColumn(std::move(batch.columns[1]), set.targets);
  }
}

Result<torch::Tensor> Labels(const ImageSet& set, const sdk::ClassTable& classes, const std::string& target) {
  const std::vector<std::int64_t> indexes = classes.IndexesOf(set.targets);
  for (size_t i = 0; i < indexes.size(); ++i) {
    const bool empty_text = !set.targets.texts.empty() && set.targets.texts[i].empty();
    if (!set.targets.missing[i] && !empty_text) continue;
    auto failure = Fail(ErrorCode::kInvalid, "read labels from", Quoted(target),
                        fmt::format("row {} has no label", i + 1), "Push rows with a label each.");
    failure.error().field = "data.target";
    return failure;
  }
  return torch::tensor(indexes, torch::kInt64);
}

}  // namespace ratchet::vision
