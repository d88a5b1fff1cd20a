#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace ratchet::daemon {

struct HostPort {
  std::string host;
  int port = 0;
};

// "127.0.0.1:7300", "[::1]:7300", "localhost:0". kInvalid otherwise.
Result<HostPort> ParseHostPort(const std::string& text);

// What ratchetd is told, by flags over environment over ratchet.yaml over these defaults.
struct Settings {
  std::string data = "./ratchet-data";
  std::string listen = "127.0.0.1:7300";
  std::string serve_listen = "127.0.0.1:7301";
  int max_runs = 2;  // under way at a time
  int cpus = 0;      // that steps may take together; 0 = as many as there are
  bool allow_unsandboxed = false;
  bool no_serve = false;
  std::string plugins;         // empty: found beside the program
  std::string worker_program;  // likewise
  std::string serve_program;   // likewise
  std::string log_level = "info";
  double log_sample = 1;                 // share of the answered predictions that are logged
  std::string log_redact;                // columns whose values are not, with commas between
  std::string spool_bytes = "256MiB";    // of ratchet-serve, for predictions while this daemon is away
  std::string keep_predictions = "90d";  // in events.db, with their outcomes …
  std::string keep_events = "10GiB";     // … as long as that is not larger
};

// Reads the command line, the environment and the configuration file. An int is the exit code of a program that is to
// end now: help or version were asked for and printed, or the usage was wrong and that was said.
struct Parsed {
  Settings settings;
  std::optional<int> exit_code;
};
Parsed ParseSettings(int argc, char** argv);

// Fills in the programs and plugins that were not named: those beside this program, or as an installation lays them
// out.
void FindPrograms(Settings& settings, const std::string& own_path);

}  // namespace ratchet::daemon
