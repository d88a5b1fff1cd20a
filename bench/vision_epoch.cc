// Time of one training epoch of vision.classifier against the same network, optimiser, augmentation and batches in
// Python (vision_epoch.py) with the distribution's PyTorch, on the same number of threads. The two take turns and the
// best epoch of each counts, so that other work on the machine does the least harm.
//   bench_vision_epoch [rows=12000] [threads=1] [rounds=3]
#include <spdlog/fmt/fmt.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <random>
#include <string>

#include "lake/pack.h"
#include "plugins/sdk/recipe.h"

extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3();

namespace {

using namespace ratchet;
constexpr int kEpochs = 3;

struct EpochTime {
  double wall_s = std::numeric_limits<double>::infinity(), cpu_s = std::numeric_limits<double>::infinity();
  void Better(double wall, double cpu) {
    wall_s = std::min(wall_s, wall);
    cpu_s = std::min(cpu_s, cpu);
  }
};

double CpuSeconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

lake::Schema PhotoSchema() {
  return {{{"image", lake::ColumnType::kBlob, {1, 28, 28}}, {"label", lake::ColumnType::kInteger, {}}}};
}

Status WritePhotos(const std::string& path, int rows) {
  std::mt19937 random(7);
  RATCHET_ASSIGN(const auto writer, lake::PackWriter::Create(path, PhotoSchema()));
  std::string image(28 * 28, '\0');
  for (int i = 0; i < rows; ++i) {
    for (char& byte : image) byte = static_cast<char>(random());
    RATCHET_TRY(writer->Add({image, static_cast<std::int64_t>(i % 10)}));
  }
  return writer->Finish();
}

Status TrainOnce(const std::string& folder, int rows, int threads, EpochTime& best) {
  const sdk::Recipe& recipe = *ratchet_plugin_v3()->recipes.at(0);
  sdk::TrainInput input;
  input.train_packs = {folder + "/photos.pack"};
  input.schema = PhotoSchema();
  input.target = "label";
  RATCHET_ASSIGN(input.params, sdk::CompleteParams(recipe.Info(), {{"epochs", kEpochs}}));
  input.seed = 7;
  input.threads = threads;
  input.device = "cpu";
  input.work_folder = folder;
  input.checkpoint_folder = folder + "/checkpoint";
  input.model_path = folder + "/model.pt";
  double cpu_before = CpuSeconds();
  input.report = [&](const sdk::Progress& progress) {
    if (progress.phase == "validate") cpu_before = CpuSeconds();
    // The last report of an epoch's steps; the first epoch warms the caches up.
    if (progress.phase == "train" && progress.epoch > 1 && progress.step == progress.steps && progress.steps > 0)
      best.Better(rows / progress.rows_per_s, CpuSeconds() - cpu_before);
  };
  const auto trained = recipe.Train(input);
  if (!trained) return std::unexpected(trained.error());
  return {};
}

bool TimePython(int rows, int threads, EpochTime& best) {
  const std::string command = fmt::format("/usr/bin/python3 {} {} {} {}", RATCHET_EPOCH_SCRIPT, rows, threads, kEpochs);
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return false;
  double wall = 0, cpu = 0;
  while (std::fscanf(pipe, "%lf %lf", &wall, &cpu) == 2) best.Better(wall, cpu);
  return pclose(pipe) == 0;
}

int Number(int argc, char** argv, int at, int otherwise) { return argc > at ? std::atoi(argv[at]) : otherwise; }

}  // namespace

int main(int argc, char** argv) {
  const int rows = Number(argc, argv, 1, 12000), threads = Number(argc, argv, 2, 1), rounds = Number(argc, argv, 3, 3);
  std::string folder = (std::filesystem::temp_directory_path() / "ratchet-epoch-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  EpochTime ours, python;
  auto status = WritePhotos(folder + "/photos.pack", rows);
  bool python_ran = true;
  for (int round = 0; round < rounds && status && python_ran; ++round) {
    status = TrainOnce(folder, rows, threads, ours);
    python_ran = TimePython(rows, threads, python);
  }
  std::filesystem::remove_all(folder);
  if (!status || !python_ran) {
    fmt::print(stderr, "{}\n", status ? "the Python script failed" : status.error().Message());
    return 1;
  }
  fmt::print("epoch of {} photos, {} thread(s)   wall s    cpu s\n", rows, threads);
  fmt::print("vision.classifier (C++)         {:8.3f} {:8.3f}\n", ours.wall_s, ours.cpu_s);
  fmt::print("the same in Python              {:8.3f} {:8.3f}\n", python.wall_s, python.cpu_s);
  fmt::print("ratio C++ / Python              {:8.3f} {:8.3f}\n", ours.wall_s / python.wall_s,
             ours.cpu_s / python.cpu_s);
  return 0;
}
