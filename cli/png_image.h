#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ratchet::cli {

bool IsPng(std::string_view bytes);

// The picture as unsigned bytes, channel by channel, row by row ([channels, height, width]). `channels` 1 = grey, 3 =
// RGB; colours are converted, transparency is laid on black. A picture of another size than wanted is refused.
Result<std::string> DecodePng(std::string_view bytes, std::int64_t channels, std::int64_t height, std::int64_t width);

}  // namespace ratchet::cli
