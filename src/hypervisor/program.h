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
#include "base/unique_fd.h"

namespace drover {

struct ProgramCall {
  std::vector<std::string> arguments;  // [0] is the program, looked up in a fixed PATH
  std::string name = {};               // in messages; empty: its first two words
  int descriptor = -1;                 // handed over as descriptor 3; -1: none
  std::chrono::milliseconds limit{10'000};
  std::size_t output_bytes_max = 1u << 20;
};

// Its standard output. kSystem: it could not run or exited with an error (its last words are the
// cause); kTimeout: it was killed at the limit; kInvalidArgument: it wrote more than allowed, and
// was killed.
Result<std::string> run_program(const ProgramCall& call);

// A program that runs until it ends by itself or this object does. What it says is thrown away, but
// for its complaints where they are kept.
class RunningProgram {
 public:
  enum class Complaints { kDrop, kKeep };
  // call.limit and call.output_bytes_max mean nothing here.
  static Result<RunningProgram> start(const ProgramCall& call,
                                      Complaints complaints = Complaints::kDrop);
  RunningProgram(RunningProgram&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        name_(std::move(other.name_)),
        complaints_(std::move(other.complaints_)),
        status_(other.status_) {}
  RunningProgram& operator=(RunningProgram&&) = delete;
  ~RunningProgram();  // kills it

  bool ended();
  // SIGTERM; it may take its time.
  void ask_to_end();
  // kSystem: it exited with an error; its kept complaints are the cause. REQUIRES: it has ended.
  Status result() const;
  // -1: a signal ended it. REQUIRES: it has ended.
  int exit_code() const;

 private:
  RunningProgram(pid_t pid, std::string name, UniqueFd complaints)
      : pid_(pid), name_(std::move(name)), complaints_(std::move(complaints)) {}
  pid_t pid_;  // -1: it was waited for
  std::string name_;
  UniqueFd complaints_;  // a file in memory; none: thrown away
  int status_ = 0;       // as waitpid(2) gave it
};

}  // namespace drover
