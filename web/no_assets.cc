#include "web/embedded.h"

namespace ratchet::web {

std::span<const Asset> Assets() { return {}; }

ReportTemplate DecisionReport() { return {}; }

}  // namespace ratchet::web
