#pragma once

#include <torch/torch.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"
#include "plugins/sdk/class_table.h"
#include "plugins/sdk/recipe.h"

namespace ratchet::vision {

// All images of some packs, in memory.
struct ImageSet {
  torch::Tensor images;       // uint8 [rows, channels, height, width]
  lake::ColumnBatch targets;  // as they are in the packs
};

// The column that holds the images: the one named by the parameter `image`, or else the only blob column with a shape
// of three dimensions. kInvalid: there is none, there are several, or its images are smaller than kMinSide.
Result<lake::Column> FindImageColumn(const lake::Schema& schema, const std::string& wanted);

// Reads both columns of all packs. kInvalid names the first row without an image.
Result<ImageSet> ReadImages(const std::vector<std::string>& packs, const lake::Column& image,
                            const std::string& target);

// The class of every row. kInvalid names the first row whose target is missing; a value that is not in the table gives
// -1.
Result<torch::Tensor> Labels(const ImageSet& set, const sdk::ClassTable& classes, const std::string& target);

}  // namespace ratchet::vision
