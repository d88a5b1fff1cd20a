#include "base/result.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace ratchet {

std::string Error::Message() const {
  std::string text = operation;
  if (!subject.empty()) text += (text.empty() ? "" : " ") + subject;
  if (!cause.empty()) text += (text.empty() ? "" : ": ") + cause;
  if (!hint.empty()) text += ". " + hint;
  return text;
}

std::string_view ErrorCodeName(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid: return "invalid";
    case ErrorCode::kNotFound: return "not-found";
    case ErrorCode::kConflict: return "conflict";
    case ErrorCode::kDenied: return "denied";
    case ErrorCode::kTooLarge: return "too-large";
    case ErrorCode::kOverloaded: return "overloaded";
    case ErrorCode::kUnavailable: return "unavailable";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kInternal: return "internal";
  }
  return "internal";
}

std::unexpected<Error> Fail(ErrorCode code, std::string operation, std::string subject, std::string cause,
                            std::string hint) {
  return std::unexpected(Error{.code = code,
                               .operation = std::move(operation),
                               .subject = std::move(subject),
                               .cause = std::move(cause),
                               .hint = std::move(hint),
                               .field = {}});
}

std::unexpected<Error> FailErrno(std::string operation, std::string subject, int error_number) {
  std::string hint;
  bool full = error_number == ENOSPC || error_number == EDQUOT;
  if (full) hint = "Free some space on that disk and try again";
  if (error_number == EACCES || error_number == EPERM || error_number == EROFS) hint = "Check who may write there";
  ErrorCode code = error_number == ENOENT ? ErrorCode::kNotFound : full ? ErrorCode::kUnavailable : ErrorCode::kIo;
  return Fail(code, std::move(operation), std::move(subject),
              std::generic_category().message(error_number), std::move(hint));
}

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace ratchet
