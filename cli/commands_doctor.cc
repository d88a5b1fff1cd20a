#include <spdlog/fmt/fmt.h>
#include <sys/statvfs.h>

#include "cli/help.h"
#include "cli/human.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

constexpr int kPatienceMs = 5000;
constexpr std::int64_t kSilentReplicaUs = 60'000'000;  // three long polls
constexpr std::int64_t kStartUs = 30'000'000;  // within this after its start, what is not there yet may still come
constexpr double kLowDiskBytes = 5.0 * (1 << 30);
constexpr double kFullDiskBytes = 0.5 * (1 << 30);

struct Finding {
  std::string check;
  std::string state;  // ok, warn, fail
  std::string detail;
  std::string hint;  // what to do; empty when ok
};

using Findings = std::vector<Finding>;

void CheckVersion(const Json& status, Findings& findings) {
  std::string version = TextField(status, "version");
  if (version == RATCHET_VERSION)
    findings.push_back({"version", "ok", "ratchetd and ratchet are both " + version, ""});
  else
    findings.push_back({"version", "warn", fmt::format("ratchetd is {}, ratchet is {}", version, RATCHET_VERSION),
                        "Install the same version of both"});
}

constexpr const char* kStarting = "Try again in a moment";

// `worker` is its state. One that is no more than on its way has a line of its own, so that this one would repeat it.
void CheckReadiness(Client& client, const std::string& worker, Findings& findings) {
  auto ready = client.Get("/readyz");
  if (!ready && worker == "starting" && ready.error().code == ErrorCode::kUnavailable) return;
  if (ready)
    findings.push_back({"ready", "ok", "the control plane takes requests", ""});
  else
    findings.push_back({"ready", "fail", ready.error().Message(), "Look at the log of ratchetd"});
}

void CheckWorker(const Json& status, Findings& findings) {
  const Json& worker = Field(status, "worker");
  const std::string state = TextField(worker, "state"), error = TextField(worker, "error");
  const std::string why = error.empty() ? "" : ": " + error;
  if (state == "ready")
    findings.push_back(
        {"worker", "ok",
         fmt::format("ready, {}", Counted(static_cast<std::int64_t>(Field(worker, "recipes").size()), "recipe")), ""});
  else if (state == "starting")
    findings.push_back({"worker", "warn", "it is starting" + why, kStarting});
  else
    findings.push_back({"worker", "fail", "it is " + (state.empty() ? "unknown" : state) + why,
                        "No run can go on. Look at logs/worker.log in the data directory"});
  if (state != "ready") return;
  std::string sandbox = TextField(worker, "sandbox");
  if (sandbox.empty() || sandbox == "none")
    findings.push_back({"sandbox", "warn", "this kernel gives no means to close the holdout off from a trainer",
                        "Use a kernel with Landlock (5.13 or later) or user namespaces"});
  else
    findings.push_back({"sandbox", "ok", sandbox, ""});
  if (Field(worker, "recipes").empty())
    findings.push_back({"recipes", "warn", "no plugin is loaded", "Check the folder that ratchetd --plugins names"});
}

// False where ratchetd runs with --no-serve: then there may be replicas, but none is missed.
bool ManagesServe(const Json& serve) {
  const Json& managed = Field(serve, "managed");
  return !managed.is_boolean() || managed.get<bool>();
}

// True where ratchetd has started its data plane just now, which has not reported yet.
bool ServeIsStarting(const Json& status, std::int64_t now_us) {
  const Json& serve = Field(status, "serve");
  const auto started_at = IntField(status, "started_at");
  return ManagesServe(serve) && Field(serve, "replicas").empty() && started_at && now_us - *started_at < kStartUs;
}

// Every replica must hold the route epoch that the control plane holds, for every model.
void CheckEpochs(Client& client, const Json& serve, std::int64_t now_us, Findings& findings) {
  if (Field(serve, "replicas").empty() && ManagesServe(serve)) {
    findings.push_back({"routes", "fail", "no replica of the data plane has reported",
                        "Look at logs/serve.log in the data directory"});
    return;
  }
  auto models = client.GetItems("/api/v1/models");
  if (!models) {
    findings.push_back({"routes", "fail", models.error().Message(), "Look at the log of ratchetd"});
    return;
  }
  size_t before = findings.size();
  for (const Json& replica : Field(serve, "replicas")) {
    std::string id = TextField(replica, "id");
    auto seen_at = IntField(replica, "seen_at");
    if (seen_at && now_us - *seen_at > kSilentReplicaUs)
      findings.push_back({"replica " + id, "warn", "last heard of " + ShownAge(*seen_at, now_us),
                          "Check that it runs and reaches the control plane"});
    for (const Json& model : *models) {
      std::string name = TextField(model, "name");
      auto wanted = IntField(model, "epoch");
      auto held = IntField(Field(Field(replica, "models"), name), "epoch");
      if (IntField(model, "live") && held != wanted)
        findings.push_back({"routes", "fail",
                            fmt::format("replica {} holds epoch {} of {}, the control plane is at {}", id,
                                        ShownInt(held), name, ShownInt(wanted)),
                            "Look at logs/serve.log in the data directory"});
    }
  }
  if (findings.size() == before)
    findings.push_back({"routes", "ok", "every replica is in the control plane's epoch", ""});
}

