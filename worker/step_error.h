#pragma once

#include <cstdint>
#include <expected>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ratchet::worker {

// Who or what is at fault when a step fails; see docs/formats.md, "Step folder". Only kUser is never worth a retry.
enum class ErrorClass { kUser, kOutOfMemory, kTimeout, kDiskQuota, kSignal, kCancelled, kPruned, kLost, kInternal };

std::string_view ErrorClassName(ErrorClass error_class);  // "out_of_memory"
std::optional<ErrorClass> ParseErrorClass(std::string_view name);

struct StepError {
  ErrorClass error_class = ErrorClass::kInternal;
  std::string message;                                // what happened
  std::string hint;                                   // what to do; may be empty
  nlohmann::json details = nlohmann::json::object();  // more fields of result.json, beside `error`
  int signal = 0;                                     // that ended the process at fault; 0: none did, or it is not known
};

// The fields of a step's result.json beside `format` and `outcome`.
using StepOutcome = std::expected<nlohmann::json, StepError>;

std::unexpected<StepError> UserFault(std::string message, std::string hint = {});
std::unexpected<StepError> InternalFault(std::string message, std::string hint = {});

// An error of another room: what the input is to blame for is the user's, all else internal.
StepError FromError(const Error& error);

nlohmann::json ErrorToJson(const StepError& error);

// "2.0 GiB", "512 MiB", "10 bytes".
std::string BytesText(std::uint64_t bytes);

// How durable: kNone is for steps that cost less than a sync does. After a loss of power such a result may be missing or
// there in part, and then the step is lost and runs again.
enum class ResultSync { kNone, kContentAndName };

// Writes FOLDER/result.json, the last act of a step that ran to its end. Atomic.
Status WriteResult(const std::string& folder, const StepOutcome& outcome,
                   ResultSync sync = ResultSync::kContentAndName);

}  // namespace ratchet::worker

// As RATCHET_TRY and RATCHET_ASSIGN, in a function that returns a StepError, around calls that return an Error.
#define RATCHET_STEP_TRY(expr)                                                       \
  do {                                                                               \
    if (auto ratchet_status_ = (expr); !ratchet_status_) [[unlikely]]                \
      return std::unexpected(::ratchet::worker::FromError(ratchet_status_.error())); \
  } while (false)
#define RATCHET_STEP_ASSIGN(lhs, expr) \
  RATCHET_STEP_ASSIGN_IMPL(RATCHET_ASSIGN_CAT(ratchet_result_, __LINE__), lhs, expr)
#define RATCHET_STEP_ASSIGN_IMPL(tmp, lhs, expr)                       \
  auto tmp = (expr);                                                   \
  if (!tmp) [[unlikely]]                                               \
    return std::unexpected(::ratchet::worker::FromError(tmp.error())); \
  lhs = std::move(*tmp)
