// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace drover {
namespace {

struct NamedCode {
  ErrorCode code;
  std::string_view name;
};

constexpr std::array kCodes{
    NamedCode{ErrorCode::kInvalidArgument, "INVALID_ARGUMENT"},
    NamedCode{ErrorCode::kNotFound, "NOT_FOUND"},
    NamedCode{ErrorCode::kConflict, "CONFLICT"},
    NamedCode{ErrorCode::kPermission, "PERMISSION"},
    NamedCode{ErrorCode::kUnauthenticated, "UNAUTHENTICATED"},
    NamedCode{ErrorCode::kBlocked, "BLOCKED"},
    NamedCode{ErrorCode::kUnavailable, "UNAVAILABLE"},
    NamedCode{ErrorCode::kTimeout, "TIMEOUT"},
    NamedCode{ErrorCode::kCancelled, "CANCELLED"},
    NamedCode{ErrorCode::kRefused, "REFUSED"},
    NamedCode{ErrorCode::kInDoubt, "IN_DOUBT"},
    NamedCode{ErrorCode::kProtocol, "PROTOCOL"},
    NamedCode{ErrorCode::kPolicy, "POLICY"},
    NamedCode{ErrorCode::kNoSpace, "NO_SPACE"},
    NamedCode{ErrorCode::kHypervisor, "HYPERVISOR"},
    NamedCode{ErrorCode::kSystem, "SYSTEM"},
    NamedCode{ErrorCode::kCorrupt, "CORRUPT"},
    NamedCode{ErrorCode::kInternal, "INTERNAL"},
};

}  // namespace

std::string_view error_code_name(ErrorCode code) {
  for (const auto& entry : kCodes) {
    if (entry.code == code) return entry.name;
  }
  return "INTERNAL";
}

ErrorCode error_code_from_name(std::string_view name) {
  for (const auto& entry : kCodes) {
    if (entry.name == name) return entry.code;
  }
  return ErrorCode::kInternal;
}

std::string Error::text() const {
  std::string out = message;
  for (const auto& cause : causes) out += " (" + cause + ")";
  return out;
}

std::unexpected<Error> fail_errno(std::string what) { return fail_errno(std::move(what), errno); }

std::unexpected<Error> fail_errno(std::string what, int errno_value) {
  Error error{ErrorCode::kSystem, Retry::kNever, std::move(what) + ": ", {}};
  error.message += std::strerror(errno_value);
  error.message += ".";
  if (errno_value == ENOSPC || errno_value == EDQUOT) error.code = ErrorCode::kNoSpace;
  if (errno_value == ENOENT) error.code = ErrorCode::kNotFound;
  error.causes.push_back(fmt::format("errno {}", errno_value));
  return std::unexpected(std::move(error));
}

Error wrap(Error inner, std::string message) {
  inner.causes.insert(inner.causes.begin(), std::move(inner.message));
  inner.message = std::move(message);
  return inner;
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "CHECK failed: %s at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace drover
