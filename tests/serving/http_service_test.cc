#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <httplib.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "serving/http_server.h"
#include "serving/v2_service.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kInfer[] = "/v2/models/m/infer";
constexpr char kBody[] = R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]})";

// A bare TCP client, for what a well-behaved one never does.
class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawClient() { close(fd_); }
  bool connected() const { return connected_; }
  bool Send(std::string_view bytes) {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  // All that comes until the other side closes, or "timeout" after ten seconds of silence.
  std::string ReadToEnd() {
    std::string all;
    char buffer[4096];
    for (;;) {
      pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
      if (poll(&waiting, 1, 10'000) != 1) return "timeout";
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return all;
      all.append(buffer, static_cast<size_t>(got));
    }
  }

 private:
  int fd_;
  bool connected_ = false;
};

// Runs only when told to, so that requests can be kept under way.
class GatedRunner final : public ModelRunner {
 public:
  Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const override {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.wait(lock, [&] { return open_; });
    return FakeRunner(1).Run(std::move(inputs));
  }
  void Open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  int Waiting() const {
    std::lock_guard lock(mutex_);
    return waiting_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable int waiting_ = 0;
  bool open_ = false;
};

class HttpServiceTest : public ::testing::Test {
 protected:
  HttpServiceTest() { spdlog::set_level(spdlog::level::off); }

  void Serve(HttpLimits limits = {}, ServiceLimits service_limits = {},
             std::shared_ptr<const ModelRunner> runner = nullptr) {
    host_.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(1), .previous = Ref(2)}));
    ModelHost::Wanted wanted;
    while (host_.NextToLoad(0, wanted)) {
      host_.Add(wanted, FakeBundle(wanted.ref), runner ? runner : std::make_shared<FakeRunner>(wanted.ref.version));
    }
    Start(limits, service_limits);
  }
  void Start(HttpLimits limits = {}, ServiceLimits service_limits = {}) {
    service_.emplace(host_, metrics_, clock_, service_limits, 1);
    server_ = std::move(*HttpServer::Start({"127.0.0.1", 0}, 2, limits, *service_, metrics_));
    client_.emplace("127.0.0.1", server_->Port());
  }
  ~HttpServiceTest() override {
    if (service_) service_->Stop();
    server_.reset();
  }
  json PostJson(const std::string& path, const std::string& body, int status) {
    auto result = client_->Post(path, body, "application/json");
    if (!result) return "no answer";
    EXPECT_EQ(result->status, status) << result->body;
    return json::parse(result->body, nullptr, false);
  }
  json GetJson(const std::string& path, int status) {
    auto result = client_->Get(path);
    if (!result) return "no answer";
    EXPECT_EQ(result->status, status) << path << result->body;
    return json::parse(result->body, nullptr, false);
  }

  SystemClock clock_;
  ServeMetrics metrics_;
  ModelHost host_{metrics_};
  std::optional<V2Service> service_;
  std::unique_ptr<HttpServer> server_;
  std::optional<httplib::Client> client_;
};

TEST_F(HttpServiceTest, AnswersEveryQuestionOfTheProtocol) {
  Serve();
  EXPECT_EQ(GetJson("/v2", 200)["name"], "ratchet-serve");
  EXPECT_EQ(GetJson("/v2/health/live", 200), json({{"live", true}}));
  EXPECT_EQ(GetJson("/v2/health/ready", 200), json({{"ready", true}}));
  EXPECT_EQ(GetJson("/healthz?x=1", 200)["status"], "ok");
  EXPECT_EQ(GetJson("/v2/models/m", 200)["versions"], json({"1", "2"}));
  EXPECT_EQ(GetJson("/v2/models/m/ready", 200)["ready"], true);
  EXPECT_EQ(GetJson("/v2/models/m/versions/2/ready", 200)["ready"], true);
  const json answer = PostJson(kInfer, kBody, 200);
  EXPECT_EQ(answer["model_version"], "1");
  EXPECT_EQ(answer["id"].get<std::string>().size(), 32u);
  EXPECT_EQ(answer["outputs"][0]["data"][0].get<float>(), 0.01f);
  EXPECT_EQ(answer["outputs"][1]["data"], json({"dog"}));
  EXPECT_EQ(PostJson("/v2/models/m/versions/2/infer", kBody, 200)["model_version"], "2");
  EXPECT_THAT(client_->Get("/metrics")->body, HasSubstr("requests_total{model=\"m\",version=\"2\"} 1"));
}

