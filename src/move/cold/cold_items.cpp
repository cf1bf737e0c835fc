// SPDX-License-Identifier: Apache-2.0
// What an offline or quick move sends as it is, byte by byte: layers that disks stand on and
// checkpoints' memory while the guest may still run, and images that hold more than their disk once
// nobody writes them.
#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>

#include "hypervisor/disk_image.h"
#include "move/cold/cold_files.h"
#include "move/cold/cold_layers.h"
#include "move/cold/cold_move.h"
#include "move/regular_file.h"

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

// All of this kind, each as long as it is now.
StepResult ColdMove::send_whole(ColdFile::Kind kind) {
  const bool is_disk = kind == ColdFile::Kind::kLayer || kind == ColdFile::Kind::kImage;
  for (const ColdFile& file : files()) {
    if (file.kind != kind) continue;
    auto opened = open_to_send(file);
    if (!opened) return undo_because(opened.error());
    struct stat found{};
    if (::fstat(opened->get(), &found) != 0)
      return undo_because(fail_errno("Cannot look at " + file.source_path).error());
    const auto length = static_cast<std::uint64_t>(found.st_size);
    sends_whole_ = is_disk;
    auto sent = send_part(file, std::move(*opened), {0, length, true});
    sends_whole_ = false;
    if (!sent) return sent;
    if (is_disk) files_sent_ += ByteCount{length};
  }
  return {};
}

StepResult ColdMove::send_part(const ColdFile& file, UniqueFd opened, FileSender::Part part,
                               const std::function<bool()>& grows_no_more) {
  auto sha256 = send_file(file, std::move(opened), part, grows_no_more);
  if (!sha256) return std::unexpected(sha256.error());
  sent_files_.push_back({file.item, std::move(*sha256)});
  return {};
}

// What is put aside in the end is what was sent. A TPM that was never started has no state yet: it
// is sent as an empty one.
Result<UniqueFd> ColdMove::open_to_send(const ColdFile& file) const {
  if (file.source_path.empty()) return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (file.kind == ColdFile::Kind::kLayer) return open_layer(file.source_path);
  ASSIGN_OR_RETURN(UniqueFd opened, open_regular(file.source_path, O_RDONLY));
  if (file.kind != ColdFile::Kind::kImage) return opened;
  const auto known = std::ranges::find(job_.files, file.target, &KnownFile::target);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(opened.get(), file.source_path));
  if (known != job_.files.end() && seen.identity == identity_of(*known)) return opened;
  return fail(ErrorCode::kConflict, "{} is another file by now.", file.source_path);
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

// What our mover took of them so far: all but what it took of a saved guest and of UEFI variables.
ByteCount ColdMove::files_taken() const {
  if (!sends_whole_) return files_sent_;
  return wire_.memory_taken - (ByteCount{streamed_bytes_} - files_sent_);
}

}  // namespace drover::move
