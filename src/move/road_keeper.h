// SPDX-License-Identifier: Apache-2.0
// The near ends of a mover's two local sockets in a move without gates (docs/processes.md, "Moves
// without gates"): nothing is said to libvirt there, streams of disks are connected to a server of
// images, and those of memory to files (file_sink.h). A thread of its own, joined by the
// destructor; with this object the mover's road ends.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/unique_fd.h"

namespace drover::move {

class RoadKeeper {
 public:
  // `rpc`, `gate`: the other ends of what the mover got under these names. `disks`: the socket to
  // which streams of the kind disks are connected; `take_file`: called for each of the kind memory.
  // On the source none is asked for.
  RoadKeeper(UniqueFd rpc, UniqueFd gate, std::filesystem::path disks,
             std::function<Result<UniqueFd>()> take_file);
  ~RoadKeeper();
  RoadKeeper(const RoadKeeper&) = delete;
  RoadKeeper& operator=(const RoadKeeper&) = delete;

 private:
  void serve(const std::stop_token& stop);
  void answer(const std::string& text);

  const UniqueFd rpc_, gate_;
  const std::filesystem::path disks_;
  const std::function<Result<UniqueFd>()> take_file_;
  std::jthread thread_;  // last: it uses what stands above
};

}  // namespace drover::move
