// The protocols of the data plane as clients see them, over real connections.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <httplib.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "serving/content_encoding.h"
#include "serving/http_server.h"
#include "serving/v2_service.h"
#include "tests/serving/fixtures.h"

namespace ratchet::serving {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kBody[] = R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]})";
constexpr const char* kTypes[] = {"BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"};

// An input and an output of each datatype, two values a row.
Signature EchoSignature() {
  Signature signature{.task = registry::Task::kRegression};
  for (const char* type : kTypes) {
    const auto datatype = *registry::ParseDatatype(type);
    signature.inputs.push_back({.name = type, .datatype = datatype, .shape = {-1, 2}, .column = std::string("c") + type});
    signature.outputs.push_back({.name = std::string("same ") + type, .datatype = datatype, .shape = {-1, 2}});
  }
  return signature;
}

class EchoRunner final : public ModelRunner {
 public:
  Result<std::vector<Tensor>> Run(std::vector<Tensor> inputs) const override {
    for (Tensor& input : inputs) input.name = "same " + input.name;
    return inputs;
  }
};

json EchoValues() {
  return {{"BOOL", {true, false}},      {"UINT8", {0, 255}},          {"INT8", {-128, 127}},     {"INT16", {-32768, 32767}},
          {"INT32", {-5, 2147483647}},  {"INT64", {INT64_MIN, INT64_MAX}}, {"FP16", {1.5, -65504}}, {"FP32", {-0.25, nullptr}},
          {"FP64", {1e300, 5e-324}},    {"BYTES", {"häß\n", ""}}};
}

json EchoRequest() {
  json request = {{"inputs", json::array()}};
  const json all = EchoValues();
  for (const auto& [type, values] : all.items())
    request["inputs"].push_back({{"name", type}, {"datatype", type}, {"shape", {1, 2}}, {"data", json::array({values})}});
  return request;
}

