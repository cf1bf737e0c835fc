// SPDX-License-Identifier: Apache-2.0
#include "archive/export_work.h"

#include <algorithm>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include "archive/image_convert.h"
#include "archive/manifest.h"
#include "base/file.h"
#include "base/log.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/qemu_conf.h"
#include "preflight/placement.h"

namespace drover::archive {
namespace {

using preflight::ExportedDisk;
using preflight::ExportWay;

constexpr mode_t kSocketFolderMode = 0700;
constexpr std::uint64_t kNvramMost = 64u << 20;  // real ones have 0.5 to 4 MiB
constexpr int kNvramReads = 20;

// A path within a URI; names of VMs may hold anything but a slash.
std::string percent_encoded(const std::string& path) {
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").contains(c);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Result<UniqueFd> open_for_reading(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  return file;
}

}  // namespace

// The main flow: each step is in the journal before it acts.
Status ExportWork::work() {
  items_ = planned_->archive.items;
  set_total(planned_->archive.bytes_total);
  RETURN_IF_ERROR(make_folder());
  const bool served = planned_->running && !planned_->disks.empty();
  RETURN_IF_ERROR(served ? take_picture() : fence_images());
  RETURN_IF_ERROR(copy_disks());
  RETURN_IF_ERROR(copy_nvram());
  RETURN_IF_ERROR(release_disks());
  RETURN_IF_ERROR(write_manifest());
  // From here on the folder is whole; it only lacks its name.
  RETURN_IF_ERROR(close_to_cancels());
  return staging_->commit();
}

Status ExportWork::make_folder() {
  ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
  const auto allowed = preflight::usable_folders(facts, world_.book.settings());
  const std::string& folder = archive().request.folder;
  RETURN_IF_ERROR(check_nothing_at(folder));
  job_.staging = move::known_file("folder", Staging::path_of(folder, id()), {});
  RETURN_IF_ERROR(save());
  auto made = Staging::make(folder, id(), allowed);
  if (!made) {
    job_.staging = {};
    return std::unexpected(std::move(made).error());
  }
  staging_ = std::move(*made);
  job_.staging = move::known_file("folder", staging_->path(), staging_->identity());
  return save();
}

// Under a name that libvirt's AppArmor profile lets QEMU bind, as those of a move.
std::string ExportWork::socket() const {
  return fmt::format("{}/{}.nbd.tunnelmigrate.dest.{}", options_.socket_folder, id(),
                     archive().vm_name);
}

Status ExportWork::take_picture() {
  doing("QEMU takes a picture of the disks.");
  PictureCall call{archive().vm_uuid, socket(), {}};
  for (const ExportedDisk& disk : planned_->disks) {
    const std::string path = fmt::format("{}.drover-{}", disk.path, id());
    const std::string folder = preflight::folder_of(disk.path);
    RETURN_IF_ERROR(check_nothing_at(path));
    job_.created.push_back(move::known_file(disk.target, path, {}));
    RETURN_IF_ERROR(save());
    DiskPlacement scratch;
    scratch.target = disk.target;
    scratch.destination_path = path;
    scratch.format = "qcow2";
    scratch.virtual_size = disk.virtual_size;
    // The VM's own disk lies there: whoever may use that folder has said so.
    const auto identity = create_image(scratch, std::span(&folder, 1));
    if (!identity) {
      job_.created.pop_back();
      return std::unexpected(identity.error());
    }
    job_.created.back() = move::known_file(disk.target, path, *identity);
    call.disks.push_back({disk.target, path});
  }
  RETURN_IF_ERROR(drover::make_folder(options_.socket_folder, kSocketFolderMode));
  RETURN_IF_ERROR(give_folder_to_qemu(options_.socket_folder, qemu_conf().user));
  ::unlink(call.socket.c_str());
  job_.picture = true;
  RETURN_IF_ERROR(save());
  return options_.pictures->begin(call);
}

// While these locks are held no QEMU can open the images for writing: the VM cannot be started in
// the middle of the copy. Any QEMU that has them open now is a reason to stop.
Status ExportWork::fence_images() {
  if (planned_->running) return {};  // it has no disks
  std::vector<gate::FencedDisk> images;
  for (const ExportedDisk& disk : planned_->disks) {
    ASSIGN_OR_RETURN(UniqueFd image, open_for_reading(disk.path));
    images.push_back({disk.target, std::move(image)});
  }
  fence_.emplace(std::move(images));
  if (auto taken = fence_->take(); !taken) {
    return std::unexpected(
        wrap(taken.error(), fmt::format("The disks of {} are in use.", archive().vm_name)));
  }
  // Between the plan and the lock it may have run, and been moved or changed.
  ASSIGN_OR_RETURN(const RunState now, world_.hypervisor.run_state(archive().vm_uuid));
  if (now.kind == RunState::Kind::kOff) return {};
  return fail(ErrorCode::kConflict, "{} was started meanwhile.", archive().vm_name);
}

Status ExportWork::copy_disks() {
  for (const ExportedDisk& disk : planned_->disks) {
    RETURN_IF_ERROR(go_on());
    doing(fmt::format("{} is being exported.", disk.target));
    ArchiveItem* const exported = item(disk.target);
    DROVER_CHECK(exported != nullptr);
    const Status copied =
        disk.way == ExportWay::kBytes ? copy_bytes(disk, *exported) : convert(disk, *exported);
    if (!copied && copied.error().code != ErrorCode::kCancelled) {
      return std::unexpected(wrap(copied.error(), fmt::format("{} of {} cannot be exported.",
                                                              disk.target, archive().vm_name)));
    }
    RETURN_IF_ERROR(copied);
  }
  return {};
}

// Its exported image, and, while it is pictured, what the guest overwrites, beside it.
std::vector<std::string> ExportWork::written_folders(const ExportedDisk& disk) const {
  std::vector<std::string> folders{staging_->path()};
  if (disk.way == ExportWay::kPicture) folders.push_back(preflight::folder_of(disk.path));
  return folders;
}

Status ExportWork::copy_bytes(const ExportedDisk& disk, ArchiveItem& item) {
  ASSIGN_OR_RETURN(const UniqueFd from, open_for_reading(disk.path));
  ASSIGN_OR_RETURN(const UniqueFd to, staging_->create(item.file));
  ASSIGN_OR_RETURN(HashedFile copied,
                   copy_file(from.get(), to.get(), disk.path,
                             watch(archive().request.bandwidth, written_folders(disk))));
  item.size = copied.size;
  item.hash = std::move(copied.hash);
  return {};
}

Status ExportWork::convert(const ExportedDisk& disk, ArchiveItem& item) {
  ASSIGN_OR_RETURN(const UniqueFd to, staging_->create(item.file));
  ConvertCall call;
  if (disk.way == ExportWay::kPicture) {
    call.from = fmt::format("nbd+unix:///{}?socket={}", disk.target, percent_encoded(socket()));
    call.from_format = "raw";
  } else {
    call.from = disk.path;
    call.from_format = disk.format;
  }
  call.to_format = disk.format;
  call.virtual_size = disk.virtual_size;
  call.cluster_size = disk.cluster_size;
  call.bandwidth = archive().request.bandwidth;
  const std::vector<std::string> folders = written_folders(disk);
  const std::uint64_t before = bytes_done_;
  RETURN_IF_ERROR(convert_image(call, to.get(), [&](ByteCount written) {
    bytes_done_ = before + std::min(written, disk.allocated).bytes;
    return check_room(folders);
  }));
  bytes_done_ = before + disk.allocated.bytes;
  doing(fmt::format("{} is being hashed.", disk.target));
  ASSIGN_OR_RETURN(HashedFile hashed,
                   hash_file(to.get(), item.file, {nullptr, [this] { return go_on(); }, {}}));
  item.size = hashed.size;
  item.hash = std::move(hashed.hash);
  return {};
}

// A running QEMU may write it at any time, rarely and little: what two reads find is one state.
Status ExportWork::copy_nvram() {
  if (planned_->nvram.empty()) return {};
  ArchiveItem* const exported = item(kNvramItem);
  DROVER_CHECK(exported != nullptr);
  for (int attempt = 0; attempt < kNvramReads; ++attempt) {
    const auto first = read_file(planned_->nvram, kNvramMost);
    if (!first && first.error().code == ErrorCode::kNotFound) {
      // It was never started: libvirt makes it from its template.
      std::erase_if(items_, [](const ArchiveItem& one) { return one.item == kNvramItem; });
      return {};
    }
    if (!first) return std::unexpected(first.error());
    ASSIGN_OR_RETURN(const std::string second, read_file(planned_->nvram, kNvramMost));
    if (*first != second) continue;
    RETURN_IF_ERROR(staging_->write(exported->file, second));
    ASSIGN_OR_RETURN(const UniqueFd written,
                     open_for_reading(staging_->path() + "/" + exported->file));
    ASSIGN_OR_RETURN(HashedFile hashed, hash_file(written.get(), exported->file, {}));
    exported->size = hashed.size;
    exported->hash = std::move(hashed.hash);
    return {};
  }
  return fail(ErrorCode::kConflict, "{} changes all the time.", planned_->nvram);
}

Status ExportWork::release_disks() {
  fence_.reset();
  if (job_.picture) {
    RETURN_IF_ERROR(options_.pictures->end(archive().vm_uuid, socket()));
    ::unlink(socket().c_str());
    job_.picture = false;
  }
  return remove_created();
}

Status ExportWork::write_manifest() {
  doing("The manifest is being written.");
  ArchiveItem* const definition = item(kDefinitionItem);
  DROVER_CHECK(definition != nullptr);
  RETURN_IF_ERROR(staging_->write(definition->file, planned_->definition));
  ASSIGN_OR_RETURN(const UniqueFd written,
                   open_for_reading(staging_->path() + "/" + definition->file));
  ASSIGN_OR_RETURN(HashedFile hashed, hash_file(written.get(), definition->file, {}));
  definition->size = hashed.size;
  definition->hash = std::move(hashed.hash);
  Manifest manifest;
  manifest.vm_name = archive().vm_name;
  manifest.vm_uuid = archive().vm_uuid;
  manifest.running = planned_->running;
  manifest.host = world_.host_name;
  manifest.drover_version = options_.version;
  manifest.libvirt_version = planned_->libvirt_version;
  manifest.qemu_version = planned_->qemu_version;
  manifest.made_at = std::chrono::system_clock::now();
  manifest.items = items_;
  change([&](Archive& archive) { archive.items = items_; });
  return staging_->write(std::string(kManifestName), manifest_text(manifest));
}

Status ExportWork::undo() {
  fence_.reset();
  if (job_.picture) {
    RETURN_IF_ERROR(options_.pictures->end(archive().vm_uuid, socket()));
    ::unlink(socket().c_str());
    job_.picture = false;
    RETURN_IF_ERROR(save());
  }
  RETURN_IF_ERROR(remove_created());
  staging_.reset();
  if (job_.staging.path.empty()) return {};
  const Status removed = remove_staging(job_.staging.path, move::identity_of(job_.staging));
  if (!removed && removed.error().code != ErrorCode::kConflict) return removed;
  if (!removed) log::warning("The export {}: {}", id(), removed.error().text());
  job_.staging = {};
  return save();
}

Result<bool> ExportWork::is_done() {
  return is_committed(archive().request.folder, move::identity_of(job_.staging));
}

std::string ExportWork::done_text() const {
  return fmt::format("{} is exported to {}.", archive().vm_name, archive().request.folder);
}

ArchiveItem* ExportWork::item(std::string_view name) {
  const auto found = std::ranges::find(items_, name, &ArchiveItem::item);
  return found == items_.end() ? nullptr : &*found;
}

}  // namespace drover::archive
