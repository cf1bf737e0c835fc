// SPDX-License-Identifier: Apache-2.0
#include "fleet/link_shares.h"

#include <algorithm>

namespace drover::fleet {

LinkShares::LinkShares(const Fleet& fleet)
    : senders_(fleet.hosts.size()), sources_of_(fleet.hosts.size()) {
  for (const FleetHost& host : fleet.hosts) {
    link_out_.push_back(static_cast<double>(host.link_out.value));
    link_in_.push_back(static_cast<double>(host.link_in.value));
  }
}

void LinkShares::join(MoveIndex move, HostIndex source, HostIndex destination) {
  senders_[source].push_back({move, destination, 0});
  sources_of_[destination].push_back(source);
  touched_.insert(source);
  touch_senders_to(destination);
}

void LinkShares::leave(MoveIndex move, HostIndex source, HostIndex destination) {
  std::erase_if(senders_[source], [&](const Sender& sender) { return sender.move == move; });
  auto& sources = sources_of_[destination];
  sources.erase(std::ranges::find(sources, source));
  touched_.insert(source);
  touch_senders_to(destination);
}

void LinkShares::touch_senders_to(HostIndex destination) {
  touched_.insert(sources_of_[destination].begin(), sources_of_[destination].end());
}

std::vector<std::pair<MoveIndex, double>> LinkShares::changes() {
  std::vector<std::pair<MoveIndex, double>> changed;
  for (const HostIndex source : touched_) divide(senders_[source], link_out_[source], changed);
  touched_.clear();
  return changed;
}

// The most modest first: what it leaves of its equal part goes to those after it.
void LinkShares::divide(std::vector<Sender>& senders, double link,
                        std::vector<std::pair<MoveIndex, double>>& changed) const {
  const auto part_there = [&](const Sender& sender) {
    const auto others = static_cast<double>(sources_of_[sender.destination].size());
    return link_in_[sender.destination] / others;
  };
  std::ranges::sort(senders, [&](const Sender& a, const Sender& b) {
    return std::pair(part_there(a), a.move) < std::pair(part_there(b), b.move);
  });
  double left = link;
  for (std::size_t i = 0; i < senders.size(); ++i) {
    const double equal = left / static_cast<double>(senders.size() - i);
    const double share = std::min(equal, part_there(senders[i]));
    left -= share;
    if (share == senders[i].share) continue;
    senders[i].share = share;
    changed.emplace_back(senders[i].move, share);
  }
}

}  // namespace drover::fleet