class ProtocolTest : public ::testing::Test {
 protected:
  ProtocolTest() {
    spdlog::set_level(spdlog::level::off);
    RouteTable table{.revision = 1};
    table.routes["echo"] = {.model = "echo", .epoch = 1, .live = Ref(7)};
    table.routes["m"] = {.model = "m", .epoch = 1, .live = Ref(1), .previous = Ref(2)};
    Adopt(table);
    service_.emplace(host_, metrics_, clock_, ServiceLimits{}, 1);
    server_ = std::move(*HttpServer::Start({"127.0.0.1", 0}, 2, {}, *service_, metrics_));
    client_.emplace("127.0.0.1", server_->Port());
    client_->set_decompress(false);
  }
  ~ProtocolTest() override {
    service_->Stop();
    server_.reset();
  }
  void Adopt(const RouteTable& table) {
    host_.Adopt(table);
    ModelHost::Wanted wanted;
    while (host_.NextToLoad(0, wanted)) {
      LocalBundle bundle = FakeBundle(wanted.ref);
      std::shared_ptr<const ModelRunner> runner = std::make_shared<FakeRunner>(static_cast<int>(wanted.ref.version));
      if (wanted.model == "echo") {
        bundle.manifest.signature = EchoSignature();
        runner = std::make_shared<EchoRunner>();
      }
      host_.Add(wanted, bundle, runner);
    }
  }
  httplib::Result Post(const std::string& path, const std::string& body, const httplib::Headers& headers = {}) {
    auto result = client_->Post(path, headers, body, "application/json");
    EXPECT_TRUE(result) << path;
    return result;
  }
  json PostJson(const std::string& path, const std::string& body, int status, const httplib::Headers& headers = {}) {
    auto result = Post(path, body, headers);
    EXPECT_EQ(result->status, status) << result->body;
    return json::parse(result->body, nullptr, false);
  }
  json GetJson(const std::string& path, int status) {
    auto result = client_->Get(path);
    EXPECT_EQ(result->status, status) << result->body;
    return json::parse(result->body, nullptr, false);
  }
  // All that comes on a connection of its own until the server closes it, or "timeout" after ten seconds of silence. What
  // is to be sent when asked for goes out after a 100.
  std::string Exchange(const std::string& bytes, const std::string& when_asked = "") {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(server_->Port()), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    std::string all;
    char buffer[4096];
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
    for (;;) {
      pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
      if (poll(&waiting, 1, 10'000) != 1) all = "timeout";
      const ssize_t got = all == "timeout" ? 0 : recv(fd, buffer, sizeof buffer, 0);
      if (got <= 0) break;
      all.append(buffer, static_cast<size_t>(got));
      if (all == "HTTP/1.1 100 Continue\r\n\r\n") send(fd, when_asked.data(), when_asked.size(), MSG_NOSIGNAL);
    }
    close(fd);
    return all;
  }

  SystemClock clock_;
  ServeMetrics metrics_;
  ModelHost host_{metrics_};
  std::optional<V2Service> service_;
  std::unique_ptr<HttpServer> server_;
  std::optional<httplib::Client> client_;
};

// The outputs of an answer by the name of their datatype, bytes read as the binary extension says.
std::map<std::string, std::string> BinaryOutputs(const httplib::Response& response) {
  const size_t json_bytes = std::stoul(response.get_header_value("Inference-Header-Content-Length"));
  std::map<std::string, std::string> outputs;
  size_t at = json_bytes;
  const json head = json::parse(response.body.substr(0, json_bytes));
  for (const json& output : head["outputs"]) {
    if (!output.contains("parameters")) continue;
    EXPECT_FALSE(output.contains("data"));
    const size_t bytes = output["parameters"]["binary_data_size"];
    outputs[output["datatype"]] = response.body.substr(at, bytes);
    at += bytes;
  }
  EXPECT_EQ(at, response.body.size());
  return outputs;
}

TEST_F(ProtocolTest, EchoesEveryDatatypeInJson) {
  const json answer = PostJson("/v2/models/echo/infer", EchoRequest().dump(), 200);
  ASSERT_EQ(answer["outputs"].size(), std::size(kTypes));
  const json values = EchoValues();
  for (const json& output : answer["outputs"]) {
    EXPECT_EQ(output["shape"], json({1, 2}));
    EXPECT_EQ(output["data"], values[output["datatype"].get<std::string>()]) << output.dump();
  }
}

TEST_F(ProtocolTest, EchoesEveryDatatypeAsBytes) {
  const std::map<std::string, std::string> bytes = {
      {"BOOL", std::string("\1\0", 2)},      {"UINT8", "\x01\xff"},
      {"INT8", "\x80\x7f"},                  {"INT16", std::string("\0\x80\xff\x7f", 4)},
      {"INT32", std::string(8, '\x11')},     {"INT64", std::string(16, '\x22')},
      {"FP16", std::string("\0\x3e\xff\xfb", 4)}, {"FP32", std::string(8, '\x33')},
      {"FP64", std::string(16, '\x44')},     {"BYTES", std::string("\2\0\0\0\0\xff\0\0\0\0", 10)}};
  json request = {{"inputs", json::array()}, {"parameters", {{"binary_data_output", true}}}};
  std::string tail;
  for (const auto& [type, value] : bytes) {
    request["inputs"].push_back(
        {{"name", type}, {"datatype", type}, {"shape", {1, 2}}, {"parameters", {{"binary_data_size", value.size()}}}});
    tail += value;
  }
  const std::string head = request.dump();
  const auto result = Post("/v2/models/echo/infer", head + tail, {{"Inference-Header-Content-Length", std::to_string(head.size())}});
  ASSERT_EQ(result->status, 200) << result->body;
  EXPECT_EQ(result->get_header_value("Content-Type"), "application/octet-stream");
  EXPECT_EQ(BinaryOutputs(*result), bytes);
}

TEST_F(ProtocolTest, MixesBytesAndJsonAsEachOutputIsAskedFor) {
  const auto ask = [&](bool by_default, const char* outputs) {
    json request = json::parse(kBody);
    request["parameters"]["binary_data_output"] = by_default;
    request["outputs"] = json::parse(outputs);
    return Post("/v2/models/m/infer", request.dump());
  };
  const auto one = ask(false, R"([{"name":"label"},{"name":"probabilities","parameters":{"binary_data":true}}])");
  float probabilities[2];
  const std::string bytes = BinaryOutputs(*one).at("FP32");
  ASSERT_EQ(bytes.size(), sizeof probabilities);
  std::memcpy(probabilities, bytes.data(), sizeof probabilities);
  EXPECT_EQ(probabilities[0], 0.01f);
  const auto other = ask(true, R"([{"name":"label","parameters":{"binary_data":false}},{"name":"probabilities"}])");
  EXPECT_EQ(other->body.substr(other->body.size() - 8), bytes);
  EXPECT_THAT(other->body, HasSubstr(R"("data":["dog"])"));
  const auto none = ask(true, R"([{"name":"label","parameters":{"binary_data":false}}])");
  EXPECT_EQ(none->get_header_value("Content-Type"), "application/json");
  EXPECT_FALSE(none->has_header("Inference-Header-Content-Length"));
}

TEST_F(ProtocolTest, TakesAWholeBodyAsTheOneInput) {
  const float rows[2][3] = {{1, 2, 3}, {4, 5, 6}};
  const std::string body(reinterpret_cast<const char*>(rows), sizeof rows);
  const auto result = Post("/v2/models/m/infer", body, {{"Inference-Header-Content-Length", "0"}});
  ASSERT_EQ(result->status, 200) << result->body;
  EXPECT_EQ(BinaryOutputs(*result).at("FP32").size(), 2 * 2 * sizeof(float));
  EXPECT_EQ(BinaryOutputs(*result).at("BYTES"), std::string("\3\0\0\0dog\3\0\0\0dog", 14));
  EXPECT_THAT(PostJson("/v2/models/echo/infer", body, 400, {{"Inference-Header-Content-Length", "0"}})["error"],
              HasSubstr("models of one input, this one has 10"));
}

TEST_F(ProtocolTest, RefusesBinaryDataThatDoesNotAddUp) {
  const std::string head = R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,3],"parameters":{"binary_data_size":12}}]})";
  const auto refused = [&](const std::string& body, const std::string& length) {
    return PostJson("/v2/models/m/infer", body, 400, {{"Inference-Header-Content-Length", length}}).value("error", "");
  };
  const std::string length = std::to_string(head.size());
  EXPECT_THAT(refused(head + std::string(11, 'x'), length), HasSubstr("input 'x' has a \"binary_data_size\" of 12, but 11 bytes"));
  EXPECT_THAT(refused(head + std::string(13, 'x'), length), HasSubstr("1 bytes of binary data follow"));
  EXPECT_THAT(refused(head + std::string(12, 'x'), "100000"), HasSubstr("how many bytes of the body are JSON"));
  EXPECT_THAT(refused(head + std::string(12, 'x'), "-1"), HasSubstr("how many bytes of the body are JSON"));
  EXPECT_THAT(refused(head + std::string(12, 'x'), std::to_string(head.size() - 1)), HasSubstr("not valid JSON"));
  EXPECT_THAT(PostJson("/v2/models/m/infer", head, 400)["error"], HasSubstr("0 bytes follow"));
}

