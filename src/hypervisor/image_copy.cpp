// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace drover {
namespace {

Result<UniqueFd> open_meant(const std::string& path, const FileIdentity& meant, int flags) {
  UniqueFd file(::open(path.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(file.get(), path));
  if (!seen.regular) return fail(ErrorCode::kConflict, "{} is not a file.", path);
  if (seen.identity != meant) return fail(ErrorCode::kConflict, "{} is another file by now.", path);
  return file;
}

}  // namespace

Result<ImageCopy> ImageCopy::start(const ImageCopyCall& call) {
  ASSIGN_OR_RETURN(const UniqueFd from, open_meant(call.from, call.from_identity, O_RDONLY));
  ASSIGN_OR_RETURN(UniqueFd to, open_meant(call.to, call.to_identity, O_RDWR));
  // -n and --target-is-zero: it is there, and new.
  std::vector<std::string> arguments{
      "setpriv", "--pdeathsig",      "KILL", "--",        "qemu-img", "convert",  "-q",
      "-n",      "--target-is-zero", "-f",   call.format, "-O",       call.format};
  if (call.bandwidth.value != 0) {
    arguments.emplace_back("-r");
    arguments.push_back(std::to_string(call.bandwidth.value));
  }
  arguments.push_back(call.from);
  arguments.emplace_back("/proc/self/fd/3");
  ProgramCall program;
  program.arguments = std::move(arguments);
  program.descriptor = to.get();
  ASSIGN_OR_RETURN(RunningProgram running,
                   RunningProgram::start(program, RunningProgram::Complaints::kKeep));
  return ImageCopy(std::move(running), std::move(to), call.to);
}

ByteCount ImageCopy::written() const {
  struct stat found{};
  if (::fstat(to_.get(), &found) != 0) return {};
  return {static_cast<std::uint64_t>(found.st_blocks) * 512};
}

Status ImageCopy::result() {
  RETURN_IF_ERROR(program_.result());
  if (::fsync(to_.get()) != 0) return fail_errno("Cannot sync " + path_);
  return {};
}

}  // namespace drover
