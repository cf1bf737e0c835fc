// SPDX-License-Identifier: Apache-2.0
#include "archive/import_work.h"

#include <algorithm>
#include <set>

#include <fcntl.h>

#include "archive/file_use.h"
#include "archive/manifest.h"
#include "base/file.h"
#include "base/log.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/saved_memory.h"
#include "hypervisor/stray_image.h"
#include "preflight/placement.h"

namespace drover::archive {
namespace {

constexpr mode_t kNvramFolderMode = 0755;  // as libvirt makes it

bool is_registered(const Archive& archive) { return archive.request.mode == ImportMode::kRegister; }

// libvirt has the state of a TPM, and saved memory, in one place only.
bool stays_in_place(const Archive& archive, const ArchiveItem& item) {
  return is_registered(archive) && item.item != kTpmItem && item.item != kMemoryItem;
}

// The disk whose own image a file is; nothing: it is another file of the VM.
bool is_own_image(const move::KnownFile& file) {
  const auto name = image_name(file.target);
  const bool is_state =
      file.target == kNvramItem || file.target == kTpmItem || file.target == kMemoryItem;
  return !is_state && name && name->layer == 0;
}

// While it is held no QEMU can begin to write the file, and none does: what is read is one state of
// it. A file system that knows no locks has none to offer.
Result<gate::Fence> fence(const ArchiveItem& item, const UniqueFd& file) {
  std::vector<gate::FencedDisk> one;
  one.push_back({item.item, file.duplicate()});
  gate::Fence made(std::move(one));
  (void)made.take();
  const Status alone = made.check_no_writer();
  if (!alone && alone.error().code == ErrorCode::kConflict) {
    return std::unexpected(
        wrap(alone.error(),
             fmt::format("{} is in use. Fix: shut the VM off that runs from it.", item.file)));
  }
  return made;
}

}  // namespace

Status ImportWork::work() {
  set_total(planned_->archive.bytes_total);
  ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
  auto allowed = preflight::usable_folders(facts, world_.book.settings());
  ASSIGN_OR_RETURN(const ExportFolder folder,
                   ExportFolder::open(archive().request.folder, allowed));
  allowed.emplace_back(preflight::kNvramFolder);
  allowed.emplace_back(options_.tpm_folder);
  if (const auto memory =
          std::ranges::find(planned_->archive.items, kMemoryItem, &ArchiveItem::item);
      memory != planned_->archive.items.end()) {
    allowed.push_back(preflight::folder_of(memory->path));
  }
  for (const ArchiveItem& item : planned_->archive.items) {
    RETURN_IF_ERROR(go_on());
    doing(fmt::format("{} is being {}.", item.item,
                      is_registered(archive()) ? "verified" : "copied"));
    RETURN_IF_ERROR(take(folder, item, allowed));
  }
  change([&](Archive& archive) { archive.verified = planned_->has_manifest; });
  RETURN_IF_ERROR(sync_folders());
  RETURN_IF_ERROR(check_users());
  RETURN_IF_ERROR(define());
  fences_.clear();
  return {};
}

// The plan may be hours old.
Status ImportWork::check_users() {
  if (!is_registered(archive())) return {};
  for (const ArchiveItem& item : planned_->archive.items) {
    if (!stays_in_place(archive(), item)) continue;
    ASSIGN_OR_RETURN(const std::string user, user_of(world_.hypervisor, item.path));
    if (!user.empty())
      return fail(ErrorCode::kConflict, "{} is used by {} by now.", item.path, user);
  }
  return {};
}

// What was hashed is the very copy that the VM gets. Of a file that is used where it lies, whoever
// may write into the folder could change it later, as with any image.
Status ImportWork::take(const ExportFolder& folder, const ArchiveItem& item,
                        std::span<const std::string> allowed) {
  ASSIGN_OR_RETURN(const UniqueFd from, folder.file(item.file));
  ASSIGN_OR_RETURN(gate::Fence fenced, fence(item, from));
  // A file that is used where it lies stays as it was hashed until the VM is defined.
  if (stays_in_place(archive(), item)) fences_.push_back(std::move(fenced));
  HashedFile hashed;
  if (stays_in_place(archive(), item)) {
    ASSIGN_OR_RETURN(hashed, hash_file(from.get(), item.file, watch({}, {})));
  } else {
    ASSIGN_OR_RETURN(hashed, copy(from.get(), item, allowed));
  }
  if (planned_->has_manifest && (hashed.hash != item.hash || hashed.size != item.size)) {
    return fail(ErrorCode::kCorrupt,
                "{}/{} is not what was exported: its hash is another than that in the manifest. "
                "Nothing was imported. Take the folder from where it was exported once more.",
                folder.path(), item.file);
  }
  if (is_memory(item.item)) return define_memory(item);
  RETURN_IF_ERROR(check_image(item, item.path));
  return is_registered(archive()) ? Status{} : place_on_its_own(item);
}

// The guest goes on with the definition that was allowed here, whatever its memory came with.
Status ImportWork::define_memory(const ArchiveItem& item) {
  std::string definition = planned_->memory_definition;
  if (is_checkpoint_memory(item.item)) {
    ASSIGN_OR_RETURN(definition, checkpoint_definition(item.path));
  }
  ASSIGN_OR_RETURN(SavedMemory* const keeper, saved_memory_of(world_.hypervisor));
  return define_saved_for_good(*keeper, item.path, definition);
}

// What the VM was at the checkpoint whose memory is in this file.
Result<std::string> ImportWork::checkpoint_definition(const std::string& memory_file) const {
  for (const CheckpointText& text : planned_->checkpoints) {
    ASSIGN_OR_RETURN(const Checkpoint checkpoint, parse_checkpoint(text));
    if (checkpoint.memory_file != memory_file) continue;
    ASSIGN_OR_RETURN(const auto definitions, checkpoint_definitions(text.xml));
    if (!definitions.empty()) return definitions.front();
  }
  return fail(ErrorCode::kCorrupt, "No checkpoint says with what {} goes on.", memory_file);
}

Result<HashedFile> ImportWork::copy(int from, const ArchiveItem& item,
                                    std::span<const std::string> allowed) {
  const std::string folder = preflight::folder_of(item.path);
  if (folder == preflight::kNvramFolder) RETURN_IF_ERROR(make_folder(folder, kNvramFolderMode));
  if (item.item == kTpmItem) RETURN_IF_ERROR(make_tpm_folders(item.path));
  ASSIGN_OR_RETURN(const UniqueFd to, create(item.item, item.path, allowed));
  return copy_file(from, to.get(), item.file, watch({}, {folder}));
}

// An image that is based on another names it by its name in the folder.
Status ImportWork::place_on_its_own(const ArchiveItem& item) {
  const ArchiveItem* const below = item_below(planned_->archive.items, item.item);
  if (item.format.empty() || below == nullptr) return {};
  const UniqueFd image(::open(item.path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!image) return fail_errno("Cannot open " + item.path);
  return write_backing_name(image.get(), item.path, below->path, below->format);
}

Status ImportWork::check_image(const ArchiveItem& item, const std::string& path) {
  if (item.format.empty()) return {};
  const ArchiveItem* const below = item_below(planned_->archive.items, item.item);
  const std::vector<std::string> expected =
      below == nullptr ? std::vector<std::string>() : std::vector{below->file};
  const UniqueFd image(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!image) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const ImageFacts facts, stray_image_facts(image.get(), path, item.format));
  if (facts.backing_chain != expected || facts.data_file || facts.encrypted)
    return fail(ErrorCode::kPolicy, "{} names other files by now.", item.file);
  if (item.format != "qcow2") return {};
  return check_image_tables(path, [this] { return go_on(); });
}

Status ImportWork::sync_folders() const {
  std::set<std::string> folders;
  for (const move::KnownFile& file : job_.created) folders.insert(preflight::folder_of(file.path));
  for (const std::string& folder : folders) RETURN_IF_ERROR(sync_folder(folder));
  return {};
}

// libvirt replaces a definition of the same UUID and name without a word.
Status ImportWork::define() {
  doing("The VM is being defined.");
  RETURN_IF_ERROR(close_to_cancels());
  ASSIGN_OR_RETURN(const RunState known, world_.hypervisor.run_state(archive().vm_uuid));
  if (known.kind != RunState::Kind::kAbsent || world_.hypervisor.find_vm(archive().vm_name)) {
    return fail(ErrorCode::kConflict, "{} knows {} by now.", world_.host_name, archive().vm_name);
  }
  job_.defining = true;
  job_.checkpoints = planned_->checkpoints;
  RETURN_IF_ERROR(save());
  if (auto defined = world_.hypervisor.define(planned_->definition); !defined) {
    // An answer may be lost: what libvirt knows is what counts.
    const auto done = is_done();
    if (!done) return std::unexpected(done.error());
    if (!*done)
      return std::unexpected(
          wrap(defined.error(), fmt::format("libvirt does not take {}.", archive().vm_name)));
  }
  for (const move::KnownFile& file : job_.created)
    (void)world_.hypervisor.refresh_pool(preflight::folder_of(file.path));
  return {};
}

bool ImportWork::uses_our_files(const std::string& definition) const {
  const auto domain = parse_domain(definition);
  if (!domain) return false;
  return std::ranges::all_of(job_.created, [&](const move::KnownFile& file) {
    if (!is_own_image(file)) return true;
    return std::ranges::any_of(domain->disks, [&](const DiskFacts& disk) {
      return disk.disk.target == file.target && disk.disk.path == file.path;
    });
  });
}

Result<bool> ImportWork::is_done() {
  if (!job_.defining) return false;
  const auto definition =
      world_.hypervisor.definition(archive().vm_uuid, DefinitionKind::kPersistent);
  if (definition) return uses_our_files(*definition);
  if (definition.error().code == ErrorCode::kNotFound) return false;
  return std::unexpected(definition.error());
}

// Who has made one since has begun to use the VM: then nothing more is said of it. Of those that
// libvirt knows, an earlier try may have told it, and not the rest.
Status ImportWork::complete() {
  if (job_.checkpoints.empty()) return {};
  ASSIGN_OR_RETURN(const auto known, world_.hypervisor.checkpoints(archive().vm_uuid));
  const auto is_ours = [&](const CheckpointText& text) {
    return std::ranges::find(job_.checkpoints, text.name, &CheckpointText::name) !=
           job_.checkpoints.end();
  };
  if (!std::ranges::all_of(known, is_ours)) return {};
  return world_.hypervisor.know_checkpoints(archive().vm_uuid, job_.checkpoints);
}

// A VM that libvirt knows keeps its files.
Status ImportWork::undo() {
  fences_.clear();
  ASSIGN_OR_RETURN(const bool known, is_done());
  if (known) {
    log::warning("The import {}: libvirt knows {}; its files stay.", id(), archive().vm_name);
    return {};
  }
  std::vector<std::string> states;
  for (const move::KnownFile& file : job_.created) {
    if (file.target == kTpmItem) states.push_back(file.path);
  }
  RETURN_IF_ERROR(remove_created());
  for (const std::string& state : states) remove_tpm_folders(state);
  return {};
}

std::string ImportWork::done_text() const {
  const auto& items = archive().items;
  const bool saved = std::ranges::find(items, kMemoryItem, &ArchiveItem::item) != items.end();
  return fmt::format("{} is defined here, and off{}. To start it: virsh start {}",
                     archive().vm_name, saved ? ", with its memory" : "", archive().vm_name);
}

}  // namespace drover::archive
