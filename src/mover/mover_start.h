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
  std::vector<UniqueFd> images;  // destination only: this move's own, open for reading
  UniqueFd writes;               // destination only; none: no record of what is written
};

Result<MoverStart> read_mover_start(net::ProgramStart start);

// Members of the start message: how many held files there are of this VM, and of its group; how
// many images of this move.
inline constexpr const char* kHeldMember = "held";
inline constexpr const char* kGroupMember = "group";
inline constexpr const char* kImagesMember = "images";
// Descriptors of kept memory (docs/residue.md), both or none: the source writes, the destination
// reads.
inline constexpr const char* kKeptName = "kept";
inline constexpr const char* kKeptKeyName = "kept_key";
// The name of such a file's descriptor: "held0", "held1", ..., "group0", ...
std::string file_name(const char* member, std::size_t number);

std::string_view role_name(Role role);  // "source", "destination"
Result<Role> role_from_name(std::string_view name);

}  // namespace drover::mover
