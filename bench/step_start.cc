// From the start of a step to the first line of its recipe: forked from a ratchet-worker that has LibTorch and the
// plugins loaded, against a fresh `ratchet-worker --run-step`. Both in the sandbox and the limits of real steps.
// Usage: bench_step_start [ROUNDS]
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::int64_t NowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000ll + now.tv_nsec;
}

void Need(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "bench_step_start: %s\n", what);
  std::exit(1);
}

// A step folder that asks for the recipe bench.clock.
std::string MakeStep(const std::string& data_dir, int number) {
  const auto folder = data_dir + "/runs/" + std::to_string(number) + "/train-1";
  fs::create_directories(folder);
  const json step{{"format", 1},
                  {"run", number},
                  {"step", "train"},
                  {"attempt", 1},
                  {"kind", "train"},
                  {"folder", folder},
                  {"recipe", "bench.clock"},
                  {"command", nullptr},
                  {"params", json::object()},
                  {"data", {{"schema", {{{"name", "x"}, {"type", "real"}}}}, {"target", "x"}}},
                  {"sandbox", {{"data_dir", data_dir}, {"read", json::array()}, {"required", true}}}};
  std::ofstream(folder + "/step.json") << step.dump();
  return folder;
}

double MillisecondsSince(std::int64_t begin_ns, const std::string& folder) {
  std::int64_t started_ns = 0;
  std::ifstream(folder + "/started_ns") >> started_ns;
  Need(started_ns > begin_ns, "the step did not run");
  return static_cast<double>(started_ns - begin_ns) / 1e6;
}

json Receive(int fd) {
  std::string packet(64 << 10, '\0');
  const ssize_t size = recv(fd, packet.data(), packet.size(), 0);
  Need(size > 0, "the worker is gone");
  return json::parse(packet.substr(0, static_cast<size_t>(size)));
}

// Of a supervisor, which is the worker's child and not ours.
void AwaitEnd(pid_t supervisor) {
  const int fd = static_cast<int>(syscall(SYS_pidfd_open, supervisor, 0));
  pollfd ended{fd, POLLIN, 0};
  if (fd >= 0) poll(&ended, 1, -1);
  if (fd >= 0) close(fd);
}

pid_t Spawn(std::vector<std::string> args, int control) {
  std::vector<char*> argv;
  for (auto& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  const pid_t pid = fork();
  Need(pid >= 0, "fork failed");
  if (pid > 0) return pid;
  if (control >= 0) dup2(control, 9);
  const int quiet = open("/dev/null", O_WRONLY);
  dup2(quiet, STDERR_FILENO);
  execv(argv[0], argv.data());
  _exit(127);
}

std::vector<double> FromForkServer(const std::string& data_dir, int rounds) {
  int ends[2];
  Need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "no socket");
  const pid_t worker = Spawn({RATCHET_WORKER, "--control-fd", "9", "--plugins", RATCHET_BENCH_PLUGINS}, ends[1]);
  close(ends[1]);
  Need(Receive(ends[0])["event"] == "ready", "the worker is not ready");
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    const auto folder = MakeStep(data_dir, round);
    const auto packet = json{{"op", "start"}, {"id", folder}, {"folder", folder}}.dump();
    const auto begin_ns = NowNs();
    Need(send(ends[0], packet.data(), packet.size(), 0) > 0, "the worker is gone");
    AwaitEnd(Receive(ends[0])["pid"]);
    times.push_back(MillisecondsSince(begin_ns, folder));
  }
  close(ends[0]);
  waitpid(worker, nullptr, 0);
  return times;
}

std::vector<double> FromColdProcesses(const std::string& data_dir, int rounds) {
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    const auto folder = MakeStep(data_dir, 1000 + round);
    const auto begin_ns = NowNs();
    const pid_t worker = Spawn({RATCHET_WORKER, "--run-step", folder, "--plugins", RATCHET_BENCH_PLUGINS}, -1);
    waitpid(worker, nullptr, 0);
    times.push_back(MillisecondsSince(begin_ns, folder));
  }
  return times;
}

double At(std::vector<double> times, double share) {
  std::ranges::sort(times);
  return times[static_cast<size_t>(share * static_cast<double>(times.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 20;
  std::string root = (fs::temp_directory_path() / "ratchet-step-start-XXXXXX").string();
  Need(mkdtemp(root.data()) != nullptr, "no temporary folder");
  const auto warm = FromForkServer(root, rounds);
  const auto cold = FromColdProcesses(root, rounds);
  fs::remove_all(root);
  std::printf("| start of a step, %d rounds | median ms | 95%% ms |\n| --- | ---: | ---: |\n", rounds);
  std::printf("| forked from a loaded worker | %.1f | %.1f |\n", At(warm, 0.5), At(warm, 0.95));
  std::printf("| cold `ratchet-worker --run-step` | %.1f | %.1f |\n", At(cold, 0.5), At(cold, 0.95));
  std::printf("\nratio cold / forked: %.1f\n", At(cold, 0.5) / At(warm, 0.5));
  return 0;
}
