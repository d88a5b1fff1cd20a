#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/pack.h"

namespace ratchet::lake {

// Limits of one page of rows; a page may be cut short by its bytes.
inline constexpr std::int64_t kMaxPreviewRows = 1'000;
inline constexpr std::int64_t kMaxPreviewBytes = 8 << 20;

struct Preview {
  Schema schema;
  std::vector<Row> rows;
  std::optional<std::int64_t> next;  // pass it as `after` for the page that follows; none = the end
};

// Up to `limit` rows (1 to kMaxPreviewRows) after the first `after` rows of the packs, counted over all of them. At
// least one row comes where there is one, however large. For training packs only: the caller gives no others.
Result<Preview> PreviewRows(const std::vector<std::string>& paths, std::int64_t after, std::int64_t limit);

// {"columns":[…],"items":[[…]],"next":"40"|null}; blobs as base64, missing values and reals that are no numbers as
// null.
std::string PreviewToJson(const Preview& preview);

}  // namespace ratchet::lake
