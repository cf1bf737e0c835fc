// SPDX-License-Identifier: Apache-2.0
// Where a VM shall go: a host, several to be tried in order, or the best possible. What plan and
// move share. One thread.
#pragma once

#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "model/evacuation.h"
#include "session.h"

namespace drover::cli {

// "host2,host3": kInvalidArgument names an empty or repeated part.
Result<std::vector<std::string>> host_list(const std::string& words);

struct DestinationOptions {
  bool best = false;
  std::string among;  // hosts separated by commas; empty: every host

  void add_to(CLI::App& command);
  // kInvalidArgument: of what was typed. `named`: a destination was.
  Status check(bool named) const;
};

// The plan of a VM's move to `words`, or with --best to the best host, in view of `placed`, to
// which it is added. Prints the choice, unless as JSON. kBlocked: no host can take the VM.
Result<Plan> make_plan(const Session& session, FoundVm& found, MoveRequest request,
                       const std::string& words, const DestinationOptions& options,
                       std::vector<PlacedVm>& placed);

}  // namespace drover::cli