TEST_F(ProtocolTest, NamesInputAndExpectationInA400) {
  const auto error = [&](const std::string& input) {
    return PostJson("/v2/models/m/infer", "{\"inputs\":[" + input + "]}", 400).value("error", "");
  };
  EXPECT_THAT(error(R"({"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]})"), HasSubstr("input 'x' has shape [1,4], expected [-1,3]"));
  EXPECT_THAT(error(R"({"name":"x","datatype":"INT8","shape":[1,3],"data":[1,2,3]})"), HasSubstr("input 'x' has datatype 'INT8', expected FP32"));
  EXPECT_THAT(error(R"({"name":"x","datatype":"FP32","shape":[1,3],"data":[1,"b",3]})"), HasSubstr("input 'x' has a value '\"b\"', expected numbers"));
  EXPECT_THAT(error(R"({"name":"y"})"), HasSubstr("input 'y' is unknown, expected x"));
}

TEST_F(ProtocolTest, TellsItsExtensions) {
  EXPECT_EQ(GetJson("/v2", 200)["extensions"], json({"binary_tensor_data", "model_repository_index", "statistics"}));
}

TEST_F(ProtocolTest, ListsTheRepository) {
  RouteTable table{.revision = 2};
  table.routes["m"] = {.model = "m", .epoch = 2, .live = Ref(1), .previous = Ref(3)};
  table.routes["echo"] = {.model = "echo", .epoch = 1, .live = Ref(7)};
  host_.Adopt(table);
  host_.Fail({"m", Ref(3)}, "its module is broken", 1);
  const json all = PostJson("/v2/repository/index", "", 200);
  EXPECT_EQ(all[0], json({{"name", "echo"}, {"version", "7"}, {"state", "READY"}, {"reason", ""}}));
  EXPECT_EQ(all[2], json({{"name", "m"}, {"version", "3"}, {"state", "UNAVAILABLE"}, {"reason", "its module is broken"}}));
  EXPECT_EQ(PostJson("/v2/repository/index", R"({"ready":true})", 200).size(), 2u);
  EXPECT_THAT(PostJson("/v2/repository/index", R"({"ready":1})", 400)["error"], HasSubstr("true or false"));
  EXPECT_EQ(client_->Get("/v2/repository/index")->status, 405);
}

