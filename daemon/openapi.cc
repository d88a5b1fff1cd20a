#include "daemon/api.h"

extern "C" {
extern const char ratchet_openapi_begin[];
extern const char ratchet_openapi_end[];
}

namespace ratchet::daemon {

std::string_view OpenApiDocument() {
  return {ratchet_openapi_begin, static_cast<size_t>(ratchet_openapi_end - ratchet_openapi_begin)};
}

}  // namespace ratchet::daemon
