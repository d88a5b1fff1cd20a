#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/json_fields.h"
#include "tests/cli/program_run.h"

namespace ratchet::cli {
namespace {

constexpr const char* kPython = "/usr/bin/python3";
constexpr const char* kExamples = RATCHET_SOURCE_DIR "/examples";

// Cuts the churn table into packs as the lake would.
constexpr const char* kMakePacks = R"(
import csv, json, sqlite3, sys
rows = list(csv.DictReader(open('churn.csv')))
types = {'tenure_months': 'integer', 'complaints': 'integer', 'monthly_fee': 'real', 'logins_per_week': 'real'}
schema = [{'name': c, 'type': types.get(c, 'text')} for c in rows[0]]
for name, part in (('train', rows[:300]), ('validation', rows[300:])):
    pack = sqlite3.connect(name + '.pack')
    pack.execute('create table meta(key text primary key, value text not null) strict')
    pack.execute('create table rows(row integer primary key, %s) strict' % ','.join('%s %s' % (c['name'], c['type']) for c in schema))
    for row in part:
        pack.execute('insert into rows values(null,%s)' % ','.join('?' * len(schema)), [v or None for v in row.values()])
    pack.execute('insert into meta values(?,?)', ('schema', json.dumps(schema)))
    pack.commit()
)";

constexpr const char* kAskModel = R"(
import torch
model = torch.jit.load('out/model.pt')
values = [torch.tensor([1.0, float('nan')]) for _ in range(4)]
with torch.no_grad(): answer = model(*values)
assert answer.shape == (2, 2) and torch.isfinite(answer).all() and torch.allclose(answer.sum(1), torch.ones(2)), answer
)";

TEST(TrainerExample, KeepsToTheContractOfCommandsAsTrainers) {
  if (RunProcess({kPython, "-c", "import torch"}).code != 0) GTEST_SKIP() << "python3-torch is not installed";
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "out");
  WriteWhole(folder / "params.json", R"({"epochs": 2})");
  WriteWhole(folder / "progress", "{\"message\":\"before\"}\n");
  auto python = [&](const std::string& words, const std::vector<std::string>& environment = {}) {
    return RunProcess({"sh", "-c", "cd '" + (folder / "") + "' && exec " + kPython + " " + words}, "", environment);
  };
  ASSERT_EQ(python(std::string(kExamples) + "/make_churn_csv.py --rows 400 --out churn.csv").code, 0);
  WriteWhole(folder / "packs.py", kMakePacks);
  ASSERT_EQ(python("packs.py").code, 0);
  ProgramEnd trained =
      python(std::string(kExamples) + "/train_command/train.py",
             {"RATCHET_TRAIN=" + (folder / "train.pack"), "RATCHET_VALIDATION=" + (folder / "validation.pack"),
              "RATCHET_PARAMS=" + (folder / "params.json"), "RATCHET_OUT=" + (folder / "out"), "RATCHET_TARGET=churned",
              "RATCHET_PROGRESS=" + (folder / "progress")});
  ASSERT_EQ(trained.code, 0) << trained.err;

  Json signature = ParseJson(ReadWhole(folder / "out/signature.json"));
  EXPECT_EQ(TextField(signature, "task"), "classification");
  EXPECT_EQ(Field(signature, "classes").dump(), R"(["no","yes"])");
  EXPECT_EQ(Field(signature, "inputs").size(), 4u);
  WriteWhole(folder / "ask.py", kAskModel);
  ProgramEnd asked = python("ask.py");
  EXPECT_EQ(asked.code, 0) << asked.err;

  std::istringstream progress(ReadWhole(folder / "progress"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(progress, line);) lines.push_back(line);
  ASSERT_EQ(lines.size(), 3u);  // appended, not overwritten
  EXPECT_EQ(IntField(ParseJson(lines[2]), "epoch"), 2);
  EXPECT_TRUE(NumberField(Field(ParseJson(lines[2]), "metrics"), "validation_accuracy"));
}

TEST(ChurnExample, GivesTheSameTableForTheSameSeed) {
  auto make = [](const std::string& words) {
    return RunProcess({"sh", "-c", std::string(kPython) + " " + kExamples + "/make_churn_csv.py " + words}).out;
  };
  EXPECT_EQ(make("--rows 20"), make("--rows 20"));
  EXPECT_NE(make("--rows 20"), make("--rows 20 --seed 2"));
  std::string tail = make("--rows 5 --first 16");
  EXPECT_THAT(make("--rows 20"), testing::EndsWith(tail.substr(tail.find('\n') + 1)));
}

// A folder of four tiny IDX files stands for the package.
constexpr const char* kMakeIdx = R"(
import gzip, struct
for prefix, n in (('train', 3), ('t10k', 2)):
    with gzip.open(prefix + '-images-idx3-ubyte.gz', 'wb') as f:
        f.write(struct.pack('>IIII', 0x803, n, 28, 28) + bytes(i % 251 for i in range(n * 784)))
    with gzip.open(prefix + '-labels-idx1-ubyte.gz', 'wb') as f:
        f.write(struct.pack('>II', 0x801, n) + bytes(range(n)))
)";

TEST(FashionMnistExample, WritesAPackAndAPng) {
  TemporaryFolder folder;
  WriteWhole(folder / "idx.py", kMakeIdx);
  auto python = [&](const std::string& words) {
    return RunProcess({"sh", "-c", "cd '" + (folder / "") + "' && exec " + kPython + " " + words});
  };
  ASSERT_EQ(python("idx.py").code, 0);
  std::string script = std::string(kExamples) + "/fashion_mnist.py --from . ";
  ASSERT_EQ(python(script + "--rows 1: --out p.pack").out, "p.pack: 2 rows\n");
  EXPECT_EQ(
      python(
          "-c \"import sqlite3; p = sqlite3.connect('p.pack'); print(p.execute('pragma application_id').fetchone()[0], "
          "p.execute('select row, id, length(image), label from rows').fetchall(), "
          "dict(p.execute('select key, value from meta'))['rows'])\"")
          .out,
      "1380993841 [(1, 'train-00001', 784, 1), (2, 'train-00002', 784, 2)] 2\n");
  EXPECT_EQ(python(script + "--test --png 1 --out p.png").out, "p.png: photo test-00001, label 1\n");
  EXPECT_EQ(ReadWhole(folder / "p.png").substr(0, 4), "\x89PNG");
  EXPECT_NE(python(script + "--rows 9: --out q.pack").code, 0);
}

}  // namespace
}  // namespace ratchet::cli