TEST_F(ProtocolTest, CountsWhatItDidInTritonsWords) {
  const std::string two = R"({"inputs":[{"name":"x","datatype":"FP32","shape":[2,3],"data":[1,2,3,4,5,6]}]})";
  PostJson("/v2/models/m/infer", kBody, 200);
  PostJson("/v2/models/m/infer", two, 200);
  PostJson("/v2/models/m/infer", "{}", 400);
  const json stats = GetJson("/v2/models/m/versions/1/stats", 200)["model_stats"];
  ASSERT_EQ(stats.size(), 1u);
  EXPECT_EQ(stats[0]["version"], "1");
  EXPECT_EQ(stats[0]["inference_count"], 3);
  EXPECT_EQ(stats[0]["execution_count"], 2);
  EXPECT_GT(stats[0]["last_inference"], 1'600'000'000'000);
  const json& times = stats[0]["inference_stats"];
  for (const char* part : {"success", "queue", "compute_input", "compute_infer", "compute_output"}) EXPECT_EQ(times[part]["count"], 2) << part;
  EXPECT_EQ(times["fail"]["count"], 1);
  EXPECT_GT(times["success"]["ns"], 0);
  EXPECT_EQ(times["cache_hit"]["count"], 0);
  EXPECT_EQ(stats[0]["batch_stats"][1]["batch_size"], 2);
  EXPECT_EQ(stats[0]["batch_stats"][1]["compute_infer"]["count"], 1);
  EXPECT_EQ(GetJson("/v2/models/m/stats", 200)["model_stats"].size(), 2u);
  EXPECT_EQ(GetJson("/v2/models/stats", 200)["model_stats"].size(), 3u);
  EXPECT_TRUE(GetJson("/v2/models/nope/stats", 404).contains("error"));
  EXPECT_TRUE(GetJson("/v2/models/m/versions/9/stats", 404).contains("error"));

  EXPECT_THAT(client_->Get("/metrics")->body, Not(HasSubstr("nv_inference")));
  const std::string named = client_->Get("/metrics?names=triton")->body;
  EXPECT_THAT(named, HasSubstr("\nnv_inference_request_success{model=\"m\",version=\"1\"} 2\n"));
  EXPECT_THAT(named, HasSubstr("\nnv_inference_request_failure{model=\"m\",version=\"1\"} 1\n"));
  EXPECT_THAT(named, HasSubstr("\nnv_inference_count{model=\"m\",version=\"1\"} 3\n"));
}

