// SPDX-License-Identifier: Apache-2.0
// Where a VM's interfaces go at a destination: what was asked for, and what earlier moves to that
// host said (docs/networks.md). Any thread.
#pragma once

#include <span>
#include <vector>

#include "base/error.h"
#include "model/plan.h"
#include "move/world.h"
#include "preflight/preflight.h"

namespace drover::move {

// What the view's request says, and what is remembered of the destination where that says something
// about an interface that the request does not. Of this destination only: the request stays as it
// was asked, for other candidates. REQUIRES: the view's definitions were read. kInvalidArgument:
// the request names what is not there, or twice, or nothing.
Result<std::vector<InterfacePlace>> choose_interfaces(World& world, const Peer& destination,
                                                      const preflight::SourceView& view);
// One note for each interface that goes elsewhere.
void note_interfaces(std::span<const InterfacePlace> chosen, const preflight::SourceView& view,
                     std::vector<Finding>& findings);

// At the source, once a move has been asked for: the next one to that host does the same.
Status remember_interfaces(World& world, const MoveRequest& request);
// At the destination, once the VM is there: the way back is the other way round, where that is
// known and nothing else was said. Only for names: what an interface was plugged into there is
// known by its name alone.
Status remember_way_back(World& world, std::string_view source,
                         std::span<const InterfacePlace> places);

// A warning where the clock of the other host, asked between these moments of ours, is far off.
void check_clock(const HostFacts& other, std::chrono::system_clock::time_point before,
                 std::chrono::system_clock::time_point after, std::vector<Finding>& findings);

}  // namespace drover::move
