// parse_body: what it costs to read the body of an infer request of one row of 784 FP32 values into a tensor, three ways in
// turn: as ratchet-serve does, with all its checks; through the SIMD parser's document tree alone, without any, the floor; and
// through a general JSON library. Medians; the ratios are what to compare.
#include <simdjson.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "serving/v2_protocol.h"

namespace {

using namespace ratchet::serving;
using SteadyClock = std::chrono::steady_clock;

constexpr int kValues = 784, kRounds = 61, kBodiesPerRound = 200;

std::string Body(bool fractions) {
  std::mt19937 random(7);
  std::string text = R"({"inputs":[{"name":"x","datatype":"FP32","shape":[1,784],"data":[)";
  for (int i = 0; i < kValues; ++i) {
    if (i) text += ',';
    text += fractions ? std::to_string(static_cast<double>(random() % 1'000'000) / 1e6) : std::to_string(random() % 256);
  }
  return text + "]}]}";
}

float Serving(const std::string& body, const Signature& signature) {
  v2::InferBody whole(body);
  whole.readable_bytes = body.capacity();
  const auto request = v2::ParseInfer(whole, signature);
  return request->inputs[0].As<float>()[kValues - 1];
}

float Tree(const std::string& body) {
  thread_local simdjson::dom::parser parser;
  std::vector<std::byte> data(kValues * sizeof(float));
  auto* out = reinterpret_cast<float*>(data.data());
  simdjson::dom::element document = parser.parse(body.data(), body.size());
  for (simdjson::dom::element value : document["inputs"].at(0)["data"].get_array()) *out++ = static_cast<float>(double(value));
  return out[-1];
}

float General(const std::string& body) {
  const auto document = nlohmann::json::parse(body);
  const auto data = document["inputs"][0]["data"].get<std::vector<float>>();
  return data.back();
}

double MicrosecondsOf(const std::function<float()>& parse) {
  float sum = 0;
  const auto begin = SteadyClock::now();
  for (int i = 0; i < kBodiesPerRound; ++i) sum += parse();
  const std::chrono::duration<double, std::micro> took = SteadyClock::now() - begin;
  return sum < 0 ? 0 : took.count() / kBodiesPerRound;
}

void Compare(const char* what, std::string body) {
  const Signature signature{.task = ratchet::registry::Task::kRegression,
                            .inputs = {{.name = "x", .datatype = Datatype::kFp32, .shape = {-1, kValues}, .column = {}}},
                            .outputs = {},
                            .classes = {}};
  body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
  const std::function<float()> ways[] = {[&] { return Serving(body, signature); }, [&] { return Tree(body); }, [&] { return General(body); }};
  std::vector<double> took[3];
  for (int round = 0; round < kRounds; ++round)  // in turn, so that a busy moment meets all of them
    for (int way = 0; way < 3; ++way) took[way].push_back(MicrosecondsOf(ways[way]));
  double median[3];
  for (int way = 0; way < 3; ++way) {
    std::ranges::nth_element(took[way], took[way].begin() + kRounds / 2);
    median[way] = took[way][kRounds / 2];
  }
  std::printf("{\"body\":\"%s\",\"bytes\":%zu,\"serving_us\":%.2f,\"tree_us\":%.2f,\"general_us\":%.2f,\"tree_ratio\":%.2f,\"general_ratio\":%.2f}\n",
              what, body.size(), median[0], median[1], median[2], median[1] / median[0], median[2] / median[0]);
}

}  // namespace

int main() {
  Compare("784 fractions", Body(true));
  Compare("784 bytes as numbers", Body(false));
  return 0;
}
