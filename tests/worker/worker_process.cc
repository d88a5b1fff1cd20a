#include "tests/worker/worker_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace ratchet::worker::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
constexpr int kDeadlineMs = 120'000;

bool AwaitInput(int fd) {
  pollfd polled{fd, POLLIN, 0};
  return poll(&polled, 1, kDeadlineMs) == 1;
}

}  // namespace

WorkerProcess::WorkerProcess(const std::vector<std::string>& flags, const std::string& role) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) std::abort();
  std::vector<std::string> args{RATCHET_WORKER, "--role", role, "--control-fd", "3"};
  if (std::ranges::find(flags, "--plugins") == flags.end())
    args.insert(args.end(), {"--plugins", RATCHET_PROBE_PLUGINS});
  args.insert(args.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (auto& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    // dup2 on to itself would keep the close-on-exec flag.
    if (ends[1] == 3)
      fcntl(3, F_SETFD, 0);
    else
      dup2(ends[1], 3);
    execv(argv[0], argv.data());
    _exit(127);
  }
  close(ends[1]);
  socket_ = ends[0];
}

WorkerProcess::~WorkerProcess() {
  CloseSocket();
  if (!AwaitDeath(pid_)) {
    ADD_FAILURE() << "the worker did not end with its socket";
    kill(pid_, SIGKILL);
  }
  waitpid(pid_, nullptr, 0);
}

void WorkerProcess::CloseSocket() {
  if (socket_ >= 0) close(std::exchange(socket_, -1));
}

void WorkerProcess::SendText(const std::string& packet) const {
  ASSERT_EQ(send(socket_, packet.data(), packet.size(), MSG_NOSIGNAL), static_cast<ssize_t>(packet.size()));
}

void WorkerProcess::Send(const json& packet) const { SendText(packet.dump()); }

json WorkerProcess::Next() const {
  std::string packet(64 << 10, '\0');
  if (!AwaitInput(socket_)) return nullptr;
  const ssize_t size = recv(socket_, packet.data(), packet.size(), 0);
  if (size <= 0) return nullptr;
  packet.resize(static_cast<size_t>(size));
  return json::parse(packet);
}

json WorkerProcess::Await(const std::string& event) const {
  for (;;) {
    auto packet = Next();
    if (packet.is_null() || packet["event"] == event) return packet;
  }
}

void KillStep(pid_t supervisor, const std::string& folder, const std::string& error_class, const std::string& message) {
  std::ofstream(folder + "/kill.json") << json{{"class", error_class}, {"message", message}};
  kill(supervisor, SIGTERM);
}

bool AwaitDeath(pid_t pid) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  if (fd < 0) return true;
  const bool dead = AwaitInput(fd);
  close(fd);
  return dead;
}

StepFolder::StepFolder() {
  std::string name = fs::canonical(fs::temp_directory_path()).string() + "/ratchet-worker-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) std::abort();
  root_ = name;
  data_ = root_ + "/data";
  step_ = data_ + "/runs/5/train-1";
  fs::create_directories(step_);
  step = {{"format", 1},
          {"run", 5},
          {"step", "train"},
          {"attempt", 1},
          {"kind", "train"},
          {"folder", step_},
          {"pipeline", "toy"},
          {"revision", 1},
          {"model", "toy"},
          {"recipe", nullptr},
          {"command", {"/bin/true"}},
          {"command_files", json::object()},
          {"params", json::object()},
          {"seed", 7},
          {"data",
           {{"dataset", "toys"},
            {"version", 1},
            {"manifest", std::string(64, 'a')},
            {"target", "label"},
            {"key", ""},
            {"schema", json::parse(lake::SchemaToJson(ToySchema()))},
            {"expect", json::array()}}},
          {"inputs", {{"train", json::array()}, {"validation", json::array()}}},
          {"live", nullptr},
          {"baseline", "auto"},
          {"slices", json::array()},
          {"resume", nullptr},
          {"limits",
           {{"cpus", 1}, {"memory_bytes", 1u << 30}, {"time_s", 100}, {"disk_bytes", 256u << 20}, {"open_files", 256}}},
          {"sandbox", {{"data_dir", data_}, {"read", json::array()}, {"required", true}}}};
}

