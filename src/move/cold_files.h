// SPDX-License-Identifier: Apache-2.0
// The files that a quick or offline move carries as they are, beside the disks, each as one stream
// of the kind memory: both sides take them from the plan. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "model/plan.h"

namespace drover::move {

// A saved guest is one file, in two streams: its hypervisor writes the head again at the end.
inline constexpr std::string_view kItemStateHead = "state-head";
inline constexpr std::string_view kItemState = "state";
inline constexpr std::string_view kItemNvram = "nvram";

// In the order of their streams.
std::vector<std::string> cold_files(const Plan& plan);

// A quick or offline move: one without libvirt's migration.
bool is_cold(const Plan& plan);

// The most that a saved state may have: memory, and what else QEMU and libvirt write.
ByteCount state_bytes_max(const Plan& plan);
inline constexpr ByteCount kNvramBytesMax = mib(64);

// How long the head of libvirt's saved state is, from the first bytes of the file. kUnavailable:
// there are too few yet; kHypervisor: it is not such a file.
Result<std::uint64_t> state_head_bytes(std::string_view begin);
inline constexpr std::size_t kStateHeadLeast = 92;
// The head of a file that libvirt has finished. Errors as above, and kSystem.
Result<std::string> read_state_head(const std::string& path);
// The switches of the guest's LAN send what is for it to where it was, until it speaks itself:
// QEMU's own word at a restore comes before its link is there. As after a migration; a QEMU that
// does not do it is no error.
void announce_guest(Hypervisor& hypervisor, const std::string& uuid);
// libvirt has finished this file.
bool is_whole_state(const std::string& path);

}  // namespace drover::move
