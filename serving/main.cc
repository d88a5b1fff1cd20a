// ratchet-serve: builds the parts in order, waits for the signal to stop, takes them down in reverse.
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <random>
#include <thread>

#include "base/clock.h"
#include "base/files.h"
#include "base/log.h"
#include "serving/bundle_source.h"
#include "serving/confinement.h"
#include "serving/control_client.h"
#include "serving/http_server.h"
#include "serving/model_host.h"
#include "serving/prediction_log.h"
#include "serving/prediction_shipper.h"
#include "serving/route_watcher.h"
#include "serving/serve_options.h"
#include "serving/torch_runner.h"
#include "serving/v2_service.h"
#include "serving/watched_models.h"

namespace {

using namespace ratchet;
using namespace ratchet::serving;

constexpr std::chrono::seconds kLongestStop{10};

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Before any thread is made, so that all inherit the mask and only main takes the signals.
void PrepareProcess() {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  ConfigureTorch();
}

Result<BundleSource> MakeBundleSource(const ServeOptions& options, Files& files, const ControlClient* control) {
  if (!options.blobs.empty()) return BundleSource(files, options.blobs);
  return BundleSource(
      files, options.dir + "/cache",
      [control](const std::string& sha256, const std::string& path, std::uint64_t limit_bytes) -> Status {
        if (control) return control->FetchBlob(sha256, path, limit_bytes);
        return Fail(ErrorCode::kUnavailable, "fetch blob", sha256, "there is no --control to fetch from");
      });
}

// False where there is nothing to serve and nothing to wait for.
bool AdoptKept(RouteWatcher& watcher, bool has_control) {
  Status kept = watcher.AdoptKeptRoutes();
  if (kept) return true;
  const bool none = kept.error().code == ErrorCode::kNotFound;
  if (!none) spdlog::error("{}; it is not used", kept.error().Message());
  if (has_control) return true;
  spdlog::error("nothing to serve: give --control URL, or a --dir with a sound routes.json");
  return false;
}

// What notices that a model hangs or takes the process with it, and keeps such a model out.
struct ModelWatch {
  Quarantine quarantine;
  std::unique_ptr<CallMarks> marks;
};

Result<ModelWatch> WatchModels(const ServeOptions& options, Files& files, const Clock& clock) {
  const std::string calls = options.dir + "/calls";
  const std::vector<Fault> last = ReadFaults(files, calls);
  for (const Fault& fault : last) spdlog::error("the last ratchet-serve here ended in a call of bundle {}: {}", fault.bundle, fault.how);
  RATCHET_ASSIGN(Quarantine quarantine, Quarantine::Open(files, options.dir + "/quarantine", last, clock.WallUs()));
  RATCHET_ASSIGN(auto marks, CallMarks::Create(calls, clock));
  CallMarks::CatchCrashes();
  return ModelWatch{.quarantine = std::move(quarantine), .marks = std::move(marks)};
}

[[noreturn]] void EndHung(const Fault& fault) {
  spdlog::critical("a call of bundle {} does not return: {}; ending, to be started anew", fault.bundle, fault.how);
  _exit(kHungExitCode);
}

// Before any thread is started: each would have to be shut in by itself.
void ConfineProcess(const ServeOptions& options) {
  if (options.unconfined) return;
  const auto had = Confine({.read = {options.blobs}, .own = {options.dir}});
  if (had)
    spdlog::info("confined: {}", *had);
  else
    spdlog::error("{}; models run with all rights of this process", had.error().Message());
}

// The way of answered predictions to the control plane, in the order in which its parts are built.
struct Logging {
  std::unique_ptr<PredictionSpool> spool;
  std::unique_ptr<PredictionLog> log;
  std::unique_ptr<PredictionShipper> shipper;

