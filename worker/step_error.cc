#include "worker/step_error.h"

#include <spdlog/fmt/fmt.h>

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
    case ErrorClass::kInternal:
      return "internal";
  }
  return "internal";
}

std::optional<ErrorClass> ParseErrorClass(std::string_view name) {
  for (const auto one :
       {ErrorClass::kUser, ErrorClass::kOutOfMemory, ErrorClass::kTimeout, ErrorClass::kDiskQuota, ErrorClass::kSignal,
        ErrorClass::kCancelled, ErrorClass::kPruned, ErrorClass::kInternal})
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

Status WriteResult(const std::string& folder, const StepOutcome& outcome) {
  nlohmann::json result = outcome ? *outcome : outcome.error().details;
  result["format"] = 1;
  result["outcome"] = outcome ? "succeeded" : "failed";
  if (!outcome) result["error"] = ErrorToJson(outcome.error());
  // Bytes that are no UTF-8 (a trainer's last words) are replaced, never a reason to lose the result.
  const auto text = result.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
  return SystemFiles().WriteAtomic(folder + "/result.json", text + "\n");
}

}  // namespace ratchet::worker