void CheckDataPlane(const Client& control, const Json& serve, Findings& findings) {
  if (!ManagesServe(serve)) {
    findings.push_back({"data plane", "ok", "ratchetd runs none (--no-serve)", ""});
    return;
  }
  std::string url = ReachableFrom(control.Url(), TextField(serve, "url"));
  auto parsed = ParseServerUrl(url);
  if (!parsed) {
    findings.push_back({"data plane", "fail", "the server names none", "Look at logs/serve.log in the data directory"});
    return;
  }
  Client plane(std::move(*parsed), "");
  plane.SetPatience(kPatienceMs);
  auto ready = plane.Get("/v2/health/ready");
  if (ready)
    findings.push_back({"data plane", "ok", url + " is ready", ""});
  else if (OutOfReach(ready.error()))
    findings.push_back(
        {"data plane", "fail", "nothing answers at " + url,
         "Look at logs/serve.log in the data directory; from elsewhere, give ratchetd --serve-listen an address "
         "that is reachable"});
  else
    findings.push_back({"data plane", "warn", url + " answers but is not ready", "It may still load; ask again"});
}

void CheckDisk(const Client& client, const Json& status, Findings& findings) {
  std::string folder = TextField(status, "data_dir");
  struct statvfs disk {};
  if (!client.Url().Loopback() || folder.empty() || statvfs(folder.c_str(), &disk) != 0) return;
  double free_bytes = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
  std::string state = free_bytes < kFullDiskBytes ? "fail" : free_bytes < kLowDiskBytes ? "warn" : "ok";
  findings.push_back({"disk", state, fmt::format("{} free for {}", ShownSize(free_bytes), folder),
                      state == "ok" ? "" : "Free some space; pushes and runs fail when it is full"});
}

Result<Findings> Examine(const Context& context) {
  RATCHET_ASSIGN(Client client, context.Connect());
  client.SetPatience(kPatienceMs);
  auto status = client.GetJson("/api/v1/status");
  if (!status && OutOfReach(status.error()))
    return Findings{{"server", "fail", status.error().subject + ": " + status.error().cause, status.error().hint}};
  if (!status) return Findings{{"server", "fail", status.error().Message(), "Check that --server names a ratchetd"}};
  Findings findings = {{"server", "ok", client.Url().Text() + " answers", ""}};
  CheckVersion(*status, findings);
  CheckReadiness(client, TextField(Field(*status, "worker"), "state"), findings);
  CheckWorker(*status, findings);
  const Json& serve = Field(*status, "serve");
  const std::int64_t now_us = context.clock.WallUs();
  if (ServeIsStarting(*status, now_us)) {
    findings.push_back({"data plane", "warn", "it is starting", kStarting});
  } else {
    CheckDataPlane(client, serve, findings);
    CheckEpochs(client, serve, now_us, findings);
  }
  CheckDisk(client, *status, findings);
  return findings;
}

void Print(Context& context, const Findings& findings) {
  if (context.Json()) {
    Json list = Json::array();
    for (const Finding& finding : findings)
      list.push_back(
          {{"check", finding.check}, {"state", finding.state}, {"detail", finding.detail}, {"hint", finding.hint}});
    PrintItems(context.console, list);
    return;
  }
  for (const Finding& finding : findings) {
    std::string state = context.console.OnOut(PaintOfState(finding.state), fmt::format("{:<4}", finding.state));
    context.console.OutLine(fmt::format("{}  {:<11} {}", state, OneLine(finding.check), OneLine(finding.detail)));
    if (!finding.hint.empty()) context.console.OutLine("                  → " + finding.hint);
  }
}

Outcome Doctor(Context& context) {
  RATCHET_ASSIGN(Findings findings, Examine(context));
  Print(context, findings);
  bool reached = findings.front().state == "ok" || findings.size() > 1;
  bool failed = false;
  for (const Finding& finding : findings) failed = failed || finding.state == "fail";
  if (!reached) return kExitOutOfReach;
  return failed ? kExitFailed : kExitDone;
}

}  // namespace

void AddDoctorCommand(CLI::App& root, Context& context) {
  AddCommand(root, context,
             {.name = "doctor",
              .summary = "find out what is wrong, and what to do about it",
              .details = "Checks that the server answers and is of this version, that the worker is ready and can\n"
                         "sandbox, that the data plane answers and is in the control plane's route epoch, and that\n"
                         "the disk has space (where the data directory is on this machine). Each check is a line\n"
                         "that begins with ok, warn or fail; what to do stands below. What is still starting is a\n"
                         "warning: only what is broken fails. With -o json: an array of\n"
                         "{\"check\", \"state\", \"detail\", \"hint\"}.",
              .examples = "ratchet doctor\nratchet doctor -o json",
              .exit_status = "  0                       nothing failed (there may be warnings)\n"
                             "  1                       something failed\n"},
             [&context] { return Doctor(context); });
}

}  // namespace ratchet::cli
