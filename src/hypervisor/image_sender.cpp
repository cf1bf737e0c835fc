// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_sender.h"

#include <nlohmann/json.hpp>

#include "hypervisor/volume_pool.h"

namespace drover {

namespace {

std::string volume_words(const ImageSendCall& call) {
  const nlohmann::json volume{
      {"driver", "raw"},
      {"size", call.volume->bytes},
      {"file", {{"driver", storage_driver(call.path)}, {"filename", call.path}}}};
  return "json:" + volume.dump();
}

}  // namespace

// Read by its path, as its layers are; qemu-img holds QEMU's own lock against writers meanwhile.
Result<ImageSender> ImageSender::start(const ImageSendCall& call) {
  if (!call.volume) {
    ASSIGN_OR_RETURN(const FileIdentity found, file_identity(call.path));
    if (found != call.identity)
      return fail(ErrorCode::kConflict, "{} is another file by now.", call.path);
  }
  const nlohmann::json exported{{"driver", "nbd"},
                                {"server", {{"type", "unix"}, {"path", call.socket.string()}}},
                                {"export", call.name}};
  const nlohmann::json target{{"driver", "raw"}, {"file", exported}};
  // -n: it is there. -W: many writes are on their way at once.
  ProgramCall program;
  program.arguments = {"setpriv", "--pdeathsig", "KILL", "--", "qemu-img", "convert", "-q",
                       "-n",      "-W",          "-m",   "8",  "-O",       "raw"};
  auto& words = program.arguments;
  if (call.there == ImageSendCall::Export::kIsZero) words.emplace_back("--target-is-zero");
  if (!call.volume) words.insert(words.end(), {"-f", call.format});
  words.push_back(call.volume ? volume_words(call) : call.path);
  words.push_back("json:" + target.dump());
  ASSIGN_OR_RETURN(RunningProgram running,
                   RunningProgram::start(program, RunningProgram::Complaints::kKeep));
  return ImageSender(std::move(running));
}

}  // namespace drover
