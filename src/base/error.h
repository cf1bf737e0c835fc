// SPDX-License-Identifier: Apache-2.0
// The one error value of Drover. Journal, API and CLI carry it unchanged; docs/errors.md lists the
// codes. Plain values: copy and pass them between threads freely.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

namespace drover {

// A closed list. Add a code here, in error_code_name and in docs/errors.md, all three.
enum class ErrorCode {
  kInvalidArgument,  // the request itself is wrong; nothing was changed
  kNotFound,         // no such VM, host, move, file
  kConflict,         // the object's state forbids it (already moving, exists, off)
  kPermission,       // the caller or the peer lacks the right
  kUnauthenticated,  // no or wrong token, key, certificate
  kBlocked,          // a plan has blockers
  kUnavailable,      // a daemon or peer does not answer
  kTimeout,          // a deadline passed
  kCancelled,        // a user asked for it
  kRefused,          // the destination recorded a refusal
  kInDoubt,          // it is not known which host runs the VM; nothing may be started
  kProtocol,         // bytes from elsewhere break the protocol
  kPolicy,           // the destination's policy or the gate refuses it
  kNoSpace,          // disk or memory is short
  kHypervisor,       // libvirt or QEMU reported it; causes hold its text
  kSystem,           // a system call failed; causes hold errno
  kCorrupt,          // stored data fails its checksum or schema
  kInternal,         // a fault of Drover's own
};

// The stable upper-case name, e.g. "NOT_FOUND".
std::string_view error_code_name(ErrorCode code);
// Inverse; unknown names give kInternal.
ErrorCode error_code_from_name(std::string_view name);

enum class Retry { kNever, kNow, kLater };

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  Retry retry = Retry::kNever;
  std::string message;  // one sentence that names the object, and the fix where there is one
  std::vector<std::string>
      causes;  // outermost first: libvirt's domain and text, errno, the peer's text

  // Message and causes on one line, for logs and terminals.
  std::string text() const;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = std::expected<void, Error>;

// fail(ErrorCode::kNotFound, "No VM is called {} on {}.", name, host)
template <typename... Args>
std::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> text, Args&&... args) {
  return std::unexpected(
      Error{code, Retry::kNever, fmt::format(text, std::forward<Args>(args)...), {}});
}

// A failed system call; `what` is a sentence without its end ("Cannot open /x"). Reads errno first
// thing.
std::unexpected<Error> fail_errno(std::string what);
std::unexpected<Error> fail_errno(std::string what, int errno_value);

// Puts a sentence in front; the former message becomes the first cause. Code and retry are kept.
Error wrap(Error inner, std::string message);

// A broken invariant of our own: log and abort. The journal makes this recoverable.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace drover

#define DROVER_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::drover::check_failed(#condition, __FILE__, __LINE__))

// RETURN_IF_ERROR(expr): leaves the function with the error of a Status or Result.
#define RETURN_IF_ERROR(expr)                                     \
  do {                                                            \
    if (auto drover_status = (expr); !drover_status) [[unlikely]] \
      return std::unexpected(std::move(drover_status).error());   \
  } while (false)

#define DROVER_CONCAT_(a, b) a##b
#define DROVER_CONCAT(a, b) DROVER_CONCAT_(a, b)

// ASSIGN_OR_RETURN(auto value, expr): value of a Result<T>, or leaves the function with its error.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_(DROVER_CONCAT(drover_result_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_(tmp, lhs, expr)           \
  auto tmp = (expr);                                \
  if (!tmp) [[unlikely]]                            \
    return std::unexpected(std::move(tmp).error()); \
  lhs = std::move(*tmp)