TEST_F(ProtocolTest, UnpacksCompressedRequests) {
  for (Coding coding : {Coding::kGzip, Coding::kZstd}) {
    const httplib::Headers headers = {{"Content-Encoding", std::string(CodingName(coding))}};
    EXPECT_EQ(PostJson("/v2/models/m/infer", *Encoded(coding, kBody), 200, headers)["model_version"], "1");
    EXPECT_EQ(PostJson("/invocations?model=m", *Encoded(coding, R"({"instances":[[1,2,3]]})"), 200, headers)["predictions"], json({"dog"}));
    EXPECT_THAT(PostJson("/v2/models/m/infer", kBody, 400, headers)["error"], HasSubstr("Content-Encoding"));
    const std::string bomb = *Encoded(coding, std::string(80u << 20, ' '));
    EXPECT_THAT(PostJson("/v2/models/m/infer", bomb, 413, headers)["error"], HasSubstr("larger than 67108864 bytes"));
  }
  const auto unknown = Post("/v2/models/m/infer", kBody, {{"Content-Encoding", "br"}});
  EXPECT_EQ(unknown->status, 415);
  EXPECT_EQ(unknown->get_header_value("Accept-Encoding"), "gzip, deflate, zstd");
}

TEST_F(ProtocolTest, CompressesAnswersAsTheClientWeighsIt) {
  json request = json::parse(kBody);
  request["inputs"][0]["shape"] = {1000, 3};
  request["inputs"][0]["data"] = std::vector<int>(3000, 1);
  const auto ask = [&](const char* accepted) { return Post("/v2/models/m/infer", request.dump(), {{"Accept-Encoding", accepted}}); };
  const auto gzip = ask("gzip, zstd;q=0.5"), zstd = ask("zstd"), plain = ask("gzip;q=0, identity");
  EXPECT_EQ(gzip->get_header_value("Content-Encoding"), "gzip");
  EXPECT_EQ(zstd->get_header_value("Content-Encoding"), "zstd");
  EXPECT_FALSE(plain->has_header("Content-Encoding"));
  EXPECT_EQ(plain->get_header_value("Vary"), "Accept-Encoding");
  const json outputs = json::parse(plain->body)["outputs"];
  EXPECT_EQ(json::parse(*Decoded(Coding::kGzip, gzip->body, 1u << 20))["outputs"], outputs);
  EXPECT_EQ(json::parse(*Decoded(Coding::kZstd, zstd->body, 1u << 20))["outputs"], outputs);
  EXPECT_FALSE(Post("/v2/models/m/infer", kBody, {{"Accept-Encoding", "gzip"}})->has_header("Content-Encoding"));
}

TEST_F(ProtocolTest, AnswersRowsWithRows) {
  const json rows = PostJson("/v1/models/m:predict", R"({"instances":[[1,2,3],{"x":[4,5,6]}]})", 200);
  EXPECT_EQ(rows["predictions"], json::parse(R"([{"probabilities":[0.01,0.99],"label":"dog"},{"probabilities":[0.01,0.99],"label":"dog"}])"));
  EXPECT_EQ(rows["model_version"], "1");
  EXPECT_EQ(rows["id"].get<std::string>().size(), 32u);
  EXPECT_EQ(PostJson("/v1/models/m/versions/2:predict", R"({"instances":[[1,2,3]]})", 200)["model_version"], "2");
  EXPECT_THAT(PostJson("/v1/models/m:predict", R"({"instances":[[1,2,3],[1,2]]})", 400)["error"], HasSubstr("instances[1]: input 'x'"));
  EXPECT_THAT(PostJson("/v1/models/nope:predict", "{}", 404)["error"], HasSubstr("'nope' is not known"));
  EXPECT_EQ(client_->Get("/v1/models/m:predict")->status, 405);
}

