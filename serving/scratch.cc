#include "serving/scratch.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/digest.h"
#include "base/files.h"
#include "serving/http_server.h"
#include "serving/model_host.h"
#include "serving/v2_service.h"

namespace ratchet::serving {
namespace {

using nlohmann::json;

constexpr std::int64_t kVersion = 1;

// A reader that is gone wants nothing told.
void Say(int fd, const json& what) {
  const std::string line = what.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  for (size_t at = 0; at < line.size();) {
    const ssize_t written = write(fd, line.data() + at, line.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    at += static_cast<size_t>(written);
  }
}

// The most memory that was resident at a time so far; 0 where the kernel does not say.
std::uint64_t PeakBytes(Files& files) {
  const std::string status = files.Read("/proc/self/status", 64 << 10).value_or("");
  const size_t at = status.find("VmHWM:");
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + 6, nullptr, 10) * 1024;
}

Result<LocalBundle> OpenBundle(Files& files, const ScratchOptions& options) {
  RATCHET_ASSIGN(const std::string text, files.Read(options.manifest, registry::kMaxManifestBytes));
  LocalBundle bundle{.digest = Sha256Hex(text), .manifest = {}, .model_path = options.model};
  RATCHET_ASSIGN(bundle.manifest, registry::ParseManifest(text));
  RATCHET_ASSIGN(const std::string found, Sha256File(options.model));
  if (found == bundle.manifest.model().sha256) return bundle;
  return Fail(ErrorCode::kCorrupt, "read model", options.model, "its SHA-256 is " + found + ", not the manifest's");
}

Status LoadInto(ModelHost& host, Files& files, const ScratchOptions& options, const ModelLoader& load) {
  RATCHET_ASSIGN(const LocalBundle bundle, OpenBundle(files, options));
  const VersionRef ref{.version = kVersion, .bundle = bundle.digest};
  Route route{.model = kScratchModel, .epoch = 1, .live = ref, .previous = {}, .loading = {}};
  RouteTable table{.revision = 1, .routes = {}};
  table.routes.emplace(kScratchModel, std::move(route));
  (void)host.Adopt(table);
  RATCHET_ASSIGN(auto runner, load(bundle));
  (void)host.Add({kScratchModel, ref}, bundle, std::move(runner));
  return {};
}

}  // namespace

Status ServeScratch(const ScratchOptions& options, const ModelLoader& load, const std::function<void()>& wait) {
  SystemFiles files;
  SystemClock clock;
  ServeMetrics metrics;
  ModelHost host(metrics);
  V2Service service(host, metrics, clock, {.threads = options.threads}, 1);
  RATCHET_ASSIGN(const auto server, HttpServer::Start({.host = "127.0.0.1", .port = 0}, 1, {}, service, metrics));
  Say(options.told_fd, {{"event", "listening"}, {"address", server->Address()}, {"memory_bytes", PeakBytes(files)}});
  const std::int64_t begun_us = clock.MonotonicUs();
  if (Status loaded = LoadInto(host, files, options, load); !loaded) {
    Say(options.told_fd, {{"event", "failed"}, {"why", loaded.error().cause}});
    return loaded;
  }
  Say(options.told_fd, {{"event", "loaded"}, {"load_us", clock.MonotonicUs() - begun_us}});
  wait();
  server->BeginStop();
  service.Stop();
  return {};
}

}  // namespace ratchet::serving
