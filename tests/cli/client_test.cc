#include "cli/client.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "cli/early_answer.h"
#include "cli/program.h"
#include "tests/cli/fake_server.h"

namespace ratchet::cli {
namespace {

Client Connected(const std::string& url, const std::string& token = "") { return Client(*ParseServerUrl(url), token); }

TEST(Client, SendsTheTokenAsBearer) {
  FakeServer server;
  server.On("GET /x", "{}");
  ASSERT_TRUE(Connected(server.Url(), "secret").Get("/x"));
  EXPECT_EQ(server.Seen().at(0).authorization, "Bearer secret");
}

TEST(Client, JoinsThePagesOfAList) {
  FakeServer server;
  server.On("GET /list?limit=200", R"({"items":[{"a":1},{"a":2}],"next":"c 1"})");
  server.On("GET /list?limit=200&after=c%201", R"({"items":[{"a":3}],"next":null})");
  auto items = Connected(server.Url()).GetItems("/list");
  ASSERT_TRUE(items);
  EXPECT_EQ(items->dump(), R"([{"a":1},{"a":2},{"a":3}])");
}

TEST(Client, StopsWhenACursorRepeats) {
  FakeServer server;
  server.On("GET /list", R"({"items":[{"a":1}],"next":"same"})");
  auto items = Connected(server.Url()).GetItems("/list");
  ASSERT_TRUE(items);
  EXPECT_EQ(items->size(), 2u);
}

TEST(Client, TellsASilentServerFromARefusal) {
  FakeServer server;
  auto refused = Connected(server.Url()).Get("/nothing");
  ASSERT_FALSE(refused);
  EXPECT_FALSE(OutOfReach(refused.error()));
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  auto unreachable = Connected("http://127.0.0.1:1").Get("/x");
  ASSERT_FALSE(unreachable);
  EXPECT_TRUE(OutOfReach(unreachable.error()));
}

TEST(DecodeProblem, KeepsDetailFieldLineAndAllErrors) {
  Error error = DecodeProblem(422, R"({"type":"https://ratchet.dev/problems/invalid","title":"Invalid","status":422,
    "detail":"The spec has 2 faults.","field":"a","line":1,
    "errors":[{"field":"data.splt","line":3,"detail":"unknown key"},{"detail":"no model"}]})");
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_EQ(ErrorText(error), "The spec has 2 faults.\n  line 3: data.splt: unknown key\n  no model");
}

TEST(DecodeProblem, UnderstandsTheDataPlaneAndStrangers) {
  EXPECT_EQ(DecodeProblem(400, R"({"error":"bad shape"})").cause, "bad shape");
  EXPECT_EQ(DecodeProblem(502, "<html>").cause, "the server answered with HTTP status 502 and no reason: '<html>'");
  EXPECT_EQ(DecodeProblem(503, R"({"type":"https://ratchet.dev/problems/unavailable","detail":"d"})").code,
            ErrorCode::kUnavailable);
}

TEST(ParseAnswer, ReadsLengthsAndChunks) {
  bool complete = false;
  auto answer = ParseAnswer("HTTP/1.1 422 X\r\nContent-Length: 4\r\n\r\nfour", &complete);
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(answer.body, "four");
  EXPECT_TRUE(complete);
  ParseAnswer("HTTP/1.1 422 X\r\nContent-Length: 40\r\n\r\nfour", &complete);
  EXPECT_FALSE(complete);
  answer =
      ParseAnswer("HTTP/1.1 413 X\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n2\r\n!!\r\n0\r\n\r\n", &complete);
  EXPECT_EQ(answer.body, "four!!");
  EXPECT_TRUE(complete);
  EXPECT_EQ(ParseAnswer("garbage", &complete).status, 0);
}

// A server that refuses after the head and never reads the body.
class RefusingServer {
 public:
  explicit RefusingServer(std::string answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    bind(listener_, reinterpret_cast<sockaddr*>(&address), length);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    listen(listener_, 1);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      int connection = accept(listener_, nullptr, nullptr);
      char head[256];
      if (recv(connection, head, sizeof head, 0) > 0) send(connection, answer_.data(), answer_.size(), MSG_NOSIGNAL);
      char byte;
      while (recv(connection, &byte, 1, MSG_PEEK) > 0 && !done_.load()) std::this_thread::yield();
      close(connection);
    });
  }
  ~RefusingServer() {
    done_ = true;
    thread_.join();
    close(listener_);
  }
  std::string Url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  std::string answer_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

TEST(ClientUpload, KnowsTheReasonWhenTheServerRefusesBeforeTheEnd) {
  std::string problem = R"({"type":"https://ratchet.dev/problems/invalid","detail":"Line 3 is ragged."})";
  RefusingServer server("HTTP/1.1 422 Unprocessable\r\nContent-Length: " + std::to_string(problem.size()) + "\r\n\r\n" +
                        problem);
  std::int64_t sent = 0;
  constexpr std::int64_t kHuge = std::int64_t{4} << 30;
  auto answer = Connected(server.Url())
                    .Upload(
                        "/x", "text/csv", kHuge,
                        [&](char* into, size_t most) -> Result<size_t> {
                          std::memset(into, 'a', most);
                          sent += static_cast<std::int64_t>(most);
                          return most;
                        },
                        "key");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().Message(), "Line 3 is ragged.");
  EXPECT_LT(sent, kHuge / 4);
}

}  // namespace
}  // namespace ratchet::cli