TEST_F(ProtocolTest, AnswersInvocationsAsMlflowsScorerDoes) {
  const char* const bodies[] = {R"({"dataframe_split":{"columns":["x"],"data":[[[1,2,3]],[[4,5,6]]]}})",
                                R"({"dataframe_records":[{"x":[1,2,3]},{"x":[4,5,6]}]})", R"({"instances":[[1,2,3],[4,5,6]]})",
                                R"({"inputs":{"x":[[1,2,3],[4,5,6]]}})", R"({"inputs":[[1,2,3],[4,5,6]]})"};
  for (const char* body : bodies)
    EXPECT_EQ(PostJson("/invocations?model=m", body, 200)["predictions"], json({"dog", "dog"})) << body;
  EXPECT_EQ(PostJson("/invocations", bodies[2], 200, {{"X-Ratchet-Model", "m"}, {"X-Ratchet-Version", "2"}})["model_version"], "2");
  const json unnamed = PostJson("/invocations", bodies[2], 400);
  EXPECT_EQ(unnamed["error_code"], "BAD_REQUEST");
  EXPECT_THAT(unnamed["message"], HasSubstr("several models are served (echo, m)"));
  EXPECT_EQ(PostJson("/invocations?model=nope", bodies[2], 404)["error_code"], "RESOURCE_DOES_NOT_EXIST");
  EXPECT_EQ(PostJson("/invocations?model=m&version=x", bodies[2], 400)["error_code"], "BAD_REQUEST");
  Adopt(OneRoute(3, {.model = "m", .epoch = 3, .live = Ref(1)}));
  EXPECT_EQ(PostJson("/invocations", bodies[2], 200)["predictions"].size(), 2u);
  EXPECT_EQ(client_->Get("/ping")->status, 200);
}

std::string InferText(const std::string& version, const std::string& more = "") {
  return "POST /v2/models/m/infer HTTP/" + version + "\r\nHost: x\r\n" + more + "Content-Length: " + std::to_string(sizeof kBody - 1) + "\r\n\r\n";
}

TEST_F(ProtocolTest, AnswersHeadWithTheHeadAlone) {
  const std::string answer = Exchange("HEAD /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\nGET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 13\r\n"));
  EXPECT_THAT(answer, Not(HasSubstr("live")));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nHTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(Exchange("HEAD /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), StartsWith("HTTP/1.1 405"));
}

TEST_F(ProtocolTest, SpeaksHttp10) {
  const std::string once = Exchange(InferText("1.0") + kBody);
  EXPECT_THAT(once, StartsWith("HTTP/1.0 200 OK\r\n"));
  EXPECT_THAT(once, HasSubstr("\"model_version\":\"1\""));
  const std::string kept = Exchange(InferText("1.0", "Connection: keep-alive\r\n") + kBody + InferText("1.0") + kBody);
  EXPECT_EQ(kept.find("HTTP/1.0 200"), 0u);
  EXPECT_NE(kept.find("HTTP/1.0 200", 1), std::string::npos);
}

TEST_F(ProtocolTest, AnswersPipelinedInferencesInOrder) {
  std::string requests;
  for (int i = 0; i < 20; ++i) {
    const std::string body = R"({"id":"q)" + std::to_string(i) + R"(",)" + (kBody + 1);
    requests += "POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n" + std::string(i == 19 ? "Connection: close\r\n" : "") +
                "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  const std::string answers = Exchange(requests);
  size_t at = 0;
  for (int i = 0; i < 20; ++i) {
    const size_t next = answers.find("\"id\":\"q" + std::to_string(i) + "\"", at);
    ASSERT_NE(next, std::string::npos) << i;
    at = next;
  }
}

TEST_F(ProtocolTest, AsksForTheBodyOfWhoWaitsToBeAsked) {
  const std::string answer = Exchange(InferText("1.1", "Expect: 100-continue\r\nConnection: close\r\n"), kBody);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(Exchange("POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Exchange(InferText("1.1", "Expect: miracles\r\nConnection: close\r\n") + kBody), StartsWith("HTTP/1.1 417"));
}

TEST_F(ProtocolTest, RefusesABodyOfTwoLengths) {
  const std::string smuggled = Exchange("POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
  EXPECT_THAT(smuggled, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(Exchange("POST /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), StartsWith("HTTP/1.1 400"));
}

}  // namespace
}  // namespace ratchet::serving
