// SPDX-License-Identifier: Apache-2.0
#include "archive/export_work.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/acceptance.h"
#include "archive/manifest.h"
#include "base/file.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/qemu_conf.h"
#include "preflight/placement.h"

namespace drover::archive {
namespace {

using namespace std::chrono_literals;
using preflight::ExportedDisk;

constexpr mode_t kSocketFolderMode = 0700;
constexpr int kStateReads = 20;
constexpr auto kPlanFresh = 1s;

Result<UniqueFd> open_for_reading(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  return file;
}

}  // namespace

// The main flow: each step is in the journal before it acts.
Status ExportWork::work() {
  RETURN_IF_ERROR(plan_anew());
  RETURN_IF_ERROR(make_folder());
  RETURN_IF_ERROR(write_memory());
  const bool served = planned_->running && !planned_->disks.empty();
  RETURN_IF_ERROR(served ? take_picture() : fence_images());
  // From here on the disks stand still: what is copied now is what the plan says, or nothing is.
  RETURN_IF_ERROR(check_unchanged(world_.hypervisor, *planned_));
  RETURN_IF_ERROR(copy_state(kNvramItem, planned_->nvram));
  RETURN_IF_ERROR(copy_state(kTpmItem, planned_->tpm_state));
  RETURN_IF_ERROR(let_guest_go_on());
  RETURN_IF_ERROR(copy_disks());
  RETURN_IF_ERROR(copy_memory());
  RETURN_IF_ERROR(copy_checkpoint_memories());
  RETURN_IF_ERROR(release_disks());
  RETURN_IF_ERROR(write_manifest());
  // From here on the folder is whole; it only lacks its name.
  RETURN_IF_ERROR(close_to_cancels());
  return staging_->commit();
}

// It may have waited for its turn for hours. What was planned a moment ago is compared with what is
// there once the disks stand still.
Status ExportWork::plan_anew() {
  const auto age = std::chrono::system_clock::now() - archive().started_at;
  if (!has_waited_ && age >= 0s && age < kPlanFresh) {
    items_ = planned_->archive.items;
    set_total(planned_->archive.bytes_total);
    return {};
  }
  ArchiveRequest request = archive().request;
  request.vm = archive().vm_uuid;
  ASSIGN_OR_RETURN(PlannedExport planned, plan_export(world_, request, options_.tpm_folder,
                                                      [](std::string_view) { return ""; }));
  RETURN_IF_ERROR(check_acceptance(planned.archive));
  planned_ = std::move(planned);
  items_ = planned_->archive.items;
  change([&](Archive& archive) {
    archive.vm_name = planned_->archive.vm_name;
    archive.findings = planned_->archive.findings;
    archive.items = items_;
  });
  set_total(planned_->archive.bytes_total);
  return save();
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
    call.disks.push_back({disk.target, path, preflight::keeps_layers(disk.way)});
  }
  RETURN_IF_ERROR(drover::make_folder(options_.socket_folder, kSocketFolderMode));
  RETURN_IF_ERROR(give_folder_to_qemu(options_.socket_folder, qemu_conf().user));
  ::unlink(call.socket.c_str());
  job_.picture = true;
  RETURN_IF_ERROR(save());
  RETURN_IF_ERROR(options_.pictures->begin(call));
  return open_layers();
}

Status ExportWork::open_layers() {
  for (const ExportedDisk& disk : planned_->disks) {
    if (!preflight::keeps_layers(disk.way)) continue;
    ASSIGN_OR_RETURN(images_[disk.target], open_for_reading(disk.path));
    for (unsigned i = 0; i < disk.layers.size(); ++i) {
      ASSIGN_OR_RETURN(images_[image_item(disk.target, i + 1)],
                       open_for_reading(disk.layers[i].path));
    }
  }
  return {};
}

// While these locks are held no QEMU can open the images for writing: the VM cannot be started in
// the middle of the copy. Any QEMU that has them open now is a reason to stop.
Status ExportWork::fence_images() {
  if (planned_->running) return {};  // it has no disks
  std::vector<gate::FencedDisk> images;
  for (const ArchiveItem& item : chain_items()) {
    if (!item.path.starts_with('/')) continue;  // on a server, which qemu-img asks
    ASSIGN_OR_RETURN(UniqueFd image, open_for_reading(item.path));
    images_[item.item] = image.duplicate();
    images.push_back({item.item, std::move(image)});
  }
  fence_.emplace(std::move(images));
  Status alone = fence_->take();
  if (alone) alone = fence_->check_no_writer();
  if (alone) return {};
  return std::unexpected(wrap(
      alone.error(),
      fmt::format("The disks of {} are in use. Fix: shut off what uses them.", archive().vm_name)));
}

