// infer_load HOST PORT PATH BODY_FILE CONNECTIONS SECONDS: posts the same body over so many connections, each the next as
// soon as it has the answer, and prints {"requests_per_s","p50_ms","p99_ms","failed"}. Blocking sockets, a thread each.
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
#include <thread>
#include <vector>

namespace {

using SteadyClock = std::chrono::steady_clock;

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

  // True for a whole answer with status 200.
  bool Ask(const std::string& request) {
    if (!open_ || send(fd_, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) return false;
    size_t have = 0, wanted = SIZE_MAX;
    while (have < wanted) {
      const ssize_t got = recv(fd_, buffer_ + have, sizeof buffer_ - 1 - have, 0);
      if (got <= 0) return open_ = false;
      have += static_cast<size_t>(got);
      buffer_[have] = '\0';
      if (wanted == SIZE_MAX) wanted = Wanted();
    }
    return std::strncmp(buffer_, "HTTP/1.1 200", 12) == 0;
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

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) return std::fprintf(stderr, "usage: infer_load HOST PORT PATH BODY_FILE CONNECTIONS SECONDS\n"), 2;
  std::ifstream file(argv[4], std::ios::binary);
  const std::string body{std::istreambuf_iterator<char>(file), {}};
  const std::string request = std::string("POST ") + argv[3] + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  const int connections = std::atoi(argv[5]);
  const auto begin = SteadyClock::now();
  const auto until = begin + std::chrono::duration<double>(std::atof(argv[6]));
  std::vector<std::vector<double>> latencies_ms(static_cast<size_t>(connections));
  std::atomic<long> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < connections; ++i)
    threads.emplace_back([&, i] {
      Connection connection(argv[1], std::atoi(argv[2]));
      for (auto from = SteadyClock::now(); from < until;) {
        if (!connection.Ask(request)) return ++failed, void();
        const auto now = SteadyClock::now();
        latencies_ms[static_cast<size_t>(i)].push_back(std::chrono::duration<double, std::milli>(now - from).count());
        from = now;
      }
    });
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(SteadyClock::now() - begin).count();
  std::vector<double> all;
  for (const auto& some : latencies_ms) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  const auto at = [&](double share) { return all.empty() ? 0 : all[static_cast<size_t>(share * static_cast<double>(all.size() - 1))]; };
  std::printf("{\"requests_per_s\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"failed\":%ld}\n",
              static_cast<double>(all.size()) / seconds, at(0.5), at(0.99), failed.load());
  return failed == 0 ? 0 : 1;
}
