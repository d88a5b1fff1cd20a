#include "worker/fork_server.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "worker/process_record.h"
#include "worker/process_watch.h"
#include "worker/step_error.h"

namespace ratchet::worker {
namespace {

using nlohmann::json;

constexpr size_t kMaxPacketBytes = 64 << 10;
constexpr size_t kMaxUnsentPackets = 4096;

struct Packet {
  std::string text;
  int pidfd = -1;  // goes with it; owned
};

class ForkServer {
 public:
  ForkServer(const ForkServerOptions& options, const Clock& clock)
      : options_(options), supervisor_(options.supervisor), clock_(clock) {
    supervisor_.boot_id = BootId();
  }
  ~ForkServer() {
    if (signal_fd_ >= 0) close(signal_fd_);
    for (const auto& packet : unsent_)
      if (packet.pidfd >= 0) close(packet.pidfd);
    DropSpare();
  }
  ForkServer(const ForkServer&) = delete;
  ForkServer& operator=(const ForkServer&) = delete;

  int Serve();

 private:
  bool Open();
  bool HandleControl();
  void HandlePacket(const std::string& text);
  void Start(const std::string& id, const std::string& folder);
  Status ForkSpare();
  void DropSpare();
  void Refuse(const std::string& id, const Error& error);
  bool HandleSignals();
  void Send(const json& packet, int pidfd = -1);
  void Flush();

  const ForkServerOptions& options_;
  SupervisorOptions supervisor_;
  const Clock& clock_;
  std::optional<CgroupParent> cgroups_;
  std::unordered_set<pid_t> supervisors_;
  pid_t spare_ = -1;         // one of them, without a step yet
  int spare_order_ = -1;     // where it reads its folder
  std::deque<Packet> unsent_;
  int signal_fd_ = -1;
  bool daemon_gone_ = false;
};

bool ForkServer::Open() {
  // The daemon may end while a packet is on its way, and a terminal's Ctrl-C is the daemon's to answer.
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN);
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGCHLD);
  sigaddset(&watched, SIGTERM);
  sigprocmask(SIG_BLOCK, &watched, nullptr);
  signal_fd_ = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
  // What a supervisor that was killed leaves behind comes to us to be ended.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  fcntl(options_.control_fd, F_SETFD, FD_CLOEXEC);
  if (const auto place = FindOwnCgroup()) {
    if (auto parent = CgroupParent::Take(place->root, place->own, getpid())) cgroups_ = std::move(*parent);
  }
  return signal_fd_ >= 0;
}

int ForkServer::Serve() {
  if (!Open()) return 1;
  Send(options_.ready);
  for (bool serving = true; serving && !daemon_gone_;) {
    if (spare_ < 0)
      if (const auto forked = ForkSpare(); !forked) spdlog::error("{}", forked.error().Message());
    const short control_events = static_cast<short>(unsent_.empty() ? POLLIN : POLLIN | POLLOUT);
    std::array<pollfd, 2> polled{{{options_.control_fd, control_events, 0}, {signal_fd_, POLLIN, 0}}};
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) break;
    if (polled[1].revents != 0) serving = HandleSignals();
    if (serving && (polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) serving = HandleControl();
    Flush();
  }
  return 0;
}

bool ForkServer::HandleControl() {
  std::array<char, kMaxPacketBytes> packet;
  const ssize_t size = recv(options_.control_fd, packet.data(), packet.size(), MSG_DONTWAIT | MSG_TRUNC);
  if (size < 0) return errno == EAGAIN || errno == EINTR;
  if (size == 0) return false;
  if (static_cast<size_t>(size) > kMaxPacketBytes) {
    spdlog::error("a packet of {} bytes is over the limit of {}", size, kMaxPacketBytes);
    return true;
  }
  try {
    HandlePacket(std::string(packet.data(), static_cast<size_t>(size)));
  } catch (const json::exception& fault) {
    spdlog::error("a packet that is none: {}", fault.what());
  }
  return true;
}

