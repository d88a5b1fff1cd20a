// ratchetd: builds the parts in order, runs the loop, takes them down in the opposite order.

#include <malloc.h>
#include <netdb.h>
#include <signal.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "daemon/api.h"
#include "daemon/control_loop.h"
#include "daemon/feedback_pusher.h"
#include "daemon/http_server.h"
#include "daemon/serve_supervisor.h"
#include "daemon/settings.h"
#include "daemon/version.h"
#include "daemon/worker_status.h"
#include "pipeline/drift_watch.h"
#include "pipeline/feedback.h"

namespace ratchet::daemon {
namespace {

constexpr rlim_t kWantedOpenFiles = 4096;
constexpr int kServeStopMs = 12'000;

int StepCpus(int asked) { return asked > 0 ? asked : std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

// The parts, in the order in which they are built.
class Daemon {
 public:
  explicit Daemon(Settings settings) : settings_(std::move(settings)) {}

  Status Start() {
    std::error_code error;
    data_ = std::filesystem::absolute(settings_.data, error).lexically_normal().string();
    while (data_.size() > 1 && data_.ends_with('/')) data_.pop_back();
    RATCHET_TRY(CheckAddresses());
    RATCHET_TRY(OpenDataDirectory());
    RATCHET_ASSIGN(store_, registry::Store::Open(data_ + "/registry.db", clock_));
    RATCHET_TRY(metrics_.StartFromNow(*store_));
    RATCHET_TRY(OpenEvents());
    blobs_.emplace(files_, data_ + "/blobs/sha256");
    worker_.emplace(pipeline::ForkServerOptions{.program = settings_.worker_program,
                                                .plugins = settings_.plugins,
                                                .log_path = data_ + "/logs/worker.log",
                                                .log_level = settings_.log_level,
                                                .data_dir = data_},
                    clock_);
    orchestrator_.emplace(
        *store_, *blobs_, files_, *worker_, replicas_, clock_,
        pipeline::OrchestratorOptions{.data_dir = data_, .max_active_runs = settings_.max_runs, .cpus = StepCpus(settings_.cpus),
                                                        .sandbox_required = !settings_.allow_unsandboxed,
                                                        .serve_program = std::filesystem::absolute(settings_.serve_program),
                                                        .needs_replica = !settings_.no_serve});
    orchestrator_->WatchLiveMetrics(*feedback_);
    loop_.emplace(*orchestrator_, *worker_, clock_);
    feedback_->OnJoined([this] {
      loop_->Wake();
      if (pusher_) pusher_->Wake();
    });
    drift_.emplace(*store_, *blobs_, files_, clock_, data_ + "/summaries");
    store_->OnCommit([this] { commits_.Raise(); });
    store_->OnCommit([this] { loop_->Wake(); }, std::this_thread::get_id());  // the loop's thread is this one
    store_->OnCommit([this] { drift_->Wake(); });
    if (!settings_.no_serve) replicas_.ExpectReplica();
    replicas_.OnReport([this] { loop_->Wake(); });
    RATCHET_TRY(StartHttp());
    if (!settings_.no_serve) StartServe();
    return {};
  }

  void Run() {
    spdlog::info("ratchetd {} answers on http://{} for {}", kVersion, http_->address(), data_);
    drift_->Start();
    pusher_->Start();
    loop_->Run();
    pusher_->Stop();
    drift_->Stop();
    http_ = nullptr;
    if (serve_) serve_->Stop(kServeStopMs);
  }

 private:
  // Before anything is made: a daemon that cannot listen leaves nothing behind. Where another one has the directory, that
  // is what is to be said.
  Status CheckAddresses() const {
    if (LockHolder(data_ + "/lock") != 0) return {};
    RATCHET_ASSIGN(const HostPort listen, ParseHostPort(settings_.listen));
    if (listen.port != 0) RATCHET_TRY(CheckFree(listen, "--listen"));
    return CheckServeAddress();
  }

  // A data plane of another data directory on the same address would answer in this one's name.
  Status CheckServeAddress() const {
    if (settings_.no_serve || LockHolder(data_ + "/serve/lock") != 0) return {};
    RATCHET_ASSIGN(const HostPort serve, ParseHostPort(settings_.serve_listen));
    if (serve.port == 0) return {};
    if (settings_.serve_listen == settings_.listen)
      return Fail(ErrorCode::kInvalid, "listen on", settings_.serve_listen, "--listen and --serve-listen are the same");
    return CheckFree(serve, "--serve-listen");
  }

  static Status CheckFree(const HostPort& address, const std::string& option) {
    addrinfo hints{.ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    addrinfo* found = nullptr;
    if (getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) return {};
    const int probe = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const int bound = bind(probe, found->ai_addr, found->ai_addrlen);
    const int error_number = errno;
    close(probe);
    freeaddrinfo(found);
    if (bound == 0) return {};
    return Fail(ErrorCode::kConflict, "listen on", address.host + ":" + std::to_string(address.port),
                error_number == EADDRINUSE ? "the port is taken by another program" : std::strerror(error_number),
                "Stop that program or choose another port with " + option);
  }

  Status OpenDataDirectory() {
    RATCHET_TRY(files_.MakeFolders(data_));
    auto lock = FileLock::Acquire(data_ + "/lock");
    if (!lock && lock.error().code == ErrorCode::kConflict)
      return Fail(ErrorCode::kConflict, "open the data directory", data_,
                  "another ratchetd has it, " + lock.error().cause,
                  "Stop that one, or give this one a directory of its own with --data");
    if (!lock) return std::unexpected(lock.error());
    lock_ = std::move(*lock);
    RATCHET_TRY(files_.RemoveAll(data_ + "/staging"));
    for (const char* folder : {"/staging", "/blobs/sha256", "/runs", "/logs", "/serve"})
      RATCHET_TRY(files_.MakeFolders(data_ + folder));
    return {};
  }

  Status OpenEvents() {
    registry::Retention retention;
    RATCHET_ASSIGN(const std::int64_t keep_s, pipeline::ParseSeconds(settings_.keep_predictions));
    retention.keep_us = keep_s * 1'000'000;
    RATCHET_ASSIGN(retention.keep_bytes, pipeline::ParseBytes(settings_.keep_events));
    RATCHET_ASSIGN(events_, registry::Store::Open(data_ + "/events.db", clock_, registry::EventsKind()));
    feedback_.emplace(*store_, *events_, clock_, retention);
    return {};
  }

  Status StartHttp() {
    RATCHET_ASSIGN(const HostPort listen, ParseHostPort(settings_.listen));
    api_.emplace(Api{.store = *store_,
                     .blobs = *blobs_,
                     .files = files_,
                     .clock = clock_,
                     .replicas = replicas_,
                     .commits = commits_,
                     .metrics = metrics_,
                     .feedback = *feedback_,
                     .data_dir = data_,
                     .started_at = clock_.WallUs(),
                     .serve_url = [this] { return ServeUrl(); },
                     .manages_serve = !settings_.no_serve,
                     .worker = [this] { return WorkerStatus(*worker_); }});
    pusher_.emplace(*api_);
    HttpOptions options{.host = listen.host, .port = listen.port, .limits = {}, .observe = {}};
    options.observe = [this](const Served& served) { metrics_.CountRequest(served); };
    RATCHET_ASSIGN(http_, HttpServer::Start(std::move(options), BindRoutes(*api_), clock_));
    return files_.WriteAtomic(data_ + "/address", http_->address() + "\n");
  }

  std::vector<std::string> LoggingWords() const {
    std::vector<std::string> words = {"--log-sample", fmt::format("{}", settings_.log_sample), "--spool-bytes",
                                      std::to_string(pipeline::ParseBytes(settings_.spool_bytes).value_or(256 << 20))};
    if (!settings_.log_redact.empty()) words.insert(words.end(), {"--log-redact", settings_.log_redact});
    return words;
  }

  void StartServe() {
    serve_.emplace(ServeOptions{.program = settings_.serve_program,
                                .data_dir = data_,
                                .listen = settings_.serve_listen,
                                .control_url = "http://" + http_->address(),
                                .log_level = settings_.log_level,
                                .logging = LoggingWords()},
                   files_, clock_);
    loop_->Supervise(*serve_);
  }

  // Port 0 becomes known only when ratchet-serve has written where it listens.
  std::string ServeUrl() {
    auto address = files_.Read(data_ + "/serve/address", 256);
    std::string text = address ? *address : settings_.serve_listen;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return "http://" + text;
  }

  Settings settings_;
  std::string data_;
  SystemClock clock_;
  SystemFiles files_;
  CommitSignal commits_;
  Metrics metrics_;
  ReplicaHub replicas_{clock_};
  std::unique_ptr<FileLock> lock_;
  std::optional<ControlLoop> loop_;  // outlives the writer thread, which wakes it; so does the next
  std::optional<pipeline::DriftWatch> drift_;
  std::unique_ptr<registry::Store> store_;
  std::unique_ptr<registry::Store> events_;
  std::optional<pipeline::Feedback> feedback_;
  std::optional<registry::BlobStore> blobs_;
  std::optional<pipeline::ForkServer> worker_;
  std::optional<pipeline::Orchestrator> orchestrator_;
  std::optional<Api> api_;
  std::optional<FeedbackPusher> pusher_;
  std::optional<ServeSupervisor> serve_;
  std::unique_ptr<HttpServer> http_;
};

// Few threads are busy at a time: two arenas keep what they free from staying spread over a dozen.
void PrepareProcess() {
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  signal(SIGPIPE, SIG_IGN);
  umask(077);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < kWantedOpenFiles) {
    files.rlim_cur = std::min(files.rlim_max, kWantedOpenFiles);
    setrlimit(RLIMIT_NOFILE, &files);
  }
}

}  // namespace
}  // namespace ratchet::daemon

int main(int argc, char** argv) {
  using namespace ratchet::daemon;
  Parsed parsed = ParseSettings(argc, argv);
  if (parsed.exit_code) return *parsed.exit_code;
  ratchet::InitLog("ratchetd", parsed.settings.log_level);
  PrepareProcess();
  std::error_code error;
  FindPrograms(parsed.settings, std::filesystem::read_symlink("/proc/self/exe", error).string());
  Daemon daemon(std::move(parsed.settings));
  if (const ratchet::Status started = daemon.Start(); !started) {
    std::fprintf(stderr, "ratchetd: %s\n", started.error().Message().c_str());
    return 1;
  }
  daemon.Run();
  return 0;
}
