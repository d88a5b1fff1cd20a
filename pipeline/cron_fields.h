#pragma once

#include <string_view>

#include "pipeline/cron.h"

namespace ratchet::pipeline {

// The five fields, or the word with @, as Schedule::Parse takes and refuses them; whether any day fits is not looked
// at.
Result<Schedule::Fields> ParseCronFields(std::string_view text);

}  // namespace ratchet::pipeline
