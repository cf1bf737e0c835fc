// SPDX-License-Identifier: Apache-2.0
// The copying of an export: how each disk comes into the folder.
#include <algorithm>
#include <set>

#include <sys/stat.h>

#include "archive/export_work.h"
#include "archive/image_convert.h"
#include "archive/manifest.h"
#include "archive/picture_copy.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/stray_image.h"
#include "preflight/placement.h"

namespace drover::archive {

using preflight::ExportedDisk;
using preflight::ExportWay;

Status ExportWork::copy_disks() {
  for (const ExportedDisk& disk : planned_->disks) {
    RETURN_IF_ERROR(go_on());
    doing(fmt::format("{} is being exported.", disk.target));
    const Status copied = copy_disk(disk);
    if (!copied && copied.error().code != ErrorCode::kCancelled) {
      return std::unexpected(wrap(copied.error(), fmt::format("{} of {} cannot be exported.",
                                                              disk.target, archive().vm_name)));
    }
    RETURN_IF_ERROR(copied);
  }
  return {};
}

Status ExportWork::copy_disk(const ExportedDisk& disk) {
  switch (disk.way) {
    case ExportWay::kBytes:
      return copy_bytes(disk, disk.target);
    case ExportWay::kFlatten:
      return convert(disk);
    case ExportWay::kLayers:
      return copy_layers(disk);
    case ExportWay::kPicture:
      return copy_seen(disk);
    case ExportWay::kPictureOnLayers:
      return copy_seen_on_layers(disk);
  }
  DROVER_CHECK(false);
}

// The export's own, and, while the guest runs, those in which QEMU keeps what it overwrites: of all
// disks, whichever is being copied.
std::vector<std::string> ExportWork::written_folders() const {
  std::set<std::string> folders{staging_->path()};
  for (const ExportedDisk& disk : planned_->disks) {
    if (preflight::is_picture(disk.way)) folders.insert(preflight::folder_of(disk.path));
  }
  return {folders.begin(), folders.end()};
}

// What is fenced is what the plan looked at.
Status ExportWork::copy_bytes(const ExportedDisk& disk, const std::string& image) {
  ArchiveItem* const exported = item(image);
  DROVER_CHECK(exported != nullptr);
  const ArchiveItem* const below = item_below(items_, image);
  const UniqueFd& from = images_.at(image);
  ASSIGN_OR_RETURN(const ImageFacts facts,
                   stray_image_facts(from.get(), exported->path, exported->format));
  // qemu-img rounds the size of a raw one.
  const bool resized = exported->format != "raw" && facts.virtual_size != exported->virtual_size;
  if (facts.backing_chain.empty() != (below == nullptr) || facts.data_file || resized)
    return fail(ErrorCode::kConflict, "{} was changed meanwhile.", exported->path);
  ASSIGN_OR_RETURN(const UniqueFd to, staging_->create(exported->file));
  ASSIGN_OR_RETURN(HashedFile copied,
                   copy_file(from.get(), to.get(), exported->path,
                             watch(archive().request.bandwidth, written_folders())));
  if (below != nullptr) {
    // By its name in the folder, wherever the folder is carried to.
    RETURN_IF_ERROR(write_backing_name(to.get(), exported->file, below->file, below->format));
    doing(fmt::format("{} is being hashed.", disk.target));
    ASSIGN_OR_RETURN(copied, hash_copy(to.get(), exported->file));
  }
  exported->size = copied.size;
  exported->hash = std::move(copied.hash);
  return {};
}

Status ExportWork::copy_layers(const ExportedDisk& disk) {
  RETURN_IF_ERROR(check_chain(disk));
  for (unsigned i = 0; i <= disk.layers.size(); ++i)
    RETURN_IF_ERROR(copy_bytes(disk, image_item(disk.target, i)));
  return {};
}

Result<HashedFile> ExportWork::hash_copy(int file, const std::string& name) {
  CopyWatch hashing = watch({}, written_folders());
  hashing.bytes_read = nullptr;
  return hash_file(file, name, hashing);
}

// What is fenced is still what the disk is based on: a chain hangs together by paths.
Status ExportWork::check_chain(const ExportedDisk& disk) const {
  ASSIGN_OR_RETURN(const ImageFacts facts, image_facts(disk.path, disk.format));
  std::vector<std::string> planned;
  for (const DiskLayer& layer : disk.layers) planned.push_back(layer.path);
  if (facts.backing_chain != planned)
    return fail(ErrorCode::kConflict, "{} is based on other images by now.", disk.path);
  for (unsigned i = 0; i <= planned.size(); ++i) {
    const std::string& path = i == 0 ? disk.path : planned[i - 1];
    if (!path.starts_with('/')) continue;
    struct stat fenced{}, found{};
    if (::fstat(images_.at(image_item(disk.target, i)).get(), &fenced) != 0 ||
        ::stat(path.c_str(), &found) != 0) {
      return fail_errno("Cannot look at " + path);
    }
    if (fenced.st_dev != found.st_dev || fenced.st_ino != found.st_ino)
      return fail(ErrorCode::kConflict, "{} is another file by now.", path);
  }
  return {};
}

// Of a VM that runs, through its QEMU.
Status ExportWork::copy_seen(const ExportedDisk& disk) {
  ArchiveItem* const exported = item(disk.target);
  DROVER_CHECK(exported != nullptr);
  ASSIGN_OR_RETURN(const UniqueFd to, staging_->create(exported->file));
  PictureCopyCall call{socket(),          disk.target,       disk.format,
                       disk.virtual_size, disk.cluster_size, {}};
  ByteCount allocated = disk.allocated;
  if (preflight::keeps_layers(disk.way)) {
    const ArchiveItem* const below = item_below(items_, disk.target);
    DROVER_CHECK(below != nullptr);
    call.name = layers_export(disk.target);
    call.base = PictureBase{below->file, below->format};
    for (const DiskLayer& layer : disk.layers)
      allocated = allocated - std::min(allocated, layer.allocated);
  }
  const std::uint64_t before = bytes_done_;
  ASSIGN_OR_RETURN(
      HashedFile copied,
      copy_picture(call, to.get(), watch(archive().request.bandwidth, written_folders())));
  bytes_done_ = before + allocated.bytes;
  exported->size = copied.size;
  exported->hash = std::move(copied.hash);
  return {};
}

// What the disk is based on nobody can write while its QEMU has it open. The layers go first: as
// long as the picture can be read after them, QEMU had.
Status ExportWork::copy_seen_on_layers(const ExportedDisk& disk) {
  for (unsigned i = 1; i <= disk.layers.size(); ++i)
    RETURN_IF_ERROR(copy_bytes(disk, image_item(disk.target, i)));
  RETURN_IF_ERROR(copy_seen(disk));
  return check_chain(disk);
}

// What qemu-img reads of a disk and all that it is based on.
Status ExportWork::convert(const ExportedDisk& disk) {
  ArchiveItem* const exported = item(disk.target);
  DROVER_CHECK(exported != nullptr);
  ASSIGN_OR_RETURN(const UniqueFd to, staging_->create(exported->file));
  RETURN_IF_ERROR(check_chain(disk));
  ConvertCall call;
  call.from = disk.path;
  call.from_format = disk.format;
  call.to_format = disk.format;
  call.virtual_size = disk.virtual_size;
  call.cluster_size = disk.cluster_size;
  call.bandwidth = archive().request.bandwidth;
  const std::vector<std::string> folders = written_folders();
  const std::uint64_t before = bytes_done_;
  RETURN_IF_ERROR(convert_image(call, to.get(), [&](ByteCount written) {
    bytes_done_ = before + std::min(written, disk.allocated).bytes;
    return check_room(folders);
  }));
  RETURN_IF_ERROR(check_chain(disk));
  bytes_done_ = before + disk.allocated.bytes;
  doing(fmt::format("{} is being hashed.", disk.target));
  ASSIGN_OR_RETURN(HashedFile hashed, hash_copy(to.get(), exported->file));
  exported->size = hashed.size;
  exported->hash = std::move(hashed.hash);
  return {};
}

}  // namespace drover::archive
