#include "tests/daemon/api_fixture.h"

#include <stdlib.h>

#include <filesystem>

#include "registry/models.h"
#include "registry/runs.h"

namespace ratchet::daemon {

const char kToysSpec[] =
    "model: toys\n"
    "data:\n"
    "  dataset: toys\n"
    "  split: {key: id}\n"
    "  target: label\n"
    "train:\n"
    "  recipe: tabular.classifier\n"
    "  params: {epochs: 3}\n";

std::string ToysCsv(int rows) {
  std::string text = "id,size,label\n";
  for (int i = 0; i < rows; ++i)
    text += std::to_string(i) + "," + std::to_string(i * 0.5) + "," + std::to_string(i % 2) + "\n";
  return text;
}

ApiFixture::ApiFixture() {
  std::string pattern = (std::filesystem::temp_directory_path() / "ratchet-api-XXXXXX").string();
  dir_ = mkdtemp(pattern.data());
  for (const char* folder : {"/staging", "/blobs/sha256", "/runs"}) std::filesystem::create_directories(dir_ + folder);
  auto store = registry::Store::Open(dir_ + "/registry.db", clock_);
  if (!store) throw std::runtime_error(store.error().Message());
  store_ = std::move(*store);
  store_->OnCommit([this] { commits_.Raise(); });
  auto events = registry::Store::Open(dir_ + "/events.db", clock_, registry::EventsKind());
  if (!events) throw std::runtime_error(events.error().Message());
  events_ = std::move(*events);
  feedback_.emplace(*store_, *events_, clock_, registry::Retention{});
  blobs_.emplace(files_, dir_ + "/blobs/sha256");
  api_.emplace(Api{.store = *store_,
                   .blobs = *blobs_,
                   .files = files_,
                   .clock = clock_,
                   .replicas = replicas_,
                   .commits = commits_,
                   .metrics = metrics_,
                   .feedback = *feedback_,
                   .data_dir = dir_,
                   .started_at = clock_.WallUs(),
                   .serve_url = [] { return std::string("http://127.0.0.1:7301"); },
                   .manages_serve = true,
                   .worker = [this] { return worker_; }});
  HttpOptions options;
  options.observe = [this](const Served& served) { metrics_.CountRequest(served); };
  auto server = HttpServer::Start(std::move(options), BindRoutes(*api_), clock_);
  if (!server) throw std::runtime_error(server.error().Message());
  server_ = std::move(*server);
}

ApiFixture::~ApiFixture() {
  server_ = nullptr;
  feedback_.reset();
  events_ = nullptr;
  store_ = nullptr;
  std::filesystem::remove_all(dir_);
}

RawClient::Answer ApiFixture::Do(std::string_view method, std::string_view target, std::string_view content_type,
                                 std::string_view body, std::string_view headers) {
  std::string lines(headers);
  if (!content_type.empty()) lines += "Content-Type: " + std::string(content_type) + "\r\n";
  return Ask(server_->port(), RequestText(method, target, lines, body));
}

Json ApiFixture::Ok(std::string_view method, std::string_view target, std::string_view content_type,
                    std::string_view body) {
  const auto answer = Do(method, target, content_type, body);
  EXPECT_TRUE(answer.status >= 200 && answer.status < 300) << method << " " << target << ": " << answer.body;
  return Json::parse(answer.body, nullptr, false);
}

void ApiFixture::PushToys() { Ok("POST", "/api/v1/datasets/toys/versions?key=id", "text/csv", ToysCsv(100)); }

void ApiFixture::ApplyToys() { Ok("PUT", "/api/v1/pipelines/toys", "application/yaml", kToysSpec); }

std::int64_t ApiFixture::MakePassedVersion(const std::string& model_bytes) {
  const Json run = Ok("POST", "/api/v1/pipelines/toys/runs");
  const std::string model = blobs_->Put(model_bytes).value();
  const Json manifest = {{"format", 1}, {"files", {{"model.pt", {{"sha256", model}, {"bytes", model_bytes.size()}}}}}};
  registry::VersionInput input{.model = "toys",
                               .metric = "accuracy",
                               .run = run.at("id"),
                               .bundle = blobs_->Put(manifest.dump()).value(),
                               .bundle_bytes = static_cast<std::int64_t>(model_bytes.size()),
                               .manifest = manifest,
                               .recipe = "tabular.classifier",
                               .dataset = "toys",
                               .dataset_version = 1};
  auto version = store_->Write([&](Db& db) { return registry::CreateVersion(db, clock_.WallUs(), input); });
  EXPECT_TRUE(version) << version.error().Message();
  registry::DecisionInput decision{.report = {{"verdict", "better"}},
                                   .verdict = "better",
                                   .score = 0.9,
                                   .opponent = 0.5,
                                   .opponent_kind = "majority",
                                   .rows = 20,
                                   .promotes = true};
  if (version->version > 1) decision.opponent_version = version->version - 1;
  auto recorded = store_->Write(
      [&](Db& db) { return registry::RecordDecision(db, clock_.WallUs(), "toys", version->version, decision); });
  EXPECT_TRUE(recorded) << recorded.error().Message();
  return version->version;
}

}  // namespace ratchet::daemon
