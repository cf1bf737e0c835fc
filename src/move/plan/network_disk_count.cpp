// SPDX-License-Identifier: Apache-2.0
#include "move/plan/network_disk_count.h"

#include <set>

namespace drover::move {

Status check_few(std::span<const std::string> targets) {
  if (targets.size() > kNetworkDisksMost) {
    return fail(ErrorCode::kPolicy, "These are {} network disks; a move has at most {}.",
                targets.size(), kNetworkDisksMost);
  }
  std::set<std::string> seen;
  for (const std::string& target : targets) {
    if (!seen.insert(target).second)
      return fail(ErrorCode::kPolicy, "Two network disks are called {}.", target);
  }
  return {};
}

Status check_few(std::span<const DiskFacts> disks) {
  std::vector<std::string> targets;
  for (const DiskFacts& facts : disks) targets.push_back(facts.disk.target);
  return check_few(targets);
}

}  // namespace drover::move
