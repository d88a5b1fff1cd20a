#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ratchet::pipeline {

// The time zones of this machine (package tzdata, at /usr/share/zoneinfo or $TZDIR).

// Whether the name stands for a zone: "UTC", or a file of the database. Not for "localtime", "posix/…" and "right/…",
// which would mean another thing on another machine, or count leap seconds.
bool IsTimeZone(std::string_view name);

// kInvalid, field "zone", for a name that is none; the hint has up to three names like it.
Status CheckTimeZone(std::string_view name);

}  // namespace ratchet::pipeline
