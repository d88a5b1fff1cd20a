#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ratchet {

// What kind of failure this is, as far as a caller may act on it. The HTTP API maps each to one status and problem type.
enum class ErrorCode {
  kInvalid,      // the request, file or spec is wrong; the same call will fail again
  kNotFound,     // no such thing
  kConflict,     // the thing is in another state than the call needs, or exists already
  kDenied,       // not allowed
  kTooLarge,     // over a named limit
  kOverloaded,   // a queue or pool is full; try again later
  kUnavailable,  // a part that is needed is not there right now, or the disk is full; try again later
  kTimeout,      // did not end in the time given
  kCorrupt,      // bytes on disk or on the wire are not what they should be
  kIo,           // the operating system refused: permission, a failing disk, …
  kInternal,     // a defect in Ratchet
};

// One thing wrong with one place of an input.
struct FieldError {
  std::string field;  // path of the key, e.g. "data.split.holdout"; empty for the whole
  int line = 0;       // 1-based line of the text that was given; 0 = unknown
  std::string detail;
};

// A failure as a value: operation, subject, cause and hint make one sentence. Returned upwards, logged once at the top.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string operation;  // what was being done: "open pack"
  std::string subject;    // to what: a path, a name
  std::string cause;      // why it failed
  std::string hint;       // what the reader can do; may be empty
  std::string field;      // the input field at fault; may be empty
  int line = 0;           // its line; 0 = unknown
  std::vector<FieldError> details = {};  // every fault found, where there can be many

  // "open pack /x/y: not a database. Push the file again."
  std::string Message() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

std::string_view ErrorCodeName(ErrorCode code);  // "not-found", as in problem types

// Shorthands for the commonest shapes.
std::unexpected<Error> Fail(ErrorCode code, std::string operation, std::string subject, std::string cause,
                            std::string hint = {});
// From errno of a failed system call: ENOENT → kNotFound, ENOSPC and EDQUOT → kUnavailable, all else → kIo.
std::unexpected<Error> FailErrno(std::string operation, std::string subject, int error_number);

}  // namespace ratchet

// Returns the error of `expr` from the enclosing function, if it has one.
#define RATCHET_TRY(expr)                                                  \
  do {                                                                     \
    if (auto ratchet_status_ = (expr); !ratchet_status_) [[unlikely]]      \
      return std::unexpected(std::move(ratchet_status_).error());          \
  } while (false)

// RATCHET_ASSIGN(auto x, Call()): x is the value, or the error is returned.
#define RATCHET_ASSIGN_CAT2(a, b) a##b
#define RATCHET_ASSIGN_CAT(a, b) RATCHET_ASSIGN_CAT2(a, b)
#define RATCHET_ASSIGN(lhs, expr) RATCHET_ASSIGN_IMPL(RATCHET_ASSIGN_CAT(ratchet_result_, __LINE__), lhs, expr)
#define RATCHET_ASSIGN_IMPL(tmp, lhs, expr)                          \
  auto tmp = (expr);                                                 \
  if (!tmp) [[unlikely]] return std::unexpected(std::move(tmp).error()); \
  lhs = std::move(*tmp)

// Stays on in release builds: a programmer's error ends the process with the place and the condition.
#define RATCHET_CHECK(condition) \
  ((condition) ? (void)0 : ::ratchet::CheckFailed(#condition, __FILE__, __LINE__))

namespace ratchet {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);
}  // namespace ratchet
