// The floors of bench/serving/run, each with as many threads as the server has:
//   bench_serving_floor constant ANSWER_FILE                 the server's own HTTP, which answers every request with the same
//                                                            bytes; prints its port, ends with its standard input
//   bench_serving_floor model MANIFEST MODEL ROWS SECONDS    the model alone, called in a loop with ROWS rows of zeros; prints
//                                                            {"rows_per_s","call_p50_us"}
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "serving/http_server.h"
#include "serving/torch_runner.h"

namespace {

using namespace ratchet;
using namespace ratchet::serving;

int Fail(const std::string& why) {
  std::fprintf(stderr, "bench_serving_floor: %s\n", why.c_str());
  return 1;
}

int Cores() { return std::max(1, static_cast<int>(std::thread::hardware_concurrency())); }

class Constant final : public HttpHandler {
 public:
  explicit Constant(std::string answer) : answer_(std::move(answer)) {}
  void Handle(HttpRequest, std::function<void(HttpResponse)> respond) override { respond({.body = answer_}); }

 private:
  const std::string answer_;
};

int ServeConstant(const char* answer_file) {
  SystemFiles files;
  auto answer = files.Read(answer_file, 64u << 20);
  if (!answer) return Fail(answer.error().Message());
  Constant handler(*answer);
  ServeMetrics metrics;
  auto server = HttpServer::Start({.host = "127.0.0.1", .port = 0}, Cores(), {}, handler, metrics);
  if (!server) return Fail(server.error().Message());
  std::printf("%d\n", (*server)->Port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}

std::vector<Tensor> Zeros(const Signature& signature, std::int64_t rows) {
  std::vector<Tensor> inputs;
  for (const TensorSpec& spec : signature.inputs) {
    Tensor input{.name = spec.name, .datatype = spec.datatype, .shape = spec.shape};
    input.shape[0] = rows;
    const auto count = static_cast<size_t>(ElementCount(input.shape));
    input.data.resize(count * ElementBytes(spec.datatype));
    if (spec.datatype == Datatype::kBytes) input.texts.resize(count);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

int LoopModel(const char* manifest, const char* model, std::int64_t rows, double seconds) {
  using Steady = std::chrono::steady_clock;
  SystemFiles files;
  auto text = files.Read(manifest, registry::kMaxManifestBytes);
  if (!text) return Fail(text.error().Message());
  auto parsed = registry::ParseManifest(*text);
  if (!parsed) return Fail(parsed.error().Message());
  ConfigureTorch();
  auto runner = LoadTorchModel(LocalBundle{.digest = "", .manifest = *parsed, .model_path = model});
  if (!runner) return Fail(runner.error().Message());
  const auto until = Steady::now() + std::chrono::duration<double>(seconds);
  std::vector<std::vector<double>> took_us(static_cast<size_t>(Cores()));
  std::vector<std::thread> threads;
  for (auto& mine : took_us)
    threads.emplace_back([&] {
      for (auto from = Steady::now(); from < until;) {
        if (!(*runner)->Run(Zeros(parsed->signature, rows))) std::abort();
        const auto now = Steady::now();
        mine.push_back(std::chrono::duration<double, std::micro>(now - from).count());
        from = now;
      }
    });
  for (std::thread& thread : threads) thread.join();
  std::vector<double> all;
  for (const auto& mine : took_us) all.insert(all.end(), mine.begin(), mine.end());
  std::ranges::nth_element(all, all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2));
  std::printf("{\"rows_per_s\":%.0f,\"call_p50_us\":%.1f}\n", static_cast<double>(all.size()) * static_cast<double>(rows) / seconds,
              all[all.size() / 2]);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "constant") == 0) return ServeConstant(argv[2]);
  if (argc == 6 && std::strcmp(argv[1], "model") == 0) return LoopModel(argv[2], argv[3], std::atoll(argv[4]), std::atof(argv[5]));
  return Fail("constant ANSWER_FILE | model MANIFEST MODEL ROWS SECONDS"), 2;
}
