// SPDX-License-Identifier: Apache-2.0
#include "fleet/lower_bound.h"

#include <algorithm>

#include "fleet/timetable.h"

namespace drover::fleet {
namespace {

struct OfSource {
  double bytes = 0;
  double seconds = 0;  // of its moves, one after the other
};

double slots_of(const FleetHost& host) { return std::min(host.live_moves, kAtOnceMost); }

}  // namespace

std::string_view LowerBound::which() const {
  if (longest >= links && longest >= slots) return "longest";
  return links >= slots ? "links" : "slots";
}

LowerBound lower_bound(const Fleet& fleet, const std::vector<VmIndex>& vms,
                       const std::vector<HostIndex>& destinations, const MoveTiming& timing) {
  LowerBound bound;
  double best_in = 0, all_in = 0, all_slots = 0;
  for (const HostIndex host : destinations) {
    const auto in = static_cast<double>(fleet.hosts[host].link_in.value);
    best_in = std::max(best_in, in);
    all_in += in;
    all_slots += slots_of(fleet.hosts[host]);
  }
  const Room room(fleet);
  std::vector<OfSource> sources(fleet.hosts.size());
  OfSource all;
  const double silent = (timing.prepare + timing.finish).count();
  for (const VmIndex index : vms) {
    const FleetVm& vm = fleet.vms[index];
    const HostIndex source = room.host(vm.host);
    const double rate = std::min(best_in, static_cast<double>(fleet.hosts[source].link_out.value));
    if (rate <= 0) continue;
    const Seconds alone = time_alone(vm, rate, timing);
    const double bytes = (alone.count() - silent) * rate;
    bound.longest = std::max(bound.longest, alone);
    for (OfSource* sum : {&sources[source], &all}) {
      sum->bytes += bytes;
      sum->seconds += alone.count();
    }
  }
  const auto raise = [&](const OfSource& sum, double link, double slots) {
    if (sum.bytes <= 0 || link <= 0 || slots <= 0) return;
    // The link is idle while the first is prepared, and after the last one's copy.
    bound.links = std::max(bound.links, Seconds(sum.bytes / link + silent));
    bound.slots = std::max(bound.slots, Seconds(sum.seconds / slots));
  };
  for (HostIndex i = 0; i < sources.size(); ++i)
    raise(sources[i], static_cast<double>(fleet.hosts[i].link_out.value), slots_of(fleet.hosts[i]));
  raise(all, all_in, all_slots);
  return bound;
}

}  // namespace drover::fleet
