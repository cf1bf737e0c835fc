// SPDX-License-Identifier: Apache-2.0
// VMs that are written into a folder, and made of one again (docs/export.md). Plain values.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_count.h"
#include "base/error.h"
#include "model/plan.h"

namespace drover {

enum class ArchiveKind { kExport, kImport };
std::string_view archive_kind_name(ArchiveKind kind);  // "export", "import"
std::optional<ArchiveKind> archive_kind_from_name(std::string_view name);

// What becomes of an exported VM when it is imported.
enum class ImportMode {
  kRegister,  // its images are used where they lie
  kRestore,   // the same VM, from copies of its images
  kCopy,      // another VM, with a name, UUID and MAC addresses of its own
};
std::string_view import_mode_name(ImportMode mode);  // "register", "restore", "copy"
std::optional<ImportMode> import_mode_from_name(std::string_view name);

enum class ArchiveState {
  kPlanned,  // only looked at: nothing was asked for
  kRunning,  // being worked on, or waiting for its turn
  kDone,
  kFailed,     // undone
  kCancelled,  // likewise, because a user asked for it
};
std::string_view archive_state_name(ArchiveState state);
std::optional<ArchiveState> archive_state_from_name(std::string_view name);

struct ArchiveRequest {
  ArchiveKind kind = ArchiveKind::kExport;
  std::string vm;                           // of an export: name or UUID; else empty
  std::string folder;                       // absolute; an export makes it, an import reads it
  ImportMode mode = ImportMode::kRestore;   // of an import
  std::string name;                         // of a copy; empty: one that is free
  std::string disks_to;                     // of an import: folder for its images; empty: the
                                            // default folder. Never with kRegister
  BytesPerSecond bandwidth;                 // of an export; 0: no limit
  bool memory = false;                      // of an export: that of a VM that runs, too
  std::vector<std::string> accepted_codes;  // of warnings; notes are accepted
  std::string requested_by;                 // set by the API, never by the caller
};

// One file of an exported VM.
struct ArchiveItem {
  std::string item;        // a disk's target, such as "vda"; "definition", "nvram", "tpm", "memory"
  std::string file;        // its name in the folder
  std::string path;        // where the VM has it: of an import, where it will
  std::string format;      // of a disk's image, else empty
  ByteCount virtual_size;  // of a disk, else 0
  ByteCount size;          // of the file
  std::string hash;        // of the file (docs/export.md); empty: not known
};

// An export or an import, planned or begun. The host that does it keeps it.
struct Archive {
  std::string id;  // 8 characters; empty: planned only
  std::string host;
  ArchiveRequest request;
  ArchiveState state = ArchiveState::kPlanned;
  std::string vm_uuid;  // of the VM that is exported, or made
  std::string vm_name;
  bool verified = false;  // an import: every file had the hash that the manifest names
  std::vector<Finding> findings;
  std::vector<ArchiveItem> items;
  std::string doing;  // while it runs: one sentence
  ByteCount bytes_done, bytes_total;
  bool cancel_asked = false;
  std::string explanation;  // one sentence, once it has ended
  std::optional<Error> error;
  std::chrono::system_clock::time_point started_at;
  std::optional<std::chrono::system_clock::time_point> ended_at;
};

}  // namespace drover
