#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/files.h"
#include "daemon/api.h"
#include "daemon/http_server.h"
#include "tests/daemon/raw_client.h"

namespace ratchet::daemon {

// The whole API on a real registry and lake in a folder of its own, served on a port of its own. No worker, no loop.
class ApiFixture : public ::testing::Test {
 protected:
  ApiFixture();
  ~ApiFixture() override;

  RawClient::Answer Do(std::string_view method, std::string_view target, std::string_view content_type = {},
                       std::string_view body = {}, std::string_view headers = {});
  // Body of a request that must succeed.
  Json Ok(std::string_view method, std::string_view target, std::string_view content_type = {},
          std::string_view body = {});

  // A dataset `toys` of 100 rows and a pipeline `toys` on it.
  void PushToys();
  void ApplyToys();
  // A run of that pipeline with a candidate of model `toys` that the gate has passed; returns the version's number.
  std::int64_t MakePassedVersion(const std::string& model_bytes);

  std::string dir_;
  SystemClock clock_;
  SystemFiles files_;
  CommitSignal commits_;
  Metrics metrics_;
  ReplicaHub replicas_{clock_};
  std::unique_ptr<registry::Store> store_, events_;
  std::optional<pipeline::Feedback> feedback_;
  std::optional<registry::BlobStore> blobs_;
  std::optional<Api> api_;
  Json worker_ = {{"state", "ready"}, {"sandbox", "landlock"}, {"recipes", Json::array()}};
  std::unique_ptr<HttpServer> server_;
};

extern const char kToysSpec[];
std::string ToysCsv(int rows);

}  // namespace ratchet::daemon
