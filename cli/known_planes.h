#pragma once

#include <string>

#include "cli/server_url.h"

// Where a control plane's data plane was last, kept in the user's state folder ($XDG_STATE_HOME or ~/.local/state), so
// that predictions are there while the control plane is away.
namespace ratchet::cli {

// Failures are silent: nothing depends on it but convenience.
void RememberDataPlane(const ServerUrl& server, const std::string& url);
// As last remembered; else port 7301 of the same host.
std::string LastDataPlane(const ServerUrl& server);

}  // namespace ratchet::cli
