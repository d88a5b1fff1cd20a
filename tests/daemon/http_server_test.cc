#include "daemon/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <string>
#include <vector>

#include "daemon/problem.h"
#include "tests/daemon/count_upload.h"
#include "tests/daemon/raw_client.h"

namespace ratchet::daemon {
namespace {

using ::testing::HasSubstr;

Result<Response> Echo(const Request& request) {
  std::string text = request.Param("name") + "|" + request.Query("q").value_or("") + "|" + request.body;
  return Response{.content_type = "text/plain", .body = std::move(text)};
}

class HttpServerTest : public ::testing::Test {
 protected:
  void Start(HttpLimits limits = {}) {
    std::vector<Route> routes = {
        {{"GET", "/echo/{name}", "echo", Role::kViewer, RouteKind::kPlain, 0, "", "q"}, Echo},
        {{"GET", "/echo/self", "echoSelf", Role::kViewer, RouteKind::kPlain, 0, ""}, Echo},
        {{"POST", "/echo/{name}", "echoPost", Role::kViewer, RouteKind::kPlain, 1000, "text/plain"}, Echo},
        {{"POST", "/upload", "upload", Role::kOperator, RouteKind::kUpload, 1 << 20, ""}, CountUpload},
        {{"GET", "/wait", "wait", Role::kViewer, RouteKind::kPlain, 0, ""},
         [this](const Request&) -> Result<Response> {
           entered_.set_value();
           gate_.wait_for(std::chrono::seconds(10));
           return Response{.content_type = "text/plain", .body = "done"};
         }},
        {{"GET", "/ticks", "ticks", Role::kViewer, RouteKind::kStream, 0, ""},
         [](const Request& request) -> Result<Response> {
           return Response{.content_type = "text/event-stream",
                           .body = "",
                           .stream = [abandoned = request.abandoned](const Send& send) {
                             while (!abandoned() && send("data: tick\n\n")) {
                             }
                             return true;
                           }};
         }},
        {{"GET", "/broken", "broken", Role::kViewer, RouteKind::kPlain, 0, ""},
         [](const Request&) -> Result<Response> { throw std::runtime_error("a defect"); }},
    };
    HttpOptions options{.limits = limits};
    options.observe = [this](const Served& served) {
      std::lock_guard lock(mutex_);
      served_.push_back(std::string(served.route) + " " + std::to_string(served.status));
    };
    auto server = HttpServer::Start(std::move(options), std::move(routes), clock_);
    ASSERT_TRUE(server) << server.error().Message();
    server_ = std::move(*server);
  }
  int port() const { return server_->port(); }
  RawClient::Answer Get(std::string_view target, std::string_view headers = {}) {
    return Ask(port(), RequestText("GET", target, headers));
  }

