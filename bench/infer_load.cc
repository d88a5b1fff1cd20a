// infer_load HOST PORT PATH BODY_FILE CONNECTIONS SECONDS [--rate N] [--timeout-ms MS] [--changes FILE]
//
// Posts the same body over so many connections, each the next as soon as it has the answer, and prints
// {"requests_per_s","answered","refused","failed","p50_ms","p99_ms"}; times are of answers with status 200. Blocking sockets, a
// thread each.
//   --rate N         no more than N requests a second, evenly, over all connections; who is late catches up
//   --timeout-ms MS  as header `timeout`; 429 and 503 then count as refused, not as failed
//   --changes FILE   a line for each answer of another version than the one before on its connection: when it came, its
//                    version, when the one before came, that one's version; ns of the monotonic clock
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using SteadyClock = std::chrono::steady_clock;

struct Asked {
  const char *host = "", *path = "", *body_file = "";
  int port = 0, connections = 1, timeout_ms = 0;
  double seconds = 1, rate = 0;
  const char* changes_file = nullptr;
};

enum class Outcome { kAnswered, kRefused, kFailed, kBroken };

class Connection {
 public:
  Connection(const char* host, int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<std::uint16_t>(port)), .sin_addr = {}, .sin_zero = {}};
    inet_pton(AF_INET, host, &address.sin_addr);
    open_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Connection() { close(fd_); }

  Outcome Ask(const std::string& request) {
    if (!open_ || send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) return Outcome::kBroken;
    size_t have = 0, wanted = SIZE_MAX;
    while (have < wanted) {
      const ssize_t got = recv(fd_, buffer_ + have, sizeof buffer_ - 1 - have, 0);
      if (got <= 0) return open_ = false, Outcome::kBroken;
      have += static_cast<size_t>(got);
      buffer_[have] = '\0';
      if (wanted == SIZE_MAX) wanted = Wanted();
    }
    const std::string_view status(buffer_ + 9, 3);
    return status == "200" ? Outcome::kAnswered : status == "429" || status == "503" ? Outcome::kRefused : Outcome::kFailed;
  }

  // The version that the last answer names; 0 = none.
  long Version() const {
    const char* at = std::strstr(buffer_, "\"model_version\":\"");
    return at ? std::strtol(at + 17, nullptr, 10) : 0;
  }

 private:
  size_t Wanted() const {
    const char* end = std::strstr(buffer_, "\r\n\r\n");
    const char* length = strcasestr(buffer_, "content-length:");
    if (!end || !length) return SIZE_MAX;
    return static_cast<size_t>(end + 4 - buffer_) + std::strtoul(length + 15, nullptr, 10);
  }

  const int fd_;
  bool open_ = false;
  char buffer_[1 << 16];
};

struct Tally {
  std::vector<double> latencies_ms;
  long refused = 0, failed = 0;
  std::string changes;
};

long Nanoseconds(SteadyClock::time_point at) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(at.time_since_epoch()).count();
}

// Notes where the version of an answer differs from the one before.
class Changes {
 public:
  void Saw(long version, SteadyClock::time_point at, std::string& lines) {
    if (version_ != 0 && version != version_)
      lines += std::to_string(Nanoseconds(at)) + " " + std::to_string(version) + " " + std::to_string(Nanoseconds(at_)) + " " +
               std::to_string(version_) + "\n";
    version_ = version;
    at_ = at;
  }

 private:
  long version_ = 0;
  SteadyClock::time_point at_;
};

void Load(const Asked& asked, const std::string& request, int index, SteadyClock::time_point begin, Tally& tally) {
  const auto until = begin + std::chrono::duration<double>(asked.seconds);
  const auto gap = std::chrono::duration<double>(asked.rate > 0 ? asked.connections / asked.rate : 0);
  Connection connection(asked.host, asked.port);
  Changes changes;
  auto due = begin + std::chrono::duration_cast<SteadyClock::duration>(gap * index / asked.connections);
  for (;;) {
    if (asked.rate > 0) std::this_thread::sleep_until(due);
    due += std::chrono::duration_cast<SteadyClock::duration>(gap);
    const auto from = SteadyClock::now();
    if (from >= until) return;
    const Outcome outcome = connection.Ask(request);
    const auto now = SteadyClock::now();
    if (outcome == Outcome::kBroken) return ++tally.failed, void();
    if (outcome == Outcome::kRefused && asked.timeout_ms > 0) ++tally.refused;
    else if (outcome != Outcome::kAnswered) ++tally.failed;
    else tally.latencies_ms.push_back(std::chrono::duration<double, std::milli>(now - from).count());
    if (asked.changes_file && outcome == Outcome::kAnswered) changes.Saw(connection.Version(), now, tally.changes);
  }
}

bool Parse(int argc, char** argv, Asked& asked) {
  if (argc < 7) return false;
  asked = {.host = argv[1], .path = argv[3], .body_file = argv[4], .port = std::atoi(argv[2]), .connections = std::atoi(argv[5]),
           .seconds = std::atof(argv[6])};
  for (int i = 7; i < argc; i += 2) {
    if (i + 1 == argc) return false;
    const std::string_view name = argv[i];
    if (name == "--rate") asked.rate = std::atof(argv[i + 1]);
    else if (name == "--timeout-ms") asked.timeout_ms = std::atoi(argv[i + 1]);
    else if (name == "--changes") asked.changes_file = argv[i + 1];
    else return false;
  }
  return asked.connections > 0;
}

std::string RequestText(const Asked& asked) {
  std::ifstream file(asked.body_file, std::ios::binary);
  const std::string body{std::istreambuf_iterator<char>(file), {}};
  std::string text = std::string("POST ") + asked.path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
  if (asked.timeout_ms > 0) text += "timeout: " + std::to_string(asked.timeout_ms) + "\r\n";
  return text + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

int main(int argc, char** argv) {
  Asked asked;
  if (!Parse(argc, argv, asked))
    return std::fprintf(stderr, "usage: infer_load HOST PORT PATH BODY_FILE CONNECTIONS SECONDS [--rate N] [--timeout-ms MS] [--changes FILE]\n"), 2;
  const std::string request = RequestText(asked);
  const auto begin = SteadyClock::now();
  std::vector<Tally> tallies(static_cast<size_t>(asked.connections));
  std::vector<std::thread> threads;
  for (int i = 0; i < asked.connections; ++i) threads.emplace_back([&, i] { Load(asked, request, i, begin, tallies[static_cast<size_t>(i)]); });
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
  std::vector<double> all;
  long refused = 0, failed = 0;
  for (const Tally& tally : tallies) {
    all.insert(all.end(), tally.latencies_ms.begin(), tally.latencies_ms.end());
    refused += tally.refused;
    failed += tally.failed;
  }
  if (asked.changes_file) {
    std::ofstream file(asked.changes_file);
    for (const Tally& tally : tallies) file << tally.changes;
  }
  std::sort(all.begin(), all.end());
  const auto at = [&](double share) { return all.empty() ? 0 : all[static_cast<size_t>(share * static_cast<double>(all.size() - 1))]; };
  std::printf("{\"requests_per_s\":%.0f,\"answered\":%zu,\"refused\":%ld,\"failed\":%ld,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
              static_cast<double>(all.size()) / seconds, all.size(), refused, failed, at(0.5), at(0.99));
  return failed == 0 ? 0 : 1;
}