StepFolder::~StepFolder() {
  if (fifo_ >= 0) close(fifo_);
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

std::string StepFolder::AddPack(const std::string& name, const lake::Schema& schema, const std::vector<lake::Row>& rows,
                                bool granted) {
  const auto path = data_ + "/blobs/" + name;
  fs::create_directories(data_ + "/blobs");
  auto writer = lake::PackWriter::Create(path, schema);
  EXPECT_TRUE(writer.has_value());
  for (const auto& row : rows) EXPECT_TRUE((*writer)->Add(row).has_value());
  EXPECT_TRUE((*writer)->Finish().has_value());
  if (granted) step["sandbox"]["read"].push_back(path);
  return path;
}

std::string StepFolder::AddFile(const std::string& name, const std::string& content) {
  const auto path = name.starts_with('/') ? name : data_ + "/" + name;
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << content;
  return path;
}

void StepFolder::TrainBy(const std::string& script) {
  step["command"] = {"./train.sh"};
  step["command_files"]["train.sh"] = AddFile("blobs/train.sh", "#!/bin/sh\n" + script);
}

void StepFolder::Write() const { std::ofstream(step_ + "/step.json") << step.dump(); }

void StepFolder::RunScript(const std::string& script) {
  TrainBy(script);
  step["kind"] = "command";
}

json StepFolder::Start(const WorkerProcess& worker) {
  Write();
  worker.Send({{"op", "start"}, {"id", "5/train-1"}, {"folder", step_}});
  auto started = worker.Await("started");
  if (started.is_object()) supervisor_ = started["pid"];
  return started;
}

json StepFolder::AwaitExit() const {
  EXPECT_TRUE(AwaitDeath(supervisor_));
  return Exit();
}

json StepFolder::Run(const WorkerProcess& worker) {
  // A folder is one attempt's; a test that runs its step again means another attempt.
  for (const char* name : {"/process.json", "/exit.json", "/kill.json"}) fs::remove(step_ + name);
  (void)Start(worker);
  return AwaitExit();
}

json StepFolder::Exit() const { return Has("exit.json") ? json::parse(Read("exit.json")) : json(); }

std::string StepFolder::Read(const std::string& name) const {
  std::ostringstream text;
  text << std::ifstream(step_ + "/" + name).rdbuf();
  return text.str();
}

bool StepFolder::Has(const std::string& name) const { return fs::exists(step_ + "/" + name); }

bool StepFolder::AwaitFile(const std::string& name) const {
  const int watch = inotify_init1(IN_CLOEXEC);
  inotify_add_watch(watch, step_.c_str(), IN_MOVED_TO | IN_CREATE);
  bool there = Has(name);
  std::array<char, 4096> events;
  while (!there && AwaitInput(watch) && read(watch, events.data(), events.size()) > 0) there = Has(name);
  close(watch);
  return there;
}

json StepFolder::Result() const { return Has("result.json") ? json::parse(Read("result.json")) : json(); }

void StepFolder::MakeFifo() {
  fs::create_directories(step_ + "/work");
  const auto path = step_ + "/work/ready.fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  fifo_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
}

std::string StepFolder::AwaitLine() const {
  std::string line;
  for (char c = 0; AwaitInput(fifo_) && read(fifo_, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

lake::Schema ToySchema() { return {{{"x", lake::ColumnType::kReal, {}}, {"label", lake::ColumnType::kInteger, {}}}}; }

std::vector<lake::Row> ToyRows(int count) {
  std::vector<lake::Row> rows;
  for (int i = 0; i < count; ++i) {
    const double x = (i % 2 == 0 ? 1.0 : -1.0) * (1 + i % 7);
    rows.push_back({x, std::int64_t{x > 0}});
  }
  return rows;
}

}  // namespace ratchet::worker::testing
