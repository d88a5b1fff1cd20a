#include "worker/step_error.h"

#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/files.h"

namespace ratchet::worker {

std::string_view ErrorClassName(ErrorClass error_class) {
  switch (error_class) {
    case ErrorClass::kUser:
      return "user";
    case ErrorClass::kOutOfMemory:
      return "out_of_memory";
    case ErrorClass::kTimeout:
      return "timeout";
    case ErrorClass::kDiskQuota:
      return "disk_quota";
    case ErrorClass::kSignal:
      return "signal";
    case ErrorClass::kCancelled:
      return "cancelled";
    case ErrorClass::kPruned:
      return "pruned";
    case ErrorClass::kLost:
      return "lost";
    case ErrorClass::kInternal:
      return "internal";
  }
  return "internal";
}

std::optional<ErrorClass> ParseErrorClass(std::string_view name) {
  for (const auto one : {ErrorClass::kUser, ErrorClass::kOutOfMemory, ErrorClass::kTimeout, ErrorClass::kDiskQuota,
                         ErrorClass::kSignal, ErrorClass::kCancelled, ErrorClass::kPruned, ErrorClass::kLost, ErrorClass::kInternal})
    if (ErrorClassName(one) == name) return one;
  return std::nullopt;
}

std::unexpected<StepError> UserFault(std::string message, std::string hint) {
  return std::unexpected(StepError{ErrorClass::kUser, std::move(message), std::move(hint)});
}

std::unexpected<StepError> InternalFault(std::string message, std::string hint) {
  return std::unexpected(StepError{ErrorClass::kInternal, std::move(message), std::move(hint)});
}

StepError FromError(const Error& error) {
  const bool of_the_input = error.code == ErrorCode::kInvalid || error.code == ErrorCode::kTooLarge;
  Error without_hint = error;
  without_hint.hint.clear();
  return {of_the_input ? ErrorClass::kUser : ErrorClass::kInternal, without_hint.Message(), error.hint};
}

nlohmann::json ErrorToJson(const StepError& error) {
  return {{"class", ErrorClassName(error.error_class)}, {"message", error.message}, {"hint", error.hint}};
}

std::string BytesText(std::uint64_t bytes) {
  constexpr double kKib = 1024;
  const double size = static_cast<double>(bytes);
  if (size >= kKib * kKib * kKib) return fmt::format("{:.1f} GiB", size / (kKib * kKib * kKib));
  if (size >= kKib * kKib) return fmt::format("{:.0f} MiB", size / (kKib * kKib));
  if (size >= kKib) return fmt::format("{:.0f} KiB", size / kKib);
  return fmt::format("{} bytes", bytes);
}

namespace {

Status WriteUnsynced(const std::string& path, const std::string& text) {
  const auto made = path + ".tmp";
  const int fd = open(made.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return FailErrno("make", made, errno);
  const ssize_t written = write(fd, text.data(), text.size());
  int why = written == static_cast<ssize_t>(text.size()) ? 0 : written < 0 ? errno : ENOSPC;
  close(fd);
  if (why == 0 && rename(made.c_str(), path.c_str()) != 0) why = errno;
  if (why != 0) return FailErrno("write", path, why);
  return {};
}

}  // namespace

Status WriteResult(const std::string& folder, const StepOutcome& outcome, ResultSync sync) {
  nlohmann::json result = outcome ? *outcome : outcome.error().details;
  result["format"] = 1;
  result["outcome"] = outcome ? "succeeded" : "failed";
  if (!outcome) result["error"] = ErrorToJson(outcome.error());
  // Bytes that are no UTF-8 (a trainer's last words) are replaced, never a reason to lose the result.
  const auto text = result.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto path = folder + "/result.json";
  if (sync == ResultSync::kNone) return WriteUnsynced(path, text + "\n");
  return SystemFiles().WriteAtomic(path, text + "\n");
}

}  // namespace ratchet::worker
