// How many seconds of one processor the search for sealed rows that training has as well takes (lake/leakage.h), against
// reading the same packs once. `leak_bench [FOLDER]` makes 70,000 photos of 784 bytes, a table of 1,000,000 rows and 250,000 texts;
// `leak_bench --packs COLUMN KEY TRAIN.pack HOLDOUT.pack` takes yours, to see what it finds in them.
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "lake/leakage.h"
#include "lake/pack.h"

namespace {

using namespace ratchet::lake;

constexpr int kRepetitions = 3;

// Of the processor: one thread does the work, from files that are in memory.
double Seconds(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

template <typename T>
T Must(ratchet::Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().Message().c_str());
  std::exit(1);
}

void Write(const std::string& path, const Schema& schema, std::int64_t rows, const std::function<Row(std::int64_t)>& make) {
  auto writer = Must(PackWriter::Create(path, schema));
  for (std::int64_t i = 0; i < rows; ++i)
    if (!writer->Add(make(i))) std::exit(1);
  if (!writer->Finish()) std::exit(1);
}

void ReadOnce(const std::vector<std::string>& packs, const std::vector<std::string>& columns) {
  auto reader = Must(PackReader::Open(packs, columns));
  while (Must(reader->Next(4096)).rows > 0) {
  }
}

void Measure(const std::string& name, const LeakQuestion& question) {
  std::vector<double> ours, baseline;
  Leaks leaks;
  for (int i = 0; i < kRepetitions; ++i) {
    baseline.push_back(Seconds([&] {
      ReadOnce(question.train, question.columns);
      ReadOnce(question.holdout, question.columns);
    }));
    ours.push_back(Seconds([&] { leaks = Must(FindLeaks(question)); }));
  }
  const double best = *std::min_element(ours.begin(), ours.end()), read = *std::min_element(baseline.begin(), baseline.end());
  std::printf("%-34s %9lld %9lld %8.2f s %8.2f s %6.1f %8lld %8lld\n", name.c_str(), static_cast<long long>(leaks.training_rows),
              static_cast<long long>(leaks.holdout_rows), best, read, best / read, static_cast<long long>(leaks.equal.rows),
              static_cast<long long>(leaks.near.rows));
  for (const LeakedRows* found : {&leaks.equal, &leaks.near})
    for (const LeakPair& pair : found->pairs)
      if (name == "given") std::printf("  %s is %s\n", pair.holdout.c_str(), pair.training.c_str());
}

std::string Photo(std::uint64_t seed, int noise) {
  std::mt19937_64 random(seed);
  std::vector<double> waves(12);
  for (double& wave : waves) wave = static_cast<double>(random() % 1'000) / 1'000;
  std::string pixels(784, '\0');
  for (int y = 0; y < 28; ++y)
    for (int x = 0; x < 28; ++x) {
      double level = 120;
      for (int k = 0; k < 12; ++k) level += 20 * std::sin((k % 4 + 1) * waves[static_cast<std::size_t>(k)] * (k < 6 ? x : y) + 7 * waves[static_cast<std::size_t>(11 - k)]);
      level += static_cast<double>(random() % 40);
      pixels[static_cast<std::size_t>(y * 28 + x)] = static_cast<char>(static_cast<unsigned char>(std::clamp(level + noise * ((x * 7 + y * 3) % 3 - 1), 0.0, 255.0)));
    }
  return pixels;
}

void Photos(const std::string& folder) {
  const Schema schema{{{"id", ColumnType::kText, {}}, {"image", ColumnType::kBlob, {1, 28, 28}}}};
  Write(folder + "/t", schema, 60'000, [](std::int64_t i) { return Row{"t" + std::to_string(i), Photo(static_cast<std::uint64_t>(i), 0)}; });
  // Of ten sealed photos one is a copy and one a noisier copy of a training photo.
  Write(folder + "/h", schema, 10'000, [](std::int64_t i) {
    return Row{"h" + std::to_string(i), Photo(static_cast<std::uint64_t>(i % 10 < 2 ? i : i + 1'000'000), i % 10 == 1 ? 3 : 0)};
  });
  Measure("photos of 784 bytes", {.train = {folder + "/t"}, .holdout = {folder + "/h"}, .columns = {"image"}, .key = "id"});
}

void Table(const std::string& folder) {
  Schema schema{{{"id", ColumnType::kText, {}}}};
  for (int c = 0; c < 8; ++c) schema.columns.push_back({"x" + std::to_string(c), ColumnType::kReal, {}});
  for (int c = 0; c < 4; ++c) schema.columns.push_back({"n" + std::to_string(c), ColumnType::kInteger, {}});
  schema.columns.push_back({"kind", ColumnType::kText, {}});
  const auto row = [&](std::int64_t i) {
    std::mt19937_64 random(static_cast<std::uint64_t>(i));
    Row cells{"k" + std::to_string(i)};
    for (int c = 0; c < 8; ++c) cells.push_back(static_cast<double>(random() % 1'000'000) / 1'024);
    for (int c = 0; c < 4; ++c) cells.push_back(static_cast<std::int64_t>(random() % 100));
    cells.push_back(std::string(random() % 2 == 0 ? "red" : "green"));
    return cells;
  };
  Write(folder + "/t", schema, 800'000, row);
  Write(folder + "/h", schema, 200'000, [&](std::int64_t i) { return row(i % 100 == 0 ? i : i + 10'000'000); });
  std::vector<std::string> columns;
  for (std::size_t c = 1; c < schema.columns.size(); ++c) columns.push_back(schema.columns[c].name);
  Measure("table of 13 columns", {.train = {folder + "/t"}, .holdout = {folder + "/h"}, .columns = columns, .key = "id"});
}

void Texts(const std::string& folder) {
  const Schema schema{{{"id", ColumnType::kText, {}}, {"text", ColumnType::kText, {}}}};
  const auto text = [](std::int64_t i, bool changed) {
    std::mt19937_64 random(static_cast<std::uint64_t>(i));
    std::string words;
    for (int w = 0; w < 40; ++w) words += "w" + std::to_string(random() % 5'000) + " ";
    return changed ? words + "indeed" : words;
  };
  Write(folder + "/t", schema, 200'000, [&](std::int64_t i) { return Row{"t" + std::to_string(i), text(i, false)}; });
  Write(folder + "/h", schema, 50'000, [&](std::int64_t i) { return Row{"h" + std::to_string(i), text(i % 100 == 0 ? i : i + 10'000'000, i % 200 == 0)}; });
  Measure("texts of 40 words", {.train = {folder + "/t"}, .holdout = {folder + "/h"}, .columns = {"text"}, .key = "id"});
}

}  // namespace

int main(int count, char** arguments) {
  std::printf("%-34s %9s %9s %10s %10s %6s %8s %8s\n", "rows", "training", "sealed", "search", "read once", "ratio", "equal", "near");
  if (count == 6 && std::strcmp(arguments[1], "--packs") == 0) {
    Measure("given", {.train = {arguments[4]}, .holdout = {arguments[5]}, .columns = {arguments[2]}, .key = arguments[3]});
    return 0;
  }
  for (const auto work : {Photos, Table, Texts}) {
    std::string folder = (count > 1 ? std::string(arguments[1]) : std::filesystem::temp_directory_path().string()) + "/leak-bench-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) return 1;
    work(folder);
    std::filesystem::remove_all(folder);
  }
}
