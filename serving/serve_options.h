#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "serving/scratch.h"

namespace ratchet::serving {

// The command line of ratchet-serve.
struct ServeOptions {
  std::string listen = "127.0.0.1:7301";
  std::string control;  // URL; empty = none
  std::string dir = "./ratchet-serve";
  std::string blobs;  // folder; empty = fetch from the control plane
  std::string id;
  std::string log_level = "info";
  int threads = 0;  // 0 = one per core
  double log_sample = 1;                // share of the answers that are logged
  std::vector<std::string> log_redact;  // columns whose values are not
  std::uint64_t spool_bytes = 256u << 20;
  std::int64_t max_batch = 64;     // rows of one call of a model
  std::int64_t max_delay_us = 0;   // that a batch waits for more
  std::int64_t call_limit_s = 30;  // a call that takes longer ends the process
  bool share_port = false;         // with other ratchet-serves
  bool unconfined = false;         // models may do what this user may
  ScratchOptions scratch;  // one bundle alone, for a test step
};

// Reads the arguments. Returns -1 to go on, else the exit code: 0 after --help or --version, 2 after a wrong argument
// (which it has explained on stderr).
int ParseServeOptions(int argc, char** argv, ServeOptions& options);

// This host's name and the process id as a name: "edge-7-4242".
std::string DefaultReplicaId();

}  // namespace ratchet::serving