  void Stop(ControlClient& control) {
    log->Stop();
    control.AbandonFetches();
    shipper->Stop([&control] { control.AbandonShipping(); });
  }
};

Status StartLogging(const ServeOptions& options, Files& files, const Clock& clock, ControlClient& control,
                    ServeMetrics& metrics, const std::function<std::uint64_t()>& seed, std::optional<Logging>& into) {
  Logging made;
  RATCHET_ASSIGN(made.spool, PredictionSpool::Open(files, options.dir + "/spool", {.bytes = options.spool_bytes},
                                                   fmt::format("{:016x}", seed())));
  made.log = std::make_unique<PredictionLog>(
      *made.spool, metrics.predictions, clock,
      LogOptions{.sample = options.log_sample,
                 .redacted = {options.log_redact.begin(), options.log_redact.end()},
                 .seed = seed()});
  const auto send = [&control](const ShippedBatch& batch) {
    return control.ShipPredictions(fmt::format("spool={}&started={}&dropped={}", batch.spool, batch.started_at, batch.dropped),
                                   batch.lines);
  };
  made.shipper = std::make_unique<PredictionShipper>(*made.spool, metrics.predictions, send, clock,
                                                     ShipperOptions{.seed = seed()});
  made.log->Start();
  made.shipper->Start();
  into = std::move(made);
  return {};
}

// Waits for a stop signal, then drains. True when nothing was left under way.
bool WaitAndDrain(HttpServer& server, RouteWatcher& watcher) {
  const sigset_t signals = StopSignals();
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  spdlog::info("stopping: finishing what is under way");
  server.BeginStop();
  const auto deadline = std::chrono::steady_clock::now() + kLongestStop;
  bool drained = false;
  while (!drained && std::chrono::steady_clock::now() < deadline) {
    drained = server.WaitStopped(std::chrono::milliseconds(20));
    const timespec no_wait{};
    if (!drained && sigtimedwait(&signals, nullptr, &no_wait) > 0) break;
  }
  if (drained) watcher.Stop();
  return drained;
}

Status ServeOneBundle(const ScratchOptions& options) {
  return ServeScratch(options, LoadTorchModel, [] {
    const sigset_t signals = StopSignals();
    int signal_number = 0;
    sigwait(&signals, &signal_number);
  });
}

Status Serve(const ServeOptions& options) {
  SystemFiles files;
  SystemClock clock;
  RATCHET_TRY(files.MakeFolders(options.dir));
  auto lock = FileLock::Acquire(options.dir + "/lock");
  if (!lock) {
    return Fail(lock.error().code, "start in", options.dir, lock.error().cause,
                "One ratchet-serve at a time per --dir");
  }
  RATCHET_TRY(files.RemoveAll(options.dir + "/address"));
  std::unique_ptr<ControlClient> control;
  if (!options.control.empty()) {
    RATCHET_ASSIGN(control, ControlClient::Create(options.control, options.id));
  }
  RATCHET_ASSIGN(BundleSource bundles, MakeBundleSource(options, files, control.get()));
  RATCHET_ASSIGN(HttpAddress address, ParseAddress(options.listen));
  address.shared = options.share_port;
  auto watch = WatchModels(options, files, clock);
  if (!watch) spdlog::error("{}; a model that hangs is not noticed", watch.error().Message());
  ConfineProcess(options);
  std::optional<CallWatchdog> watchdog;
  if (watch) watchdog.emplace(*watch->marks, EndHung);
  const CallLimits call_limits{.call_us = options.call_limit_s * 1'000'000};

  ServeMetrics metrics;
  ModelHost host(metrics);
  std::random_device entropy;
  const auto seed = [&] { return (static_cast<std::uint64_t>(entropy()) << 32) | entropy(); };
  const ModelLoader load = watch ? WatchedLoader(LoadTorchModel, *watch->marks, watch->quarantine, call_limits) : LoadTorchModel;
  RouteWatcher watcher(host, bundles, load, control.get(), files, clock,
                       {.routes_path = options.dir + "/routes.json", .seed = seed()});
  std::optional<Logging> logging;
  if (control && options.log_sample > 0) {
    // Answers matter more than their log: a full disk, say, costs the latter alone.
    const Status started = StartLogging(options, files, clock, *control, metrics, seed, logging);
    if (!started) spdlog::error("{}; predictions are answered but not logged", started.error().Message());
  }
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  V2Service service(host, metrics, clock,
                    {.threads = options.threads ? options.threads : cores,
                     .batch = {.rows = options.max_batch, .delay_us = options.max_delay_us}},
                    seed(),
                    logging ? &*logging->log : nullptr);
  RATCHET_ASSIGN(auto server, HttpServer::Start(address, cores, {}, service, metrics));
  if (!AdoptKept(watcher, control != nullptr)) return Fail(ErrorCode::kNotFound, "start", "", "nothing to serve");
  watcher.Start();
  RATCHET_TRY(files.WriteAtomic(options.dir + "/address", server->Address() + "\n"));
  spdlog::info("listening on {}, replica {}", server->Address(), options.id);

  if (!WaitAndDrain(*server, watcher)) {
    spdlog::warn("ended with requests under way");
    if (logging) logging->log->Stop();
    _exit(0);  // threads may be deep in a model; the kernel takes them down
  }
  service.Stop();
  if (logging) logging->Stop(*control);
  spdlog::info("stopped");
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  ServeOptions options;
  if (const int code = ParseServeOptions(argc, argv, options); code >= 0) return code;
  InitLog("ratchet-serve", options.log_level);
  PrepareProcess();
  const bool scratch = !options.scratch.manifest.empty();
  if (Status served = scratch ? ServeOneBundle(options.scratch) : Serve(options); !served) {
    spdlog::error("{}", served.error().Message());
    return 1;
  }
  return 0;
}
