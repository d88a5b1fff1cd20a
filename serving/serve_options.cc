#include "serving/serve_options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

#include "base/names.h"
#include "serving/http_server.h"

namespace ratchet::serving {
namespace {

constexpr char kDescription[] =
    R"(ratchet-serve - answers predictions of the models that a Ratchet control plane has released

SYNOPSIS
  ratchet-serve --control http://HOST:PORT [--listen HOST:PORT] [--dir DIR] [--blobs DIR] [--id ID]
  ratchet-serve --dir DIR [--listen HOST:PORT] [--blobs DIR]
  ratchet-serve --scratch-manifest FILE --scratch-model FILE [--scratch-fd N]

DESCRIPTION
  Speaks the Open Inference Protocol V2 (JSON) over HTTP/1.1. It asks the control plane which versions of
  which models are live, loads and warms them before it answers with them, and changes over without
  losing a request. What it serves is kept in DIR: it goes on when the control plane is away, and begins
  with the same routes when it is started again without one.

  With --scratch-manifest it answers with that one bundle, as version 1 of the model `candidate`, on a
  free port of 127.0.0.1, and writes nothing: so a test step measures a candidate. What happens is told
  as JSON, a line each.)";

constexpr char kFooter[] =
    R"(PATHS
  GET  /v2  /v2/health/live  /v2/health/ready  /healthz  /metrics
  GET  /v2/models/MODEL[/versions/V]  /v2/models/MODEL[/versions/V]/ready
  POST /v2/models/MODEL[/versions/V]/infer

FILES
  DIR/lock         held while it runs; a second ratchet-serve of the same DIR refuses to start
  DIR/address      HOST:PORT it listens on, of use with port 0
  DIR/routes.json  the routes served last
  DIR/cache/       bundles fetched from the control plane, when --blobs is not given
  DIR/calls        which calls of models are under way: what is found there after a crash is what it came of
  DIR/quarantine/  a file for each bundle that is not loaded any more, for it took ratchet-serve with it 3 times in
                   a minute; removing the file lets it in again
  DIR/spool/       answered predictions that the control plane has not taken yet

LIMITS
  body 64 MiB; header 16 KiB and 10 s; body 30 s; idle 60 s; 4096 connections; 1024 requests under way
  per model (then 429), 512 MiB of bodies in all (then 503), both with Retry-After. A request with the header
  `timeout` (ms) or the parameter "timeout" (us) that would wait longer is refused at once with 429.

SIGNALS
  SIGTERM, SIGINT  stop accepting, finish what is under way (at most 10 s), exit; a second one ends it at once

EXIT CODES
  0 stopped as asked   1 could not start   2 wrong arguments   70 a call of a model did not return

EXAMPLES
  ratchet-serve --control http://127.0.0.1:7300
  ratchet-serve --control http://ratchet.lan:7300 --listen 0.0.0.0:7301 --dir /var/lib/ratchet-serve
  curl http://127.0.0.1:7301/v2/models/parcel-sorter/infer -d @request.json
)";

std::string NoMoreThanAddress(const std::string& text) {
  auto address = ParseAddress(text);
  return address ? "" : address.error().Message();
}

std::string NoMoreThanName(const std::string& text) {
  auto checked = CheckName("replica", text);
  return checked ? "" : checked.error().Message();
}

void AddRunningOptions(CLI::App& app, ServeOptions& options) {
  app.add_option("--max-batch", options.max_batch, "Most rows that requests are joined to for one call of a model")
      ->type_name("ROWS")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  app.add_option("--max-delay", options.max_delay_us,
                 "Microseconds that a batch which is not full waits for more; 0 = none, a batch is what came in meanwhile")
      ->type_name("US")
      ->capture_default_str()
      ->check(CLI::Range(0, 10'000'000));
  app.add_option("--call-limit", options.call_limit_s, "A call of a model that takes longer ends the process, to be started anew")
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(CLI::Range(1, 86'400));
  app.add_flag("--share-port", options.share_port, "Let other ratchet-serves with this flag listen on the same port");
  app.add_flag("--unconfined", options.unconfined, "Do not limit which files models may open and that they start no program");
}

void AddScratchOptions(CLI::App& app, ScratchOptions& scratch) {
  auto* manifest = app.add_option("--scratch-manifest", scratch.manifest, "Serve this one bundle: its manifest.json")->type_name("FILE");
  auto* model = app.add_option("--scratch-model", scratch.model, "… and its model.pt")->type_name("FILE");
  app.add_option("--scratch-fd", scratch.told_fd, "Descriptor on which to tell address and loading")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(1, 1023))
      ->needs(manifest);
  manifest->needs(model);
  model->needs(manifest);
}

void AddOptions(CLI::App& app, ServeOptions& options) {
  app.add_option("--listen", options.listen, "Where to answer; port 0 takes any free one")
      ->envname("RATCHET_SERVE_LISTEN")
      ->type_name("HOST:PORT")
      ->capture_default_str()
      ->check(NoMoreThanAddress);
  app.add_option("--control,--follow", options.control, "The control plane whose routes to follow")
      ->envname("RATCHET_CONTROL")
      ->type_name("URL");
  app.add_option("--dir", options.dir, "Its own folder (see FILES); made if it is not there")
      ->envname("RATCHET_SERVE_DIR")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--blobs", options.blobs, "Blob store on this host to read bundles from: DATA/blobs of ratchetd")
      ->type_name("DIR");
  app.add_option("--id", options.id, "Name of this replica towards the control plane (default: host and process id)")
      ->type_name("ID")
      ->check(NoMoreThanName);
  app.add_option("--threads", options.threads, "Threads that compute (0 = one per core)")
      ->type_name("N")
      ->check(CLI::Range(0, 1024));
  app.add_option("--log-sample", options.log_sample,
                 "Share of the answered predictions that are logged for the control plane, 0 to 1")
      ->envname("RATCHET_LOG_SAMPLE")
      ->type_name("SHARE")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--log-redact", options.log_redact, "Columns whose values are left out of that log, with commas between")
      ->envname("RATCHET_LOG_REDACT")
      ->type_name("COLUMN,...")
      ->delimiter(',');
  app.add_option("--spool-bytes", options.spool_bytes,
                 "Most room for predictions while the control plane is away; what comes then is dropped and counted")
      ->envname("RATCHET_SPOOL_BYTES")
      ->type_name("BYTES")
      ->capture_default_str()
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 50));
  AddRunningOptions(app, options);
  AddScratchOptions(app, options.scratch);
  app.add_option("--log-level", options.log_level, "How much goes to stderr")
      ->type_name("LEVEL")
      ->capture_default_str()
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
}

}  // namespace

int ParseServeOptions(int argc, char** argv, ServeOptions& options) {
  CLI::App app{kDescription, "ratchet-serve"};
  app.footer(kFooter);
  app.set_version_flag("--version", std::string("ratchet-serve ") + RATCHET_VERSION);
  AddOptions(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (options.id.empty()) options.id = DefaultReplicaId();
  options.scratch.threads = std::max(1, options.threads);
  return -1;
}

std::string DefaultReplicaId() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  std::string name;
  for (char c : std::string(host)) {
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    name += std::isalnum(static_cast<unsigned char>(lower)) ? lower : '-';
  }
  if (name.empty() || name[0] == '-') name = "host" + name;
  return name.substr(0, 40) + "-" + std::to_string(getpid());
}

}  // namespace ratchet::serving
