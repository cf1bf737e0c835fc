// SPDX-License-Identifier: Apache-2.0
#include "exit_code.h"

#include <fmt/core.h>

#include "display_width.h"

namespace drover::cli {

ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kBlocked:
      return ExitCode::kNotDone;
    case ErrorCode::kNotFound:
      return ExitCode::kNotFound;
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
      return ExitCode::kUnreachable;
    case ErrorCode::kPermission:
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kPolicy:
      return ExitCode::kNotAllowed;
    case ErrorCode::kInDoubt:
      return ExitCode::kParked;
    default:
      return ExitCode::kFailed;
  }
}

ExitCode exit_code(MoveState state) {
  switch (state) {
    case MoveState::kRunning:
    case MoveState::kDone:
    case MoveState::kRehearsed:
      return ExitCode::kDone;
    case MoveState::kFailed:
    case MoveState::kCancelled:
      return ExitCode::kFailed;
    case MoveState::kParked:
      return ExitCode::kParked;
  }
  return ExitCode::kFailed;
}

std::string error_text(const Error& error) {
  std::string out = printable(error.message) + "\n";
  std::string indent = "  ";
  for (const std::string& cause : error.causes) {
    out += fmt::format("{}because: {}\n", indent, printable(cause));
    indent += "  ";
  }
  return out;
}

}  // namespace drover::cli
