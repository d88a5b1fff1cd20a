#include "web/embedded.h"

namespace ratchet::web {

std::span<const Asset> Assets() { return {}; }

}  // namespace ratchet::web
