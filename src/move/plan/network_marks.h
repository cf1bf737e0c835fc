// SPDX-License-Identifier: Apache-2.0
// The source's side of the proof that both hosts open the same network disks (network_disks.h):
// what it reads of them, and what it makes of the destination's answer. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "model/plan.h"
#include "move/plan/network_disks.h"
#include "preflight/preflight.h"

namespace drover::move {

// Marks of every network disk of the definition that can be reached from here.
struct NetworkMarks {
  struct One {
    std::string target, name;  // name: NetworkDisk::name()
    ByteCount size;
    std::vector<preflight::DiskMark> marks;
    std::string trouble;  // not empty: nothing can be proven, and why
  };
  std::vector<One> disks;

  static NetworkMarks read(std::string_view definition, const SecretReader& secrets);
  std::vector<preflight::DiskMark> all() const;
};

// Holds the destination's answer against what we read, and again against what is there now. The
// placements of disks that are proven get our name; of others, and of what the next boot alone
// would open, the report gets a blocker, if it has none.
void judge_network_disks(const preflight::SourceView& view, const NetworkMarks& ours,
                         const SecretReader& secrets, preflight::DestinationReport& report);

// Of the plan's network disks, for a reservation. An error: one cannot be read.
Result<std::vector<preflight::DiskMark>> network_marks_for(const Plan& plan,
                                                           std::string_view definition,
                                                           const SecretReader& secrets);

Finding network_disk_blocker(const std::string& target, std::string what, std::string why,
                             std::vector<std::string> fixes);

}  // namespace drover::move
