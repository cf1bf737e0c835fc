// SPDX-License-Identifier: Apache-2.0
#include "preflight/codes.h"

#include <array>
#include <utility>

namespace drover::preflight {
namespace {

constexpr std::pair<Code, std::string_view> kNames[] = {
    {Code::kVmOff, "VM_OFF"},
    {Code::kVmRunning, "VM_RUNNING"},
    {Code::kVmCrashed, "VM_CRASHED"},
    {Code::kVmIncoming, "VM_INCOMING"},
    {Code::kVmMoving, "VM_MOVING"},
    {Code::kVmPaused, "VM_PAUSED"},
    {Code::kVmBusy, "VM_BUSY"},
    {Code::kVmTransient, "VM_TRANSIENT"},
    {Code::kVmSaved, "VM_SAVED"},
    {Code::kVmUnreadable, "VM_UNREADABLE"},
    {Code::kSnapshots, "SNAPSHOTS"},
    {Code::kCheckpointInternal, "CHECKPOINT_INTERNAL"},
    {Code::kCheckpointFiles, "CHECKPOINT_FILES"},
    {Code::kCheckpointsTravel, "CHECKPOINTS_TRAVEL"},
    {Code::kNameTooLong, "NAME_TOO_LONG"},
    {Code::kPersistentDiffers, "PERSISTENT_DIFFERS"},
    {Code::kPeerUnknown, "PEER_UNKNOWN"},
    {Code::kSameHost, "SAME_HOST"},
    {Code::kMigrationDisabled, "MIGRATION_DISABLED"},
    {Code::kHypervisorDown, "HYPERVISOR_DOWN"},
    {Code::kHypervisorTooOld, "HYPERVISOR_TOO_OLD"},
    {Code::kHypervisorOlder, "HYPERVISOR_OLDER"},
    {Code::kTlsForced, "TLS_FORCED"},
    {Code::kMachineUnknown, "MACHINE_UNKNOWN"},
    {Code::kEmulatorMissing, "EMULATOR_MISSING"},
    {Code::kKvmMissing, "KVM_MISSING"},
    {Code::kCpuMismatch, "CPU_MISMATCH"},
    {Code::kCpuPassthrough, "CPU_PASSTHROUGH"},
    {Code::kCpuUnknown, "CPU_UNKNOWN"},
    {Code::kMemoryShort, "MEMORY_SHORT"},
    {Code::kHugePages, "HUGE_PAGES"},
    {Code::kNumaPlacement, "NUMA_PLACEMENT"},
    {Code::kCpuPinning, "CPU_PINNING"},
    {Code::kImagesNotGiven, "IMAGES_NOT_GIVEN"},
    {Code::kSecretMissing, "SECRET_MISSING"},
    {Code::kTimeSkew, "TIME_SKEW"},
    {Code::kNameTaken, "NAME_TAKEN"},
    {Code::kUuidTaken, "UUID_TAKEN"},
    {Code::kVmLeftover, "VM_LEFTOVER"},
    {Code::kDiskBlockDevice, "DISK_BLOCK_DEVICE"},
    {Code::kDiskNetwork, "DISK_NETWORK"},
    {Code::kDiskKind, "DISK_KIND"},
    {Code::kDiskLun, "DISK_LUN"},
    {Code::kDiskShareable, "DISK_SHAREABLE"},
    {Code::kDiskReadOnly, "DISK_READ_ONLY"},
    {Code::kDiskTransient, "DISK_TRANSIENT"},
    {Code::kDiskEncrypted, "DISK_ENCRYPTED"},
    {Code::kDiskFormat, "DISK_FORMAT"},
    {Code::kDiskBackingChain, "DISK_BACKING_CHAIN"},
    {Code::kDiskDataFile, "DISK_DATA_FILE"},
    {Code::kDiskJob, "DISK_JOB"},
    {Code::kDiskUnreadable, "DISK_UNREADABLE"},
    {Code::kDiskExists, "DISK_EXISTS"},
    {Code::kDiskCollision, "DISK_COLLISION"},
    {Code::kDiskStays, "DISK_STAYS"},
    {Code::kVolumeStays, "VOLUME_STAYS"},
    {Code::kSameDevice, "SAME_DEVICE"},
    {Code::kNothingToMove, "NOTHING_TO_MOVE"},
    {Code::kMediaInserted, "MEDIA_INSERTED"},
    {Code::kFolderNotAllowed, "FOLDER_NOT_ALLOWED"},
    {Code::kFolderMissing, "FOLDER_MISSING"},
    {Code::kFolderLink, "FOLDER_LINK"},
    {Code::kFolderClosed, "FOLDER_CLOSED"},
    {Code::kRoomNotKept, "ROOM_NOT_KEPT"},
    {Code::kPlacedElsewhere, "PLACED_ELSEWHERE"},
    {Code::kSpaceShort, "SPACE_SHORT"},
    {Code::kSpaceGrowth, "SPACE_GROWTH"},
    {Code::kNvramExists, "NVRAM_EXISTS"},
    {Code::kFileMissing, "FILE_MISSING"},
    {Code::kResidueUsed, "RESIDUE_USED"},
    {Code::kGroupUsed, "GROUP_USED"},
    {Code::kGroupNotShared, "GROUP_NOT_SHARED"},
    {Code::kMemoryNotKept, "MEMORY_NOT_KEPT"},
    {Code::kHostDevice, "HOST_DEVICE"},
    {Code::kFilesystemShared, "FILESYSTEM_SHARED"},
    {Code::kSharedMemory, "SHARED_MEMORY"},
    {Code::kVhostUser, "VHOST_USER"},
    {Code::kLaunchSecurity, "LAUNCH_SECURITY"},
    {Code::kQemuCommandline, "QEMU_COMMANDLINE"},
    {Code::kTpmPassthrough, "TPM_PASSTHROUGH"},
    {Code::kTpmTravels, "TPM_TRAVELS"},
    {Code::kTpmStays, "TPM_STAYS"},
    {Code::kNicTeamed, "NIC_TEAMED"},
    {Code::kNetworkMissing, "NETWORK_MISSING"},
    {Code::kNetworkUnproven, "NETWORK_UNPROVEN"},
    {Code::kNetworkDirect, "NETWORK_DIRECT"},
    {Code::kNetworkUser, "NETWORK_USER"},
    {Code::kNetworkKind, "NETWORK_KIND"},
    {Code::kNetworkMapped, "NETWORK_MAPPED"},
    {Code::kNetworkMapUnknown, "NETWORK_MAP_UNKNOWN"},
    {Code::kGuestSubnetAbsent, "GUEST_SUBNET_ABSENT"},
    {Code::kMtuSmaller, "MTU_SMALLER"},
    {Code::kMacTaken, "MAC_TAKEN"},
    {Code::kExportExists, "EXPORT_EXISTS"},
    {Code::kExportRunning, "EXPORT_RUNNING"},
    {Code::kExportDamaged, "EXPORT_DAMAGED"},
    {Code::kCheckpointsLeft, "CHECKPOINTS_LEFT"},
    {Code::kMemoryLeft, "MEMORY_LEFT"},
    {Code::kChainFlattened, "CHAIN_FLATTENED"},
    {Code::kTpmLeft, "TPM_LEFT"},
    {Code::kTpmExists, "TPM_EXISTS"},
    {Code::kNotVerified, "NOT_VERIFIED"},
    {Code::kImageNotWhole, "IMAGE_NOT_WHOLE"},
    {Code::kDefinitionRefused, "DEFINITION_REFUSED"},
    {Code::kMediaEjected, "MEDIA_EJECTED"},
    {Code::kMediaCopied, "MEDIA_COPIED"},
    {Code::kVmElsewhere, "VM_ELSEWHERE"},
    {Code::kCandidatePassed, "CANDIDATE_PASSED"},
    {Code::kNoCommonNetwork, "NO_COMMON_NETWORK"},
    {Code::kNetworkSharedWithGuests, "NETWORK_SHARED_WITH_GUESTS"},
    {Code::kLinkSlow, "LINK_SLOW"},
    {Code::kGraphicsAddress, "GRAPHICS_ADDRESS"},
};

constexpr auto kCodes = [] {
  std::array<Code, std::size(kNames)> codes{};
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = kNames[i].first;
  return codes;
}();

}  // namespace

std::string_view code_name(Code code) {
  for (const auto& [known, name] : kNames) {
    if (known == code) return name;
  }
  return "UNKNOWN";
}

std::span<const Code> all_codes() { return kCodes; }

}  // namespace drover::preflight
