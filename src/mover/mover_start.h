// SPDX-License-Identifier: Apache-2.0
// The start message of a mover, checked: docs/processes.md, "drover-mover".
#pragma once

#include <memory>
#include <string>

#include "mover/session.h"
#include "net/child_process.h"

namespace drover::mover {

struct MoverStart {
  std::string move;
  SessionOptions options;
  bool sandbox = true;
  std::unique_ptr<PskKey> key;
  UniqueFd control;
  UniqueFd rpc;
  UniqueFd gate;
  UniqueFd memory;  // source only, as the next
  UniqueFd disks;
  UniqueFd writes;  // destination only; none: no record of what is written
};

Result<MoverStart> read_mover_start(net::ProgramStart start);

// A held file's descriptor among the start message's: "held0", "held1", ...
std::string held_name(std::size_t number);

std::string_view role_name(Role role);  // "source", "destination"
Result<Role> role_from_name(std::string_view name);

}  // namespace drover::mover
