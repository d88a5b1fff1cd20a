#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "daemon/http_server.h"
#include "tests/daemon/count_upload.h"
#include "tests/daemon/raw_client.h"

// What slow, silent and half-gone clients can take from the control plane's server, and what they cannot.
namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kUploadLimit = 1 << 20;
constexpr std::uint64_t kFileBytes = 64 << 20;  // more than the sockets of both ends hold

bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

// How much of the file's bytes the client can read, until it has them all or the connection ends.
size_t ReadRest(RawClient& client) {
  while (client.held().size() < kFileBytes && client.ReadMore()) {
  }
  return client.held().size();
}

bool SendZeros(const Send& send, std::uint64_t bytes) {
  const std::string piece(64 * 1024, '0');
  for (std::uint64_t sent = 0; sent < bytes; sent += piece.size()) {
    if (!send(piece)) return false;
  }
  return true;
}

Result<Response> File(const Request&) {
  return Response{.content_type = "application/octet-stream",
                  .body = "",
                  .stream = [](const Send& send) { return SendZeros(send, kFileBytes); },
                  .stream_bytes = kFileBytes};
}

class HttpSlowClientsTest : public ::testing::Test {
 protected:
  void Start(HttpLimits limits = {}) {
    using enum RouteKind;
    std::vector<Route> routes = {
        {{"GET", "/quick", "quick", Role::kViewer, kPlain, 0, ""},
         [](const Request&) -> Result<Response> { return Response{.content_type = "text/plain", .body = "quick"}; }},
        {{"POST", "/upload", "upload", Role::kOperator, kUpload, kUploadLimit, ""},
         [this](const Request& request) { return Adopt(request); }},
        {{"POST", "/plain", "plain", Role::kOperator, kPlain, kUploadLimit, ""},
         [this](const Request& request) -> Result<Response> {
           ++adopted_;
           return Response{.content_type = "text/plain", .body = std::to_string(request.body.size())};
         }},
        {{"GET", "/file", "file", Role::kOperator, kPlain, 0, ""}, File},
        {{"GET", "/page", "page", Role::kViewer, kPlain, 0, ""}, File},
        {{"GET", "/text", "text", Role::kViewer, kPlain, 0, ""},
         [](const Request&) -> Result<Response> { return Response{.body = std::string(kFileBytes, '0')}; }},
        {{"GET", "/log", "log", Role::kViewer, kStream, 0, ""}, File},
    };
    auto server = HttpServer::Start({.limits = limits}, std::move(routes), clock_);
    ASSERT_TRUE(server) << server.error().Message();
    server_ = std::move(*server);
  }

  Result<Response> Adopt(const Request& request) {
    auto answer = CountUpload(request);
    if (answer) ++adopted_;
    return answer;
  }

  int port() const { return server_->port(); }
  RawClient::Answer Get(std::string_view target) { return Ask(port(), RequestText("GET", target)); }
  // A client that has begun a body of `whole` bytes and sent half of it.
  RawClient Begin(std::string_view target, size_t whole) {
    RawClient client(port());
    client.Send(RequestText("POST", target, "Content-Length: " + std::to_string(whole) + "\r\n") +
                std::string(whole / 2, 'x'));
    return client;
  }
  // A client that has asked for a large answer and takes nothing of it but its head.
  RawClient Hang(std::string_view target, int status = 200) {
    RawClient client(port());
    client.Send(RequestText("GET", target));
    EXPECT_EQ(client.Read(true).status, status) << target;
    return client;
  }

  SystemClock clock_;
  std::atomic<int> adopted_{0};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpSlowClientsTest, AnswersWhileMoreUploadsTrickleInThanItHasThreads) {
  Start();
  std::vector<RawClient> slow;
  for (int i = 0; i < 100; ++i) slow.push_back(Begin("/upload", 1'000'000));
  ASSERT_TRUE(Eventually([&] { return server_->load().lobby.shed == 84; }));
  EXPECT_EQ(server_->load().uploads, 16);
  EXPECT_EQ(Get("/quick").status, 200);
  EXPECT_EQ(Ask(port(), RequestText("POST", "/plain", "", "small")).body, "5");
}

