// SPDX-License-Identifier: Apache-2.0
// The options that plan and move share. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "model/plan.h"

namespace drover::cli {

struct RequestOptions {
  std::string disks_to;
  std::string to_storage;          // folder or pool, of a storage move
  std::vector<std::string> items;  // "vda=FOLDER", of a storage move or at the destination
  bool offline = false;
  bool quick = false;
  bool flatten = false;
  std::string format;      // of images that are copied; empty: stays
  std::string allocation;  // likewise; empty: holes stay holes
  bool delete_now = false;
  bool keep_source = false;
  std::string media;                             // empty: what the destination has is used
  std::string performance;                       // empty: as the source's settings say
  std::optional<unsigned> parallel_connections;  // of QEMU's; nothing: one stream
  std::string bandwidth;                         // likewise
  std::string convergence;                       // likewise
  std::string networks;                          // likewise
  std::vector<std::string> interfaces;           // "lan=prod"
  std::string group;                             // empty: none
  std::string keep_residue;                      // likewise
  std::string begin;                             // empty: when its turn comes
  std::string window;                            // empty: it may switch at any time
  bool no_references = false;
  bool no_measure = false;
  std::string verify;               // empty: as-sent
  std::optional<unsigned> retries;  // nothing: as the source's settings say

  void add_to(CLI::App& command);
  bool destination_named = false;  // by the command's other words

  // Disks move within their host.
  bool storage() const { return !to_storage.empty() || (!items.empty() && !destination_named); }
  // kInvalidArgument: of what was typed.
  Result<MoveRequest> request(const std::string& vm_uuid, const std::string& destination) const;
};

// "lan=prod" each. kInvalidArgument names the one that is none.
Result<std::vector<InterfacePlace>> parse_interface_places(const std::vector<std::string>& texts);

}  // namespace drover::cli
