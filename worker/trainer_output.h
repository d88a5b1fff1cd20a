#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "worker/step_error.h"

namespace ratchet::worker {

// The folder that a trainer's command leaves its files in, taken for what it is: a stranger's. No symbolic link in it
// is followed, nothing but a regular file is read, and no open ever waits (a fifo would keep its reader for good). To
// be used when nothing of the command runs any more. Every fault is the user's unless the disk is at fault. One thread.
class TrainerOutput {
 public:
  // Folder `name` in `parent`, which only the step itself can have changed.
  static std::expected<TrainerOutput, StepError> Open(const std::string& parent, const std::string& name);
  TrainerOutput(TrainerOutput&& other) noexcept;
  TrainerOutput& operator=(TrainerOutput&&) = delete;
  ~TrainerOutput();

  std::expected<std::string, StepError> Read(const std::string& name, std::uint64_t limit_bytes) const;

  // The file becomes `target`, an absolute path on the same file system. It must have no other name: a hard link that
  // the trainer kept would be a second way to it.
  std::expected<void, StepError> Move(const std::string& name, const std::string& target) const;

 private:
  explicit TrainerOutput(int folder) : folder_(folder) {}
  int folder_;
};

}  // namespace ratchet::worker