TEST_F(HttpServiceTest, RefusesWithTheRightStatus) {
  Serve();
  EXPECT_THAT(GetJson("/v2/models/x/ready", 404)["error"], HasSubstr("'x' is not known"));
  EXPECT_THAT(GetJson("/v2/models/m/versions/9", 404)["error"], HasSubstr("served: 1, 2"));
  EXPECT_TRUE(PostJson("/v2/models/x/infer", kBody, 404).contains("error"));
  EXPECT_TRUE(PostJson("/v2/models/m/versions/9/infer", kBody, 404).contains("error"));
  EXPECT_TRUE(GetJson("/v2/models/../../etc/passwd", 404).contains("error"));
  EXPECT_TRUE(GetJson("/v2/models/" + std::string(10000, 'a'), 404).contains("error"));
  EXPECT_TRUE(GetJson("/", 404).contains("error"));
  EXPECT_TRUE(GetJson(kInfer, 405).contains("error"));
  EXPECT_TRUE(PostJson("/v2/health/live", "{}", 405).contains("error"));
  EXPECT_THAT(PostJson(kInfer, "{\"inputs\":", 400)["error"], HasSubstr("not valid JSON"));
  EXPECT_THAT(PostJson(kInfer, "{}", 400)["error"], HasSubstr("inputs"));
}

TEST_F(HttpServiceTest, IsLiveButNotReadyBeforeItsRoutesAreLoaded) {
  Start();
  GetJson("/v2/health/live", 200);
  EXPECT_TRUE(GetJson("/v2/health/ready", 503).contains("error"));
  EXPECT_TRUE(PostJson(kInfer, kBody, 503).contains("error"));
  host_.Adopt(OneRoute(1, {.model = "m", .epoch = 1, .live = Ref(1)}));
  EXPECT_TRUE(GetJson("/v2/models/m/ready", 503).contains("error"));
}

TEST_F(HttpServiceTest, EchoesTheIdAndSelectsOutputs) {
  Serve();
  const json answer = PostJson(
      kInfer,
      R"({"id":"mine","outputs":[{"name":"label"}],"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[[1,2,3]]}]})",
      200);
  EXPECT_EQ(answer["id"], "mine");
  ASSERT_EQ(answer["outputs"].size(), 1u);
  EXPECT_EQ(answer["outputs"][0]["name"], "label");
}

TEST_F(HttpServiceTest, AnswersAModelsErrorWith500AndGoesOn) {
  Serve();
  const json answer =
      PostJson(kInfer, R"({"id":"q7","inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[666,0,0]}]})", 500);
  EXPECT_THAT(answer["error"], HasSubstr("q7"));
  EXPECT_THAT(answer["error"], HasSubstr("the model threw"));
  PostJson(kInfer, kBody, 200);
}

TEST_F(HttpServiceTest, RefusesABodyOverTheLimitWithoutReadingIt) {
  Serve({.body_bytes = 1000});
  RawClient client(server_->Port());
  client.Send("POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000000\r\n\r\n");
  EXPECT_THAT(client.ReadToEnd(), StartsWith("HTTP/1.1 413"));
  RawClient chunked(server_->Port());
  chunked.Send("POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" +
               std::string(2048, ' '));
  EXPECT_THAT(chunked.ReadToEnd(), StartsWith("HTTP/1.1 413"));
}

