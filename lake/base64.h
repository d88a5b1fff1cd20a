#pragma once

#include <string>
#include <string_view>

namespace ratchet::lake {

// RFC 4648 with padding. Decoding is strict: false on any other character, wrong padding or wrong length.
std::string Base64(std::string_view bytes);
bool FromBase64(std::string_view text, std::string& bytes);

}  // namespace ratchet::lake
