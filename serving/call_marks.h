#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"

namespace ratchet::serving {

// A death of the process that was a model's doing.
struct Fault {
  std::string bundle;      // SHA-256 of its manifest
  std::string how;         // "signal 11", "it ran for more than 30 s"; one line
  std::int64_t at_us = 0;  // wall time

  bool operator==(const Fault&) const = default;
};

// Which calls of models are under way, in a file that the process maps: it is still there when a call has taken the
// process with it. A mark costs two stores into memory. A thread that runs models has a place of its own in the file.
class CallMarks {
 public:
  // Begins the file anew. `clock` outlives it.
  static Result<std::unique_ptr<CallMarks>> Create(const std::string& path, const Clock& clock);
  ~CallMarks();
  CallMarks(const CallMarks&) = delete;
  CallMarks& operator=(const CallMarks&) = delete;

  // One call, on this thread, from Begin until it goes out of scope. Not nested.
  class Mark {
   public:
    ~Mark();
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;

   private:
    friend class CallMarks;
    explicit Mark(void* slot) : slot_(slot) {}
    void* const slot_;
  };
  Mark Begin(const std::string& bundle, std::int64_t limit_us);

  // From now on a crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) is noted in the mark of the thread that made it; then
  // the process ends of it as ever. Being killed from outside is nobody's fault. Once per process.
  static void CatchCrashes();

  // Looks for a call that is over its limit. Notes it in the file and gives it.
  std::optional<Fault> FindOverdue();

 private:
  CallMarks(int fd, void* memory, const Clock& clock) : fd_(fd), memory_(memory), clock_(clock) {}
  void* SlotOfThisThread();

  const int fd_;
  void* const memory_;
  const Clock& clock_;
};

// What the process that had this file left in it; nothing where there is no such file.
std::vector<Fault> ReadFaults(Files& files, const std::string& path);

}  // namespace ratchet::serving
