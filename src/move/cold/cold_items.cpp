// SPDX-License-Identifier: Apache-2.0
// What an offline or quick move sends as it is, byte by byte: layers that disks stand on and
// checkpoints' memory while the guest may still run, and images that hold more than their disk once
// nobody writes them.
#include <algorithm>

#include <sys/stat.h>

#include "hypervisor/disk_image.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_layers.h"
#include "move/cold/cold_move.h"

namespace drover::move {

// Before anything is touched: the destination takes no image that names another file.
StepResult ColdMove::check_layers() {
  if (auto checked = check_layer_names(job_.move.plan, AtSide::kSource); !checked)
    return undo_because(checked.error());
  return {};
}

std::vector<ColdFile> ColdMove::files() const {
  return cold_files(job_.move.plan, job_.destination_persistent_xml);
}

StepResult ColdMove::send_whole(ColdFile::Kind kind) {
  for (const ColdFile& file : files()) {
    if (file.kind != kind) continue;
    if (auto same = check_same_image(file); !same) return undo_because(same.error());
    struct stat found{};
    if (::stat(file.source_path.c_str(), &found) != 0)
      return undo_because(fail_errno("Cannot look at " + file.source_path).error());
    if (!S_ISREG(found.st_mode)) {
      return undo_because(
          fail(ErrorCode::kConflict, "{} is no regular file.", file.source_path).error());
    }
    const auto length = static_cast<std::uint64_t>(found.st_size);
    const std::uint64_t before = state_sent_;
    sends_whole_ = true;
    auto sent = send_part(file.item, file.source_path, {0, length, true}, {});
    sends_whole_ = false;
    if (!sent) return sent;
    files_sent_ += ByteCount{state_sent_ - before};
  }
  return {};
}

// Left where it is, it would be in the way when the VM comes back. REQUIRES: the VM is off; a swtpm
// that runs replaces the file whenever it writes.
Status ColdMove::open_tpm_state() {
  const std::string path = former_tpm_state(job_.persistent_xml, uuid());
  if (path.empty()) return {};
  ASSIGN_OR_RETURN(const FileIdentity identity, file_identity(path));
  job_.files.push_back(known_file(std::string(kItemTpm), path, identity));
  return {};
}

// A TPM that was never started has no state yet: that is what is said then.
StepResult ColdMove::send_tpm() {
  for (const ColdFile& file : files()) {
    if (file.kind != ColdFile::Kind::kTpm) continue;
    const bool none = file.source_path.empty();
    struct stat found{};
    if (!none && ::stat(file.source_path.c_str(), &found) != 0)
      return undo_because(fail_errno("Cannot look at " + file.source_path).error());
    const auto length = static_cast<std::uint64_t>(found.st_size);
    const std::string path = none ? "/dev/null" : file.source_path;
    if (auto sent = send_part(file.item, path, {0, length, true}, {}); !sent) return sent;
  }
  return {};
}

// What our mover took of them so far: all but what it took of a saved guest and of UEFI variables.
ByteCount ColdMove::files_taken() const {
  if (!sends_whole_) return files_sent_;
  return wire_.memory_taken - (ByteCount{state_sent_} - files_sent_);
}

// What is put aside in the end is what was sent.
Status ColdMove::check_same_image(const ColdFile& file) const {
  if (file.kind != ColdFile::Kind::kImage) return {};
  const auto known = std::ranges::find(job_.files, file.target, &KnownFile::target);
  ASSIGN_OR_RETURN(const FileIdentity found, file_identity(file.source_path));
  if (known != job_.files.end() && found == identity_of(*known)) return {};
  return fail(ErrorCode::kConflict, "{} is another file by now.", file.source_path);
}

}  // namespace drover::move
