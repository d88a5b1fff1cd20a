#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "lake/base64.h"
#include "registry/runs.h"
#include "tests/daemon/api_fixture.h"

namespace ratchet::daemon {
namespace {

using registry::AttemptState;
using ::testing::HasSubstr;

// The data of the events of one type, in order.
std::vector<Json> Events(const std::string& stream, const std::string& type) {
  std::vector<Json> found;
  const std::string head = "event: " + type + "\ndata: ";
  for (size_t at = stream.find(head); at != std::string::npos; at = stream.find(head, at + 1)) {
    const size_t begin = at + head.size();
    found.push_back(Json::parse(stream.substr(begin, stream.find('\n', begin) - begin), nullptr, false));
  }
  return found;
}

std::string BytesOf(const std::vector<Json>& events) {
  std::string bytes;
  for (const Json& event : events) {
    std::string piece = event.value("text", "");
    if (event.contains("base64")) {
      EXPECT_TRUE(lake::FromBase64(event["base64"].get<std::string>(), piece));
    }
    bytes += piece;
  }
  return bytes;
}

class RunLogsTest : public ApiFixture {
 protected:
  void SetUp() override {
    ApplyToys();
    PushToys();
    Ok("POST", "/api/v1/pipelines/toys/runs");
    Do([&](Db& db) { return registry::StartRun(db, clock_.WallUs(), 1); });
    Begin();
  }
  using ApiFixture::Do;
  void Do(const std::function<Status(Db&)>& change) {
    const auto done = store_->Write(change);
    ASSERT_TRUE(done) << done.error().Message();
  }
  // The next attempt of `validate`.
  void Begin() {
    Do([&](Db& db) -> Status {
      RATCHET_ASSIGN(attempt_, registry::StartAttempt(db, clock_.WallUs(), 1, "validate"));
      return {};
    });
    folder_ = dir_ + "/runs/1/validate-" + std::to_string(attempt_.number);
    std::filesystem::create_directories(folder_);
  }
  void End(AttemptState state) {
    Do([&](Db& db) { return registry::EndAttempt(db, clock_.WallUs(), attempt_, state, {}); });
  }
  void EndStep() {
    End(AttemptState::kSucceeded);
    Do([&](Db& db) { return registry::MoveStep(db, clock_.WallUs(), 1, "validate", registry::StepState::kSucceeded); });
  }
  void Write(const std::string& text) { std::ofstream(folder_ + "/log", std::ios::app | std::ios::binary) << text; }
  RawClient Follow(const std::string& query, const std::string& headers) {
    RawClient client(server_->port());
    client.Send(RequestText("GET", "/api/v1/runs/1/logs" + query, headers));
    return client;
  }

  // A log as it is now, its chunks put together.
  std::string Log(const std::string& query) {
    const std::string body = ApiFixture::Do("GET", "/api/v1/runs/1/logs" + query).body;
    std::string text;
    for (size_t at = 0; at < body.size();) {
      const size_t line = body.find("\r\n", at);
      const size_t size = std::stoul(body.substr(at, line - at), nullptr, 16);
      text += body.substr(line + 2, size);
      at = line + 2 + size + 2;
    }
    return text;
  }

  registry::Attempt attempt_;
  std::string folder_;
};

constexpr char kEvents[] = "Accept: text/event-stream\r\n";

TEST_F(RunLogsTest, ReachAFollowerWithin200MsOfBeingWritten) {
  Write("begin\n");
  RawClient client = Follow("?follow=1", "");
  ASSERT_TRUE(client.ReadUntil("begin\n"));
  std::vector<double> waits_ms;
  for (int i = 0; i < 11; ++i) {
    const std::string line = "line " + std::to_string(i) + " of it\n";
    const auto written = std::chrono::steady_clock::now();
    Write(line);
    ASSERT_TRUE(client.ReadUntil(line));
    waits_ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - written).count());
  }
  std::ranges::sort(waits_ms);
  EXPECT_LT(waits_ms[5], 200) << "the median of 11 lines, on whatever else this machine does";
}

TEST_F(RunLogsTest, GoOnByteForByteWhereAnEventStreamBrokeOff) {
  const std::string first = "one\ntw\xc3\xb6\n", second = "\xff\xfe raw\nlast\n";
  Write(first);
  std::string seen;
  {
    RawClient client = Follow("", kEvents);
    ASSERT_TRUE(client.ReadUntil("id: 1-" + std::to_string(first.size()) + "\n"));
    ASSERT_TRUE(client.ReadUntil("tw\xc3\xb6"));
    ASSERT_TRUE(client.ReadUntil("\n\n"));
    seen = BytesOf(Events(client.held(), "log"));
  }
  Write(second);
  RawClient again = Follow("", std::string(kEvents) + "Last-Event-ID: 1-" + std::to_string(seen.size()) + "\r\n");
  ASSERT_TRUE(again.ReadUntil("base64"));
  EndStep();
  ASSERT_TRUE(again.ReadUntil("event: end"));
  ASSERT_TRUE(again.ReadUntil("\"state\":\"succeeded\""));
  EXPECT_EQ(seen + BytesOf(Events(again.held(), "log")), first + second);
}

TEST_F(RunLogsTest, CutNoCharacterInTwo) {
  Write("caf\xc3");
  RawClient client = Follow("", kEvents);
  ASSERT_TRUE(client.ReadUntil("\"caf\""));
  Write("\xa9 au lait\n");
  ASSERT_TRUE(client.ReadUntil("\xc3\xa9 au lait"));
  EXPECT_THAT(client.held(), testing::Not(HasSubstr("base64")));
}

TEST_F(RunLogsTest, GoOnWithTheNextAttempt) {
  Write("first\n");
  RawClient client = Follow("", kEvents);
  ASSERT_TRUE(client.ReadUntil("first"));
  End(AttemptState::kLost);
  Begin();
  Write("second\n");
  ASSERT_TRUE(client.ReadUntil("id: 2-0\nevent: attempt"));
  ASSERT_TRUE(client.ReadUntil("id: 2-7\nevent: log"));
  EXPECT_EQ(Log("?attempt=1"), "first\n");
  EXPECT_EQ(Log(""), "second\n");
  EXPECT_EQ(ApiFixture::Do("GET", "/api/v1/runs/1/logs?attempt=3").status, 404);
  EXPECT_EQ(Log("?attempt=1&follow=1"), "first\n") << "asked for by number, it ends with its attempt";
}

TEST_F(RunLogsTest, BeginAtAnOffsetAndSayWhatWasDropped) {
  Write("0123456789");
  EXPECT_EQ(Log("?offset=4"), "456789");
  EXPECT_EQ(Log("?offset=99"), "");
  EXPECT_EQ(ApiFixture::Do("GET", "/api/v1/runs/1/logs?offset=x").status, 400);
  std::ofstream(folder_ + "/log.100") << "the end\n";
  EXPECT_EQ(Log(""), "0123456789\n… 90 bytes dropped …\nthe end\n");
}

}  // namespace
}  // namespace ratchet::daemon
