// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_sender.h"

#include <nlohmann/json.hpp>

namespace drover {

// Read by its path, as its layers are; qemu-img holds QEMU's own lock against writers meanwhile.
Result<ImageSender> ImageSender::start(const ImageSendCall& call) {
  ASSIGN_OR_RETURN(const FileIdentity found, file_identity(call.path));
  if (found != call.identity)
    return fail(ErrorCode::kConflict, "{} is another file by now.", call.path);
  const nlohmann::json exported{{"driver", "nbd"},
                                {"server", {{"type", "unix"}, {"path", call.socket.string()}}},
                                {"export", call.name}};
  const nlohmann::json target{{"driver", "raw"}, {"file", exported}};
  // -n and --target-is-zero: it is there, and new. -W: many writes are on their way at once.
  ProgramCall program;
  program.arguments = {"setpriv", "--pdeathsig", "KILL",
                       "--",      "qemu-img",    "convert",
                       "-q",      "-n",          "--target-is-zero",
                       "-W",      "-m",          "8",
                       "-f",      call.format,   "-O",
                       "raw",     call.path,     "json:" + target.dump()};
  ASSIGN_OR_RETURN(RunningProgram running,
                   RunningProgram::start(program, RunningProgram::Complaints::kKeep));
  return ImageSender(std::move(running));
}

}  // namespace drover
