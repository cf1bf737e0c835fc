// SPDX-License-Identifier: Apache-2.0
// The codes of findings: stable names that people search for and scripts accept. docs/findings.md
// has a section for each; codes_test.cpp holds the two together.
#pragma once

#include <span>
#include <string_view>

namespace drover::preflight {

enum class Code {
  // The VM.
  kVmOff,
  kVmCrashed,
  kVmIncoming,
  kVmMoving,
  kVmPaused,
  kVmBusy,
  kVmTransient,
  kVmSaved,
  kVmUnreadable,
  kSnapshots,
  kNameTooLong,
  kPersistentDiffers,
  // The hosts.
  kPeerUnknown,
  kSameHost,
  kMigrationDisabled,
  kHypervisorDown,
  kHypervisorTooOld,
  kHypervisorOlder,
  kTlsForced,
  kMachineUnknown,
  kEmulatorMissing,
  kKvmMissing,
  kCpuIncompatible,
  kCpuPassthrough,
  kCpuUnknown,
  kMemoryShort,
  kHugePages,
  kNumaPlacement,
  kNameTaken,
  kUuidTaken,
  kVmLeftover,
  // Disks.
  kDiskBlockDevice,
  kDiskNetwork,
  kDiskKind,
  kDiskLun,
  kDiskShareable,
  kDiskReadOnly,
  kDiskTransient,
  kDiskEncrypted,
  kDiskFormat,
  kDiskBackingChain,
  kDiskDataFile,
  kDiskJob,
  kDiskUnreadable,
  kDiskExists,
  kDiskCollision,
  kDiskStays,
  kSameDevice,
  kNothingToMove,
  kMediaInserted,
  kFolderNotAllowed,
  kFolderMissing,
  kFolderLink,
  kFolderClosed,
  kPlacedElsewhere,
  kSpaceShort,
  kSpaceGrowth,
  kNvramExists,
  kFileMissing,
  kResidueUsed,
  kGroupUsed,
  kGroupNotShared,
  kMemoryNotKept,
  // Devices.
  kHostDevice,
  kFilesystemShared,
  kSharedMemory,
  kVhostUser,
  kLaunchSecurity,
  kQemuCommandline,
  kTpmPassthrough,
  kTpmTravels,
  kNetworkMissing,
  kNetworkUnproven,
  kNetworkDirect,
  kNetworkUser,
  kNetworkKind,
  kGraphicsAddress,
  // Exports and imports.
  kExportExists,
  kExportRunning,
  kExportDamaged,
  kCheckpointsLeft,
  kChainFlattened,
  kTpmLeft,
  kNotVerified,
  kImageNotWhole,
  kDefinitionRefused,
  kMediaEjected,
  kVmElsewhere,
  // The way between the hosts.
  kCandidatePassed,
  kNoCommonNetwork,
  kNetworkSharedWithGuests,
};

std::string_view code_name(Code code);  // "VM_OFF"
std::span<const Code> all_codes();

}  // namespace drover::preflight
