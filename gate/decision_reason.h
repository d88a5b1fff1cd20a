#pragma once

#include <cstdint>
#include <string>

#include "gate/decision.h"

// The decision in one sentence for people. Pure text.
namespace ratchet::gate {

std::string ReasonSentence(const Decision& decision);
std::string WithCommas(std::int64_t count);  // 1,234,567

}  // namespace ratchet::gate