TEST_F(HttpSlowClientsTest, ShedsUploadsBeyondTheirPlacesUntilOneEnds) {
  Start({.uploads = 1});
  RawClient first = Begin("/upload", 100'000);
  ASSERT_TRUE(Eventually([&] { return server_->load().uploads == 1; }));
  RawClient second = Begin("/upload", 100'000);
  const auto shed = second.Read();
  EXPECT_EQ(shed.status, 503);
  EXPECT_EQ(shed.headers.at("retry-after"), "1");
  EXPECT_THAT(shed.body, HasSubstr("problems/overloaded"));
  EXPECT_THAT(shed.body, HasSubstr("uploads"));
  first.Send(std::string(50'000, 'x'));
  EXPECT_EQ(first.Read().body, "100000");
  EXPECT_EQ(server_->load().uploads, 0);
  RawClient third = Begin("/upload", 2'000);
  third.Send(std::string(1'000, 'x'));
  EXPECT_EQ(third.Read().body, "2000");
  EXPECT_EQ(adopted_, 2);
}

TEST_F(HttpSlowClientsTest, CountsEveryBodyThatIsNotHereYetAsAnUpload) {
  Start({.uploads = 1, .gathered_bytes = 1'000});
  const auto held = [&] { return server_->load().uploads == 1; };
  const auto none = [&] { return server_->load().uploads == 0; };
  {
    RawClient plain = Begin("/plain", 2'000);
    EXPECT_TRUE(Eventually(held)) << "a body held in memory";
    plain.Send(std::string(1'000, 'x'));
    EXPECT_EQ(plain.Read().body, "2000");
    EXPECT_TRUE(Eventually(none));
  }
  {
    RawClient chunked(port());
    chunked.Send(RequestText("POST", "/plain", "Transfer-Encoding: chunked\r\n") + "5\r\nhel");
    EXPECT_TRUE(Eventually(held)) << "a chunked body";
    chunked.Send("lo\r\n0\r\n\r\n");
    EXPECT_EQ(chunked.Read().body, "5");
    EXPECT_TRUE(Eventually(none));
  }
  {
    RawClient asking(port());
    asking.Send(RequestText("POST", "/plain", "Content-Length: 5\r\nExpect: 100-continue\r\n"));
    EXPECT_TRUE(Eventually(held)) << "a body that waits to be asked for";
    EXPECT_EQ(asking.Read().status, 100);
    asking.Send("hello");
    EXPECT_EQ(asking.Read().body, "5");
    EXPECT_TRUE(Eventually(none));
  }
  RawClient small = Begin("/plain", 500);
  small.Send(std::string(250, 'x'));
  EXPECT_EQ(small.Read().body, "500");
  RawClient gone = Begin("/upload", 100'000);
  EXPECT_TRUE(Eventually(held));
  { const RawClient closed = std::move(gone); }
  EXPECT_TRUE(Eventually(none)) << "an upload whose client went away";
  EXPECT_EQ(server_->load().lobby.shed, 0u);
}

TEST_F(HttpSlowClientsTest, AnswersWhileMoreReadersHangThanItHasThreads) {
  Start({.threads = 8, .streams = 4, .uploads = 0, .downloads = 3});
  std::vector<RawClient> slow;
  for (int i = 0; i < 3; ++i) slow.push_back(Hang("/page"));
  for (int i = 0; i < 3; ++i) slow.push_back(Hang("/log"));
  ASSERT_TRUE(Eventually([&] { return server_->load().busy == 6; }));
  const auto load = server_->load();
  EXPECT_EQ(load.downloads, 3);
  EXPECT_EQ(load.streams, 3);
  const auto refused = Get("/file");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  EXPECT_EQ(Get("/log").status, 503);  // the last place for a stream is for operators
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Eventually([&] { return server_->load().busy == 6; }));  // the last one's thread is free again
    EXPECT_EQ(Get("/quick").status, 200);
  }
}

TEST_F(HttpSlowClientsTest, KeepsAQuarterOfTheDownloadsForOperators) {
  Start({.downloads = 4});
  std::vector<RawClient> slow;
  for (int i = 0; i < 3; ++i) slow.push_back(Hang("/page"));
  EXPECT_EQ(Get("/page").status, 503);
  EXPECT_EQ(Get("/file").body.size(), kFileBytes);
}

TEST_F(HttpSlowClientsTest, WaitsForReadersOfSmallAnswersOnlyInADownloadsPlace) {
  HttpLimits limits{.downloads = 1};
  limits.large_bytes = 2 * kFileBytes;
  Start(limits);
  RawClient first = Hang("/text");
  ASSERT_TRUE(Eventually([&] { return server_->load().downloads == 1; }));
  RawClient second = Hang("/text");
  ASSERT_TRUE(Eventually([&] { return server_->load().busy == 1; })) << "cut at once";
  EXPECT_LT(ReadRest(second), kFileBytes);
  EXPECT_EQ(Get("/quick").status, 200);
  EXPECT_EQ(ReadRest(first), kFileBytes);
}

TEST_F(HttpSlowClientsTest, CutsReadersBelowTheLeastRateButNotStreams) {
  Start({.write_window_ms = 50});
  RawClient log = Hang("/log");
  RawClient file = Hang("/file");
  ASSERT_TRUE(Eventually([&] { return server_->load().downloads == 0; }));
  EXPECT_EQ(server_->load().streams, 1);
  EXPECT_LT(ReadRest(file), kFileBytes);
  EXPECT_EQ(ReadRest(log), kFileBytes);
}

TEST_F(HttpSlowClientsTest, CutsStreamsOfWhichNothingIsTaken) {
  Start({.write_stall_ms = 50});
  RawClient log = Hang("/log");
  EXPECT_TRUE(Eventually([&] { return server_->load().streams == 0; }));
}

struct CutRequest {
  const char* name;
  std::string text;
  const char* fragment;
};

class HttpCutRequests : public HttpSlowClientsTest, public ::testing::WithParamInterface<CutRequest> {};

TEST_P(HttpCutRequests, AreAnsweredAndNotAdopted) {
  Start();
  RawClient client(port());
  client.Send(GetParam().text);
  client.FinishSending();
  const auto answer = client.Read();
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.headers.count("content-type") ? answer.headers.at("content-type") : "", "application/problem+json");
  EXPECT_THAT(answer.body, HasSubstr(GetParam().fragment));
  EXPECT_TRUE(client.ReadsEnd());
  EXPECT_EQ(adopted_, 0);
  EXPECT_TRUE(Eventually([&] { return server_->load().busy == 0; }));
}

INSTANTIATE_TEST_SUITE_P(
    Table, HttpCutRequests,
    ::testing::Values(
        CutRequest{"Head", "POST /plain HTTP/1.1\r\nHost: localhost\r\nContent-Le", "ended before its headers"},
        CutRequest{"SmallBody", RequestText("POST", "/plain", "Content-Length: 9\r\n") + "four", "ended early"},
        CutRequest{"NoBody", RequestText("POST", "/plain", "Content-Length: 9\r\n"), "ended early"},
        CutRequest{"SmallUpload", RequestText("POST", "/upload", "Content-Length: 9\r\n") + "four", "ended early"},
        CutRequest{"LargeBody", RequestText("POST", "/plain", "Content-Length: 90000\r\n") + "four", "ended early"},
        CutRequest{"LargeUpload",
                   RequestText("POST", "/upload", "Content-Length: 900000\r\n") + std::string(400'000, 'x'),
                   "ended early"},
        CutRequest{"WithinAChunk", RequestText("POST", "/upload", "Transfer-Encoding: chunked\r\n") + "5\r\nhel",
                   "ended early"},
        CutRequest{"BetweenChunks", RequestText("POST", "/upload", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n",
                   "ended early"},
        CutRequest{"BeforeTheLastLine",
                   RequestText("POST", "/plain", "Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n",
                   "ended early"}),
    [](const auto& info) { return info.param.name; });

TEST_F(HttpSlowClientsTest, AnswersAWholeRequestWhoseClientSendsNoMore) {
  Start();
  RawClient client(port());
  client.Send(RequestText("POST", "/plain", "", "whole"));
  client.FinishSending();
  EXPECT_EQ(client.Read().body, "5");
  EXPECT_EQ(adopted_, 1);
}

TEST(Pace, AsksForTheLeastBytesInEachWindowOfWaiting) {
  Pace pace(10, 100);
  pace.Moved(99);
  pace.Waited(9'999);
  EXPECT_EQ(pace.patience_us(), 1);
  pace.Moved(1);
  EXPECT_EQ(pace.patience_us(), 10'000);
  pace.Moved(99);
  pace.Waited(10'000);
  EXPECT_EQ(pace.patience_us(), 0);
}

// A client that takes so many bytes in each second, and its seconds: they pass only while the connection waits for it,
// which asks for the time when it begins to wait and when it has waited. So the test depends on no real time.
class Trickle final : public Clock {
 public:
  Trickle(int fd, size_t bytes_per_second) : fd_(fd), piece_(bytes_per_second), thread_([this] { Read(); }) {}
  // How much it got in all. The other end must be closed.
  size_t Finish() {
    {
      std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
    return taken_;
  }
  std::int64_t WallUs() const override { return MonotonicUs(); }
  std::int64_t MonotonicUs() const override {
    std::lock_guard lock(mutex_);
    ++looks_;
    changed_.notify_all();
    return now_us_;
  }

 private:
  // Each time it is waited for it takes all there is, which is a few KB, and so ends the wait.
  void Read() {
    std::unique_lock lock(mutex_);
    for (int seen = 0;;) {
      changed_.wait(lock, [&] { return (looks_ % 2 == 1 && looks_ != seen) || over_; });
      seen = looks_;
      ssize_t got = 0;
      while ((got = recv(fd_, piece_.data(), piece_.size(), MSG_DONTWAIT)) > 0) {
        now_us_ += 1'000'000;
        taken_ += static_cast<size_t>(got);
      }
      if (got == 0) return;
    }
  }

  const int fd_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable int looks_ = 0;  // at the time; odd while the connection waits
  std::vector<char> piece_;
  std::int64_t now_us_ = 1;
  size_t taken_ = 0;
  bool over_ = false;
  std::thread thread_;
};

enum class Kind { kAnswer, kStream };

// Writes 400 KB to a client that takes them at such a rate, and returns how much it got.
size_t TakenAt(size_t bytes_per_second, Kind kind) {
  int ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  const int few = 4'096;
  setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &few, sizeof few);
  const HttpLimits limits;  // 1 KiB/s
  HttpSlots downloads(1);
  Trickle client(ends[1], bytes_per_second);
  {
    Connection connection(ends[0], "", limits, client);
    connection.BeginRequest(nullptr, downloads);
    if (kind == Kind::kStream) connection.ExpectStream();
    connection.Write(std::string(400'000, 'x'));
    connection.EndRequest();
  }
  const size_t taken = client.Finish();
  close(ends[1]);
  return taken;
}

TEST(ConnectionWrites, EndBelowTheLeastRateAndGoOnAboveIt) {
  EXPECT_LT(TakenAt(700, Kind::kAnswer), 100'000u);
  EXPECT_EQ(TakenAt(2'000, Kind::kAnswer), 400'000u);
  EXPECT_EQ(TakenAt(700, Kind::kStream), 400'000u);
}

}  // namespace
}  // namespace ratchet::daemon