TEST_F(HttpServiceTest, RefusesAHeaderOverTheLimitAndWhatIsNotHttp) {
  Serve({.header_bytes = 1000});
  RawClient client(server_->Port());
  client.Send("GET /v2 HTTP/1.1\r\nX: " + std::string(3000, 'a') + "\r\n\r\n");
  EXPECT_THAT(client.ReadToEnd(), StartsWith("HTTP/1.1 431"));
  RawClient nonsense(server_->Port());
  nonsense.Send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_THAT(nonsense.ReadToEnd(), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServiceTest, ReadsARequestThatComesByteByByte) {
  Serve();
  RawClient client(server_->Port());
  const std::string request = "POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
                              std::to_string(sizeof kBody - 1) + "\r\n\r\n" + kBody;
  for (char byte : request) ASSERT_TRUE(client.Send(std::string_view(&byte, 1)));
  EXPECT_THAT(client.ReadToEnd(), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServiceTest, AnswersPipelinedRequestsInOrder) {
  Serve();
  RawClient client(server_->Port());
  client.Send(
      "GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answers = client.ReadToEnd();
  EXPECT_THAT(answers, StartsWith("HTTP/1.1 200"));
  EXPECT_LT(answers.find("200"), answers.find("404"));
}

TEST_F(HttpServiceTest, ClosesIdleAndSlowClientsWhileOthersAreServed) {
  Serve({.idle = std::chrono::milliseconds(300),
         .header_read = std::chrono::milliseconds(300),
         .body_read = std::chrono::milliseconds(300)});
  RawClient idle(server_->Port()), slow_header(server_->Port()), slow_body(server_->Port());
  slow_header.Send("GET /v2");
  slow_body.Send("POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
  PostJson(kInfer, kBody, 200);
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_EQ(slow_header.ReadToEnd(), "");
  EXPECT_EQ(slow_body.ReadToEnd(), "");
}

TEST_F(HttpServiceTest, TakesNoMoreConnectionsThanItsLimit) {
  Serve({.connections = 2});
  RawClient first(server_->Port()), second(server_->Port());
  ASSERT_TRUE(Eventually([&] { return metrics_.connections == 2; }));
  RawClient third(server_->Port());
  EXPECT_EQ(third.ReadToEnd(), "");
  EXPECT_EQ(metrics_.shed, 1u);
}

TEST_F(HttpServiceTest, ShedsBeyondItsLimitsAndKeepsHealthAnswersAwayFromTheQueue) {
  auto runner = std::make_shared<GatedRunner>();
  Serve({}, {.in_flight_per_model = 2, .threads = 1}, runner);
  std::vector<std::thread> under_way;
  std::atomic<int> answered{0};
  const auto load = host_.Snapshot()->models.at("m").load;
  for (int i = 1; i <= 2; ++i) {
    under_way.emplace_back([&] {
      httplib::Client client("127.0.0.1", server_->Port());
      auto result = client.Post(kInfer, kBody, "application/json");
      if (result && result->status == 200) ++answered;
    });
    // The first one computes before the second comes and waits.
    EXPECT_TRUE(Eventually([&] { return load->in_flight == i && runner->Waiting() == 1; }));
  }
  auto shed = client_->Post(kInfer, kBody, "application/json");
  EXPECT_EQ(shed->status, 429);
  EXPECT_EQ(shed->get_header_value("Retry-After"), "1");
  GetJson("/v2/health/live", 200);
  runner->Open();
  for (std::thread& thread : under_way) thread.join();
  EXPECT_EQ(answered, 2);
}

TEST_F(HttpServiceTest, HoldsRequestsToTheirDeadlines) {
  auto runner = std::make_shared<GatedRunner>();
  Serve({}, {.threads = 1}, runner);
  EXPECT_EQ(client_->Post(kInfer, {{"timeout", "soon"}}, kBody, "application/json")->status, 400);
  EXPECT_EQ(client_->Post(kInfer, {{"timeout", "0"}}, kBody, "application/json")->status, 400);
  std::thread first([&] { httplib::Client("127.0.0.1", server_->Port()).Post(kInfer, kBody, "application/json"); });
  EXPECT_TRUE(Eventually([&] { return runner->Waiting() == 1; }));
  constexpr char kSoon[] =
      R"({"parameters":{"timeout":1000},"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]})";
  std::atomic<int> header{0}, parameter{0}, patient{0};
  const auto load = host_.Snapshot()->models.at("m").load;
  std::vector<std::thread> others;
  others.emplace_back([&] { header = httplib::Client("127.0.0.1", server_->Port()).Post(kInfer, {{"timeout", "1"}}, kBody, "application/json")->status; });
  others.emplace_back([&] { parameter = httplib::Client("127.0.0.1", server_->Port()).Post(kInfer, kSoon, "application/json")->status; });
  others.emplace_back([&] { patient = httplib::Client("127.0.0.1", server_->Port()).Post(kInfer, {{"timeout", "60000"}}, kBody, "application/json")->status; });
  EXPECT_TRUE(Eventually([&] { return load->in_flight + (header != 0) + (parameter != 0) == 4; }));
  const std::int64_t later_us = clock_.MonotonicUs() + 2000;
  EXPECT_TRUE(Eventually([&] { return clock_.MonotonicUs() > later_us; }));
  runner->Open();
  first.join();
  for (std::thread& other : others) other.join();
  // 429 where the millisecond was over before they could be queued.
  EXPECT_THAT(header.load(), ::testing::AnyOf(503, 429));
  EXPECT_THAT(parameter.load(), ::testing::AnyOf(503, 429));
  EXPECT_EQ(patient, 200);
}

TEST_F(HttpServiceTest, AnswersHeadWithTheHeaderAlone) {
  Serve();
  RawClient client(server_->Port());
  client.Send("HEAD /v2/health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answer = client.ReadToEnd();
  EXPECT_THAT(answer, HasSubstr("Content-Length: 13\r\n"));
  EXPECT_THAT(answer, ::testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpServiceTest, SpeaksHttp10) {
  Serve();
  RawClient client(server_->Port());
  client.Send("GET /v2/health/live HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.ReadToEnd(), ::testing::AllOf(StartsWith("HTTP/1.0 200"), HasSubstr("Connection: close")));
}

TEST_F(HttpServiceTest, FinishesWhatIsUnderWayWhenItStops) {
  auto runner = std::make_shared<GatedRunner>();
  Serve({}, {}, runner);
  RawClient idle(server_->Port());
  std::atomic<int> status{0};
  std::thread under_way([&] {
    httplib::Client client("127.0.0.1", server_->Port());
    auto result = client.Post(kInfer, kBody, "application/json");
    status = result ? result->status : -1;
  });
  EXPECT_TRUE(Eventually([&] { return runner->Waiting() == 1; }));
  server_->BeginStop();
  EXPECT_EQ(idle.ReadToEnd(), "");
  EXPECT_FALSE(server_->WaitStopped(std::chrono::milliseconds(0)));
  runner->Open();
  EXPECT_TRUE(server_->WaitStopped(std::chrono::seconds(10)));
  under_way.join();
  EXPECT_EQ(status, 200);
}

TEST_F(HttpServiceTest, LosesNoRequestWhileRoutesSwap) {
  Serve();
  std::atomic<bool> done{false};
  std::atomic<int> answered{0}, wrong{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      httplib::Client client("127.0.0.1", server_->Port());
      client.set_keep_alive(true);
      client.set_tcp_nodelay(true);
      while (!done) {
        auto result = client.Post(kInfer, kBody, "application/json");
        if (!result || result->status != 200)
          ++wrong;
        else if (auto answer = json::parse(result->body); std::stof(answer["model_version"].get<std::string>()) / 100 !=
                                                          answer["outputs"][0]["data"][0].get<float>())
          ++wrong;
        ++answered;
      }
    });
  }
  for (std::int64_t epoch = 2; epoch < 300; ++epoch) {
    const std::int64_t live = 1 + epoch % 2;
    host_.Adopt(OneRoute(epoch, {.model = "m", .epoch = epoch, .live = Ref(live), .previous = Ref(3 - live)}));
    EXPECT_TRUE(Eventually([&] { return answered >= epoch; }));  // some requests between any two swaps
  }
  done = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
}

TEST(HttpServer, SaysClearlyThatThePortIsTaken) {
  ServeMetrics metrics;
  ModelHost host(metrics);
  SystemClock clock;
  V2Service service(host, metrics, clock, {}, 1);
  auto first = HttpServer::Start({"127.0.0.1", 0}, 1, {}, service, metrics);
  ASSERT_TRUE(first);
  auto second = HttpServer::Start({"127.0.0.1", (*first)->Port()}, 1, {}, service, metrics);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_THAT(second.error().Message(), HasSubstr("another program has this port"));
}

TEST(HttpAddress, ReadsHostAndPort) {
  EXPECT_EQ(ParseAddress("127.0.0.1:7301")->port, 7301);
  EXPECT_EQ(ParseAddress("[::1]:0")->host, "::1");
  for (const char* text : {"", ":", "x", "x:", ":1", "x:70000", "x:-1", "x:1y"})
    EXPECT_FALSE(ParseAddress(text)) << text;
}

}  // namespace
}  // namespace ratchet::serving