  SystemClock clock_;
  std::mutex mutex_;
  std::vector<std::string> served_;
  std::promise<void> entered_;
  std::promise<void> open_;
  std::shared_future<void> gate_ = open_.get_future().share();
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, DecodesPathAndQuery) {
  Start();
  const auto answer = Get("/echo/a%20b?q=c+d%26");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "a b|c d&|");
  EXPECT_FALSE(answer.headers.at("x-request-id").empty());
}

TEST_F(HttpServerTest, ServesSeveralRequestsOnOneConnection) {
  Start();
  RawClient client(port());
  client.Send(RequestText("GET", "/echo/one") + RequestText("GET", "/echo/two"));
  EXPECT_EQ(client.Read().body, "one||");
  EXPECT_EQ(client.Read().body, "two||");
  client.Send(RequestText("POST", "/echo/three", "Content-Type: text/plain\r\n", "body"));
  EXPECT_EQ(client.Read().body, "three||body");
}

TEST_F(HttpServerTest, PassesOverRanges) {
  Start();
  for (const std::string& range : {std::string("bytes=0-1"), std::string("x"), "bytes=" + std::string(4000, '0')}) {
    const auto answer = Get("/echo/abc", "RANGE: " + range + "\r\n");
    EXPECT_EQ(answer.status, 200) << range;
    EXPECT_EQ(answer.body, "abc||") << range;
  }
}

TEST_F(HttpServerTest, ReadsNothingAfterARequestItCouldNotUnderstand) {
  Start();
  RawClient client(port());
  client.Send("GET /echo/a HTTP/9.9\r\nHost: localhost\r\n\r\nGET /echo/b HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.Read().status, 400);
  EXPECT_TRUE(client.ReadsEnd());
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  Start();
  RawClient client(port());
  client.Send(RequestText("HEAD", "/echo/one") + RequestText("GET", "/echo/two"));
  EXPECT_EQ(client.Read(true).headers.at("content-length"), "5");
  EXPECT_EQ(client.Read().body, "two||");
}

TEST_F(HttpServerTest, ReadsChunkedUploads) {
  Start();
  RawClient client(port());
  client.Send(RequestText("POST", "/upload", "Transfer-Encoding: chunked\r\n") +
              "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n" + RequestText("GET", "/echo/next"));
  EXPECT_EQ(client.Read().body, "11");
  EXPECT_EQ(client.Read().body, "next||");
}

struct BadRequest {
  const char* name;
  std::string text;
  int status;
  const char* code;
};

class HttpServerRefusals : public HttpServerTest, public ::testing::WithParamInterface<BadRequest> {};

TEST_P(HttpServerRefusals, AnswerWithAProblem) {
  Start();
  const auto answer = Ask(port(), GetParam().text);
  EXPECT_EQ(answer.status, GetParam().status) << answer.body;
  EXPECT_EQ(answer.headers.count("content-type") ? answer.headers.at("content-type") : "", "application/problem+json");
  EXPECT_THAT(answer.body, HasSubstr(std::string("https://ratchet.dev/problems/") + GetParam().code));
  EXPECT_EQ(Get("/echo/after").status, 200);
}

const std::string kNul("GET /echo/a\0b HTTP/1.1\r\nHost: localhost\r\n\r\n", 43);

INSTANTIATE_TEST_SUITE_P(
    Table, HttpServerRefusals,
    ::testing::Values(
        BadRequest{"Nothing", RequestText("GET", "/nothing"), 404, "not-found"},
        BadRequest{"WrongMethod", RequestText("DELETE", "/upload"), 405, "invalid"},
        BadRequest{"UnknownMethod", RequestText("FETCH", "/upload"), 400, "invalid"},
        BadRequest{"DotDot", RequestText("GET", "/echo/.."), 400, "invalid"},
        BadRequest{"EncodedDotDot", RequestText("GET", "/echo/%2e%2e"), 400, "invalid"},
        BadRequest{"EncodedSlash", RequestText("GET", "/echo/..%2f..%2fetc"), 400, "invalid"},
        BadRequest{"EncodedNul", RequestText("GET", "/echo/a%00b"), 400, "invalid"},
        BadRequest{"RawNul", kNul, 400, "invalid"},
        BadRequest{"BadEscape", RequestText("GET", "/echo/%zz"), 400, "invalid"},
        BadRequest{"CutEscape", RequestText("GET", "/echo/a%4"), 400, "invalid"},
        BadRequest{"NotUtf8", RequestText("GET", "/echo/%ff"), 400, "invalid"},
        BadRequest{"RepeatedQuery", RequestText("GET", "/echo/a?q=1&q=2"), 400, "invalid"},
        BadRequest{"LongName", RequestText("GET", "/echo/" + std::string(10'000, 'a')), 414, "too-large"},
        BadRequest{"LongHead", RequestText("GET", "/echo/a", "X: " + std::string(20'000, 'a') + "\r\n"), 431,
                   "too-large"},
        BadRequest{"ManyHeaders",
                   [] {
                     std::string lines;
                     for (int i = 0; i < 200; ++i) lines += "X: y\r\n";
                     return RequestText("GET", "/echo/a", lines);
                   }(),
                   400, "invalid"},
        BadRequest{"NoHttp", "\x16\x03\x01 hello\r\n\r\n", 400, "invalid"},
        BadRequest{"TwoFramings",
                   RequestText("POST", "/upload", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n") + "abc", 400,
                   "invalid"},
        BadRequest{"TwoLengths", RequestText("POST", "/upload", "Content-Length: 3\r\nContent-Length: 4\r\n") + "abcd",
                   400, "invalid"},
        BadRequest{"NegativeLength", RequestText("POST", "/upload", "Content-Length: -3\r\n"), 400, "invalid"},
        BadRequest{"BadChunk", RequestText("POST", "/upload", "Transfer-Encoding: chunked\r\n") + "xyz\r\n", 400,
                   "invalid"},
        BadRequest{"BodyOnGet", RequestText("GET", "/echo/a", "", "body"), 400, "invalid"},
        BadRequest{"BodyTooLarge",
                   RequestText("POST", "/echo/a", "Content-Type: text/plain\r\n", std::string(1001, 'a')), 413,
                   "too-large"},
        BadRequest{"ChunkedTooLarge",
                   RequestText("POST", "/echo/a", "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n") +
                       "3e9\r\n" + std::string(1001, 'a') + "\r\n0\r\n\r\n",
                   413, "too-large"},
        BadRequest{"WrongType", RequestText("POST", "/echo/a", "Content-Type: image/png\r\n", "x"), 415, "invalid"},
        BadRequest{"Compressed", RequestText("POST", "/upload", "Content-Encoding: gzip\r\n", "x"), 415, "invalid"},
        BadRequest{"UnknownQuery", RequestText("GET", "/echo/a?p=1"), 400, "invalid"},
        BadRequest{"TwoHosts", "GET /echo/a HTTP/1.1\r\nHost: localhost\r\nhost: localhost\r\n\r\n", 400, "invalid"},
        BadRequest{"ForeignHost", "GET /echo/a HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, "denied"},
        BadRequest{"NoHost", "GET /echo/a HTTP/1.1\r\n\r\n", 403, "denied"},
        BadRequest{"ForeignPage", RequestText("POST", "/upload", "Origin: http://evil.example\r\n", "x"), 403,
                   "denied"},
        BadRequest{"Defect", RequestText("GET", "/broken"), 500, "internal"}),
    [](const auto& info) { return info.param.name; });

TEST_F(HttpServerTest, NamesTheAllowedMethodsOfAnAddress) {
  Start();
  EXPECT_EQ(Ask(port(), RequestText("DELETE", "/echo/a")).headers.at("allow"), "GET, POST, HEAD");
  EXPECT_EQ(Ask(port(), RequestText("OPTIONS", "/upload")).status, 204);
  // Each once, where several routes fit.
  EXPECT_EQ(Ask(port(), RequestText("DELETE", "/echo/self")).headers.at("allow"), "GET, POST, HEAD");
  EXPECT_EQ(Ask(port(), RequestText("OPTIONS", "/echo/self")).headers.at("allow"), "GET, POST");
}

TEST_F(HttpServerTest, LetsItsOwnPagesChangeThings) {
  Start();
  EXPECT_EQ(Ask(port(), RequestText("POST", "/upload", "Origin: http://127.0.0.1\r\n", "abc")).body, "3");
}

TEST_F(HttpServerTest, AnswersPromptlyAmongManyIdleAndSlowClients) {
  Start();
  std::vector<RawClient> idle, slow;
  for (int i = 0; i < 200; ++i) idle.emplace_back(port());
  for (int i = 0; i < 100; ++i) {
    slow.emplace_back(port());
    slow.back().Send(i % 2 ? "GET /ec"
                           : "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\nsome");
  }
  for (int i = 0; i < 100; ++i) {
    const auto began = std::chrono::steady_clock::now();
    slow[static_cast<size_t>(i)].Send("h");  // one more byte each, now and then
    EXPECT_EQ(Get("/echo/quick").status, 200);
    EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  }
  EXPECT_LE(server_->load().threads, 8);
}

TEST_F(HttpServerTest, LetsTheLongestIdleGoWhenConnectionsRunOut) {
  Start({.connections = 20});
  std::vector<RawClient> idle;
  for (int i = 0; i < 50; ++i) idle.emplace_back(port());
  EXPECT_EQ(Get("/echo/still").status, 200);
  EXPECT_TRUE(idle.front().ReadsEnd());
}

TEST_F(HttpServerTest, ShedsBeyondItsThreads) {
  Start({.threads = 1});
  RawClient first(port());
  first.Send(RequestText("GET", "/wait"));
  entered_.get_future().wait();
  const auto shed = Get("/echo/more");
  EXPECT_EQ(shed.status, 503);
  EXPECT_EQ(shed.headers.at("retry-after"), "1");
  EXPECT_THAT(shed.body, HasSubstr("problems/overloaded"));
  open_.set_value();
  EXPECT_EQ(first.Read().body, "done");
  EXPECT_EQ(server_->load().lobby.shed, 1u);
}

TEST_F(HttpServerTest, RefusesBodiesThatComeTooSlowly) {
  Start({.rate_window_ms = 50});
  RawClient client(port());
  client.Send(RequestText("POST", "/upload", "Content-Length: 500000\r\n") + "a");
  EXPECT_EQ(client.Read().status, 408);
}

TEST_F(HttpServerTest, RefusesSmallBodiesAndHeadsThatNeverEnd) {
  Start({.head_ms = 50, .gathered_ms = 50});
  RawClient body(port()), head(port());
  body.Send(RequestText("POST", "/echo/a", "Content-Type: text/plain\r\nContent-Length: 9\r\n") + "a");
  head.Send("GET /echo/a HTT");
  EXPECT_EQ(body.Read().status, 408);
  EXPECT_EQ(head.Read().status, 408);
}

TEST_F(HttpServerTest, ClosesIdleConnections) {
  Start({.head_ms = 50, .idle_ms = 50});
  RawClient fresh(port()), used(port());
  used.Send(RequestText("GET", "/echo/a"));
  EXPECT_EQ(used.Read().status, 200);
  EXPECT_TRUE(fresh.ReadsEnd());
  EXPECT_TRUE(used.ReadsEnd());
}

TEST_F(HttpServerTest, LimitsOpenStreamsAndFreesThemWhenClientsGo) {
  Start({.streams = 1});
  {
    RawClient listener(port());
    listener.Send(RequestText("GET", "/ticks"));
    ASSERT_TRUE(listener.ReadUntil("data: tick"));
    EXPECT_EQ(Get("/ticks").status, 503);
    EXPECT_EQ(Get("/echo/other").status, 200);
  }
  int status = 503;
  for (int tries = 0; status == 503 && tries < 1000; ++tries) {
    RawClient next(port());
    next.Send(RequestText("GET", "/ticks"));
    status = next.Read(true).status;
  }
  EXPECT_EQ(status, 200);
}

TEST_F(HttpServerTest, EndsStreamsAndConnectionsWhenItStops) {
  Start();
  RawClient listener(port()), idle(port());
  listener.Send(RequestText("GET", "/ticks"));
  ASSERT_TRUE(listener.ReadUntil("data: tick"));
  server_ = nullptr;
  EXPECT_TRUE(idle.ReadsEnd());
  EXPECT_TRUE(listener.ReadUntil("0\r\n\r\n"));
}

TEST_F(HttpServerTest, SaysWhenThePortIsTaken) {
  Start();
  auto second = HttpServer::Start({.port = port()}, {}, clock_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kConflict);
  EXPECT_THAT(second.error().Message(), HasSubstr("taken by another program"));
}

TEST_F(HttpServerTest, TellsItsObserverRouteAndStatus) {
  Start();
  Get("/echo/x");
  Get("/nothing");
  server_ = nullptr;
  EXPECT_THAT(served_, ::testing::ElementsAre("/echo/{name} 200", " 404"));
}

}  // namespace
}  // namespace ratchet::daemon
