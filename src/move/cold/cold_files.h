// SPDX-License-Identifier: Apache-2.0
// The files that a quick or offline move carries as they are, beside the disks that it copies, each
// as one stream of the kind memory: both sides take them from the plan. A live move sends layers
// so. Any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/tpm_state.h"
#include "model/plan.h"

namespace drover::move {

// A saved guest is one file, in two streams: its hypervisor writes the head again at the end.
inline constexpr std::string_view kItemStateHead = "state-head";
inline constexpr std::string_view kItemState = "state";
// Likewise one that was saved before, and whose VM is off.
inline constexpr std::string_view kItemSavedHead = "saved-head";
inline constexpr std::string_view kItemSaved = "saved";
inline constexpr std::string_view kItemNvram = "nvram";
inline constexpr std::string_view kItemTpm = "tpm";
inline constexpr std::string_view kItemLayer = "file ";   // and its path at the destination
inline constexpr std::string_view kItemImage = "image ";  // and the disk's target

// One of them. Whole files are hashed on the way, and the two hashes compared before the VM is
// taken: layers that disks stand on, checkpoints' memory, and images that hold more than a disk.
struct ColdFile {
  enum class Kind {
    kLayer,      // or a disc: the destination has no such file; nobody writes it
    kStateHead,  // the saved guest's first bytes
    kState,      // and the rest
    kImage,      // of a disk; sent while nobody writes it
    kNvram,
    kTpm,        // offline: the state of an emulated TPM; empty if it has none yet
    kSavedHead,  // offline: the first bytes of the memory that is kept of the VM; hashed
    kSaved,      // and the rest, likewise
  };
  std::string item;  // the stream's name on both sides
  Kind kind = Kind::kLayer;
  std::string target;  // of an image: the disk's, "vda"; of a layer as FilePlacement::item
  std::string source_path, destination_path;  // of a saved guest none
  ByteCount most;                             // that the destination takes
};

// What disks stand on, the memory of checkpoints, and discs, that the destination does not have; of
// a live move too, which sends it ahead.
std::vector<ColdFile> missing_layers(const Plan& plan);
// In the order of their streams. `definition`: the VM's persistent one, as it will be at the
// destination.
std::vector<ColdFile> cold_files(const Plan& plan, std::string_view definition,
                                 const std::string& tpm_folder = kTpmFolder);
// The state of its emulated TPM that stays behind at the source, however it travels; empty: there
// is none. `definition`: the persistent one here.
std::string former_tpm_state(std::string_view definition, std::string_view uuid,
                             const std::string& tpm_folder = kTpmFolder);

// The disk travels as its image's bytes: what is built on another, or holds checkpoints, would be
// another image if its content were copied.
bool travels_as_image(const Plan& plan, const DiskPlacement& placement);
// The copied disks whose content is copied, into images that are made for it.
std::vector<DiskPlacement> streamed_disks(const Plan& plan);

// A quick or offline move: one without libvirt's migration.
bool is_cold(const Plan& plan);

// An offline move carries memory that was kept when the VM was saved.
bool carries_saved_memory(const Plan& plan);
// At the source: how long it is; 0: it carries none, or it is gone.
ByteCount saved_memory(const Plan& plan, Hypervisor& hypervisor);

// The most that a saved state may have: memory, and what else QEMU and libvirt write.
ByteCount state_bytes_max(ByteCount memory);
// This folder of a host of that name, where the memory of a VM is about to be saved, or to come,
// has not the room that it may need. Nothing: it has, or cannot be looked at.
std::optional<Finding> state_short(const std::filesystem::path& folder, const std::string& host,
                                   const std::string& vm, ByteCount memory);
inline constexpr ByteCount kNvramBytesMax = mib(64);
inline constexpr ByteCount kTpmBytesMax = mib(16);

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
// libvirt has finished this file. One that is not there is not finished; an error: that cannot be
// seen.
Result<bool> is_whole_state(const std::string& path);

}  // namespace drover::move