void ForkServer::HandlePacket(const std::string& text) {
  const auto packet = json::parse(text);
  const auto op = packet.at("op").get<std::string>();
  if (op == "start")
    Start(packet.at("id").get<std::string>(), packet.at("folder").get<std::string>());
  else
    spdlog::error("an unknown operation: {}", op);
}

void ForkServer::Refuse(const std::string& id, const Error& error) {
  Send({{"event", "refused"}, {"id", id}, {"error", ErrorToJson(FromError(error))}});
}

void ForkServer::Start(const std::string& id, const std::string& folder) {
  if (supervisors_.size() > kMaxRunningSteps)  // the spare is one of them
    return Refuse(
        id, Fail(ErrorCode::kOverloaded, "start step", id, "too many steps run already", "Start it when one has ended.")
                .error());
  if (folder.size() >= PIPE_BUF) return Refuse(id, Fail(ErrorCode::kInvalid, "start step", id, "its path is too long").error());
  // A spare that was killed meanwhile does not take it; a fresh one does.
  for (int tries = 0; tries < 2; ++tries) {
    if (spare_ < 0)
      if (const auto forked = ForkSpare(); !forked) return Refuse(id, forked.error());
    const pid_t pid = spare_;
    const bool told = write(spare_order_, folder.data(), folder.size()) == static_cast<ssize_t>(folder.size());
    DropSpare();
    if (!told) continue;
    // As long as we have not waited for it, the pid is its own, so this cannot be another's.
    return Send({{"event", "started"}, {"id", id}, {"pid", pid}}, static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  }
  Refuse(id, Fail(ErrorCode::kInternal, "start step", id, "its supervisor ended before it could begin").error());
}

Status ForkServer::ForkSpare() {
  int order[2];
  if (pipe2(order, O_CLOEXEC) != 0) return FailErrno("make", "pipe", errno);
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    const int code = Supervise(supervisor_, cgroups_, order[0], clock_);
    std::fflush(nullptr);
    _exit(code);
  }
  const int why = errno;
  close(order[0]);
  if (pid < 0) {
    close(order[1]);
    return FailErrno("fork", "a supervisor", why);
  }
  supervisors_.insert(pid);
  spare_ = pid;
  spare_order_ = order[1];
  return {};
}

// It has its order, or is to end without one.
void ForkServer::DropSpare() {
  if (spare_ < 0) return;
  close(spare_order_);
  spare_ = spare_order_ = -1;
}

bool ForkServer::HandleSignals() {
  signalfd_siginfo info;
  bool serving = true;
  while (read(signal_fd_, &info, sizeof info) == sizeof info)
    if (info.ssi_signo == SIGTERM) serving = false;
  bool killed = false;
  int status = 0;
  for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == spare_) DropSpare();
    if (supervisors_.erase(pid) == 1) killed |= WIFSIGNALED(status);
  }
  // A supervisor leaves nothing behind but when it is killed; a child of ours that is none was left so.
  if (serving && killed && !KillDescendants(getpid(), {supervisors_.begin(), supervisors_.end()}))
    spdlog::error("processes that a step left behind cannot be ended");
  return serving;
}

void ForkServer::Send(const json& packet, int pidfd) {
  unsent_.push_back({packet.dump(-1, ' ', false, json::error_handler_t::replace), pidfd});
  Flush();
}

ssize_t SendPacket(int socket, const Packet& packet) {
  iovec text{const_cast<char*>(packet.text.data()), packet.text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &text;
  message.msg_iovlen = 1;
  if (packet.pidfd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &packet.pidfd, sizeof(int));
  }
  return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// A daemon that doesn't read is waited for up to a limit, and then taken for dead.
void ForkServer::Flush() {
  while (!unsent_.empty()) {
    const ssize_t sent = SendPacket(options_.control_fd, unsent_.front());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) daemon_gone_ = true;
    if (daemon_gone_) break;
    if (unsent_.front().pidfd >= 0) close(unsent_.front().pidfd);
    unsent_.pop_front();
  }
  if (unsent_.size() > kMaxUnsentPackets) daemon_gone_ = true;
}

}  // namespace

int ServeSteps(const ForkServerOptions& options, const Clock& clock) { return ForkServer(options, clock).Serve(); }

}  // namespace ratchet::worker
