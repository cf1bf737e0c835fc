// SPDX-License-Identifier: Apache-2.0
#include "archive/image_convert.h"

#include <chrono>
#include <thread>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor/program.h"

namespace drover::archive {
namespace {

using namespace std::chrono_literals;

// The end of a small disk is noticed soon, that of a large one without asking often.
constexpr auto kLookLeast = 2ms, kLookMost = 100ms;
constexpr auto kMakeLimit = 30s;

Status make(const ConvertCall& call, int to) {
  if (call.to_format == "raw") {
    if (::ftruncate(to, static_cast<off_t>(call.virtual_size.bytes)) != 0)
      return fail_errno("Cannot size the exported image");
    return {};
  }
  std::string options = "compat=1.1";
  if (call.cluster_size.bytes != 0)
    options += fmt::format(",cluster_size={}", call.cluster_size.bytes);
  RETURN_IF_ERROR(
      run_program({.arguments = {"qemu-img", "create", "-q", "-f", call.to_format, "-o", options,
                                 "/proc/self/fd/3", std::to_string(call.virtual_size.bytes)},
                   .descriptor = to,
                   .limit = kMakeLimit}));
  return {};
}

ByteCount occupied(int file) {
  struct stat found{};
  if (::fstat(file, &found) != 0) return {};
  return {static_cast<std::uint64_t>(found.st_blocks) * 512};
}

}  // namespace

Status convert_image(const ConvertCall& call, int to,
                     const std::function<Status(ByteCount written)>& watch) {
  RETURN_IF_ERROR(make(call, to));
  // -n and --target-is-zero: it is there, and new. -W: in any order, which lets it keep more
  // requests under way.
  ProgramCall program;
  program.arguments = {
      "setpriv", "--pdeathsig",      "KILL", "--", "qemu-img",       "convert", "-q",
      "-n",      "--target-is-zero", "-W",   "-f", call.from_format, "-O",      call.to_format};
  if (call.bandwidth.value != 0) {
    program.arguments.emplace_back("-r");
    program.arguments.push_back(std::to_string(call.bandwidth.value));
  }
  program.arguments.push_back(call.from);
  program.arguments.emplace_back("/proc/self/fd/3");
  program.descriptor = to;
  ASSIGN_OR_RETURN(RunningProgram running,
                   RunningProgram::start(program, RunningProgram::Complaints::kKeep));
  std::chrono::milliseconds pause = kLookLeast;
  while (!running.ended()) {
    RETURN_IF_ERROR(watch(occupied(to)));
    std::this_thread::sleep_for(pause);
    pause = std::min<std::chrono::milliseconds>(pause * 2, kLookMost);
  }
  RETURN_IF_ERROR(running.result());
  if (::fsync(to) != 0) return fail_errno("Cannot sync the exported image");
  return {};
}

}  // namespace drover::archive
