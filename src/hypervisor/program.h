// SPDX-License-Identifier: Apache-2.0
// Runs a short-lived program of the hypervisor's tools, with no shell between. Private to
// src/hypervisor. Any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

#include "base/error.h"

namespace drover {

struct ProgramCall {
  std::vector<std::string> arguments;  // [0] is the program, looked up in a fixed PATH
  int descriptor = -1;                 // handed over as descriptor 3; -1: none
  std::chrono::milliseconds limit{10'000};
  std::size_t output_bytes_max = 1u << 20;
};

// Its standard output. kSystem: it could not run or exited with an error (its last words are the
// cause); kTimeout: it was killed at the limit; kInvalidArgument: it wrote more than allowed, and
// was killed.
Result<std::string> run_program(const ProgramCall& call);

// A program that runs until it ends by itself or this object does. What it says is thrown away.
class RunningProgram {
 public:
  // call.limit and call.output_bytes_max mean nothing here.
  static Result<RunningProgram> start(const ProgramCall& call);
  RunningProgram(RunningProgram&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  RunningProgram& operator=(RunningProgram&&) = delete;
  ~RunningProgram();  // kills it

  bool ended();

 private:
  explicit RunningProgram(pid_t pid) : pid_(pid) {}
  pid_t pid_;  // -1: it was waited for
};

}  // namespace drover
