// SPDX-License-Identifier: Apache-2.0
// How `drover` ends, and what it says about errors. The table stands in docs/cli.md too.
#pragma once

#include <string>

#include "base/error.h"
#include "model/move.h"

namespace drover::cli {

enum class ExitCode {
  kDone = 0,
  kFailed = 1,         // the operation failed or was cancelled; the VM is where it was
  kNotDone = 2,        // wrong usage, blocked, or not confirmed; nothing was changed
  kNotFound = 3,       // no such VM, host, move, token
  kUnreachable = 4,    // droverd, or the host that it had to ask, does not answer
  kNotAllowed = 5,     // the caller or the host lacks the right
  kParked = 6,         // a person has to look: `drover show MOVE`
  kInterrupted = 130,  // Ctrl-C; what was started goes on
};

ExitCode exit_code(ErrorCode code);
ExitCode exit_code(MoveState state);

// The message, then each cause indented below the one it explains.
std::string error_text(const Error& error);

}  // namespace drover::cli