// The disks' images and all that they are based on, whether that is exported as it is or not.
std::vector<ArchiveItem> ExportWork::chain_items() const {
  std::vector<ArchiveItem> all;
  for (const ExportedDisk& disk : planned_->disks) {
    all.push_back({disk.target, "", disk.path, disk.format, {}, {}, ""});
    for (unsigned i = 0; i < disk.layers.size(); ++i) {
      const DiskLayer& layer = disk.layers[i];
      all.push_back({image_item(disk.target, i + 1), "", layer.path, layer.format, {}, {}, ""});
    }
  }
  return all;
}

// UEFI variables, and the state of a TPM. Whoever runs them may write them at any time, rarely and
// little: what two reads find is one state.
Status ExportWork::copy_state(std::string_view name, const std::string& path) {
  if (path.empty()) return {};
  ArchiveItem* const exported = item(name);
  DROVER_CHECK(exported != nullptr);
  for (int attempt = 0; attempt < kStateReads; ++attempt) {
    const auto first = read_file(path, kStateMost);
    if (!first && first.error().code == ErrorCode::kNotFound) {
      // It was never started: libvirt makes it from its template.
      std::erase_if(items_, [&](const ArchiveItem& one) { return one.item == name; });
      return {};
    }
    if (!first) return std::unexpected(first.error());
    const auto second = read_file(path, kStateMost);
    // swtpm writes another file, which takes this one's name.
    if (!second && second.error().code != ErrorCode::kNotFound)
      return std::unexpected(second.error());
    if (!second || *first != *second) continue;
    RETURN_IF_ERROR(staging_->write(exported->file, *second));
    exported->size = {second->size()};
    exported->hash = hash_of(*second);
    return {};
  }
  return fail(ErrorCode::kConflict, "{} changes all the time.", path);
}

Status ExportWork::release_disks() {
  fence_.reset();
  images_.clear();
  if (job_.picture) {
    RETURN_IF_ERROR(options_.pictures->end(archive().vm_uuid, socket()));
    ::unlink(socket().c_str());
    job_.picture = false;
    RETURN_IF_ERROR(save());
  }
  return remove_created();
}

Status ExportWork::write_manifest() {
  doing("The manifest is being written.");
  ArchiveItem* const definition = item(kDefinitionItem);
  DROVER_CHECK(definition != nullptr);
  RETURN_IF_ERROR(staging_->write(definition->file, planned_->definition));
  definition->size = {planned_->definition.size()};
  definition->hash = hash_of(planned_->definition);
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
  manifest.checkpoints = planned_->checkpoints;
  change([&](Archive& archive) { archive.items = items_; });
  const std::string text = manifest_text(manifest);
  if (text.size() > kManifestBytesMax || manifest.checkpoints.size() > kCheckpointsMax ||
      manifest.items.size() > kItemsMax) {
    return fail(ErrorCode::kConflict,
                "{} has too much for one export: {} files and {} snapshots. Fix: delete snapshots "
                "that are not needed.",
                archive().vm_name, manifest.items.size(), manifest.checkpoints.size());
  }
  return staging_->write(std::string(kManifestName), text);
}

Status ExportWork::undo() {
  RETURN_IF_ERROR(let_guest_go_on());
  RETURN_IF_ERROR(release_disks());
  staging_.reset();
  if (job_.staging.path.empty()) return {};
  const Status removed = remove_staging(job_.staging.path, move::identity_of(job_.staging));
  if (!removed && removed.error().code != ErrorCode::kConflict) return removed;
  if (!removed) leave(job_.staging.path, removed.error().text());
  job_.staging = {};
  return save();
}

// A name that is not on stable storage may be gone after a loss of power.
Result<bool> ExportWork::is_done() {
  const std::string& folder = archive().request.folder;
  if (!is_committed(folder, move::identity_of(job_.staging))) return false;
  RETURN_IF_ERROR(sync_folder(preflight::folder_of(folder)));
  return true;
}

std::string ExportWork::done_text() const {
  return fmt::format("{} is exported to {}.", archive().vm_name, archive().request.folder);
}

ArchiveItem* ExportWork::item(std::string_view name) {
  const auto found = std::ranges::find(items_, name, &ArchiveItem::item);
  return found == items_.end() ? nullptr : &*found;
}

}  // namespace drover::archive
