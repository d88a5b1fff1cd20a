#include "serving/call_marks.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

namespace ratchet::serving {
namespace {

constexpr size_t kSlots = 256;           // threads that run models; those beyond are not watched
constexpr size_t kStackBytes = 64u << 10;  // for the handler, since the thread's own may be what overflowed
constexpr std::int32_t kHung = -1;

struct Slot {
  std::atomic<std::int64_t> begun_us{0};  // monotonic; 0 = no call under way
  std::int64_t limit_us = 0;
  std::int64_t fault_at_us = 0;  // wall
  std::int32_t fault = 0;        // a signal's number, or kHung
  char bundle[68] = {};
};
struct File {
  std::atomic<std::uint64_t> taken{0};
  Slot slots[kSlots];
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

thread_local const CallMarks* slot_owner = nullptr;
thread_local Slot* slot_of_thread = nullptr;
thread_local std::unique_ptr<char[]> handler_stack;

std::int64_t WallUs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * std::int64_t{1'000'000} + now.tv_nsec / 1000;
}

// Async-signal-safe. The signal's own action is back already (SA_RESETHAND).
void OnCrash(int signal_number) {
  if (Slot* slot = slot_of_thread; slot != nullptr && slot->begun_us != 0) {
    slot->fault = signal_number;
    slot->fault_at_us = WallUs();
  }
  raise(signal_number);
}

void GiveHandlerAStack() {
  handler_stack = std::make_unique<char[]>(kStackBytes);
  stack_t stack{};
  stack.ss_sp = handler_stack.get();
  stack.ss_size = kStackBytes;
  sigaltstack(&stack, nullptr);
}

Fault FaultOf(const Slot& slot) {
  Fault fault{.bundle = std::string(slot.bundle, strnlen(slot.bundle, sizeof slot.bundle)), .at_us = slot.fault_at_us};
  fault.how = slot.fault == kHung ? "it ran for more than " + std::to_string(slot.limit_us / 1'000'000) + " s"
                                  : "signal " + std::to_string(slot.fault);
  return fault;
}

}  // namespace

Result<std::unique_ptr<CallMarks>> CallMarks::Create(const std::string& path, const Clock& clock) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return FailErrno("open", path, errno);
  void* memory = MAP_FAILED;
  // Room on the disk now, for a full one would end the process at the first mark.
  int error = posix_fallocate(fd, 0, sizeof(File));
  if (error == 0 && (memory = mmap(nullptr, sizeof(File), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) == MAP_FAILED) error = errno;
  if (error != 0) {
    close(fd);
    return FailErrno("map", path, error);
  }
  new (memory) File;
  return std::unique_ptr<CallMarks>(new CallMarks(fd, memory, clock));
}

CallMarks::~CallMarks() {
  munmap(memory_, sizeof(File));
  close(fd_);
}

void* CallMarks::SlotOfThisThread() {
  if (slot_owner != this) {
    slot_owner = this;
    auto* file = static_cast<File*>(memory_);
    const std::uint64_t place = file->taken++;
    slot_of_thread = place < kSlots ? &file->slots[place] : nullptr;
    if (!handler_stack) GiveHandlerAStack();
  }
  return slot_of_thread;
}

CallMarks::Mark CallMarks::Begin(const std::string& bundle, std::int64_t limit_us) {
  auto* slot = static_cast<Slot*>(SlotOfThisThread());
  if (slot == nullptr) return Mark(nullptr);
  std::strncpy(slot->bundle, bundle.c_str(), sizeof slot->bundle - 1);
  slot->limit_us = limit_us;
  slot->begun_us.store(clock_.MonotonicUs(), std::memory_order_release);
  return Mark(slot);
}

CallMarks::Mark::~Mark() {
  if (slot_ != nullptr) static_cast<Slot*>(slot_)->begun_us.store(0, std::memory_order_release);
}

void CallMarks::CatchCrashes() {
  struct sigaction action {};
  action.sa_handler = OnCrash;
  action.sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER;
  for (int signal_number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) sigaction(signal_number, &action, nullptr);
}

std::optional<Fault> CallMarks::FindOverdue() {
  const std::int64_t now_us = clock_.MonotonicUs();
  for (Slot& slot : static_cast<File*>(memory_)->slots) {
    const std::int64_t begun_us = slot.begun_us.load(std::memory_order_acquire);
    if (begun_us == 0 || now_us - begun_us <= slot.limit_us) continue;
    slot.fault = kHung;
    slot.fault_at_us = WallUs();
    return FaultOf(slot);
  }
  return std::nullopt;
}

std::vector<Fault> ReadFaults(Files& files, const std::string& path) {
  const auto bytes = files.Read(path, sizeof(File));
  if (!bytes || bytes->size() != sizeof(File)) return {};
  const auto file = std::make_unique<File>();
  std::memcpy(static_cast<void*>(file.get()), bytes->data(), sizeof(File));
  std::vector<Fault> faults;
  for (const Slot& slot : file->slots)
    if (slot.fault != 0 && slot.begun_us != 0) faults.push_back(FaultOf(slot));
  return faults;
}

}  // namespace ratchet::serving
