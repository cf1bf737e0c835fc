// SPDX-License-Identifier: Apache-2.0
// Starts a program that outlives us, and speaks first with it over descriptor 3 (docs/processes.md,
// "How they are started"). Both sides: start_program in droverd, receive_start in the program. Any
// thread.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <sys/types.h>

#include "base/deadline.h"
#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::net {

inline constexpr int kControlDescriptor = 3;

struct ChildProgram {
  std::filesystem::path path;          // absolute
  std::vector<std::string> arguments;  // without the program's own name; never secrets
};

// Forks twice and execs in a new session: descriptors 0 and 1 are /dev/null, 2 is ours, 3 is the
// other end of the result, all else is closed; signals are reset. The program is no child of ours
// afterwards. An exec that fails is reported here.
Result<UniqueFd> spawn_detached(const ChildProgram& program);

struct NamedFd {
  std::string name;
  int fd = -1;  // stays the caller's
};

struct StartedProgram {
  UniqueFd channel;  // to the program; for ControlClient
  pid_t pid = -1;
};

// spawn_detached, then the start message (an object; "fds" is added here), then waits for "ready".
// The error of a "failed" answer, or kUnavailable when the program died first.
Result<StartedProgram> start_program(const ChildProgram& program, nlohmann::json start,
                                     std::span<const NamedFd> descriptors, Deadline deadline);

// In the program: what came in the first packet.
struct ProgramStart {
  std::string text;  // the start message, for parse_message
  std::map<std::string, UniqueFd> descriptors;

  // Hands over a descriptor by name; kProtocol when it was not sent.
  Result<UniqueFd> take(const std::string& name);
};
Result<ProgramStart> receive_start(int channel, Deadline deadline);
Status answer_ready(int channel, Deadline deadline);
// Best effort: the program exits next.
void answer_failed(int channel, const Error& error);

}  // namespace drover::net
