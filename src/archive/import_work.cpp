// SPDX-License-Identifier: Apache-2.0
#include "archive/import_work.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fcntl.h>

#include "archive/manifest.h"
#include "base/file.h"
#include "base/log.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/stray_image.h"
#include "preflight/placement.h"

namespace drover::archive {
namespace {

constexpr const char* kNvramFolder = "/var/lib/libvirt/qemu/nvram";
constexpr mode_t kNvramFolderMode = 0755;  // as libvirt makes it

bool is_registered(const Archive& archive) { return archive.request.mode == ImportMode::kRegister; }

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

}  // namespace

Status ImportWork::work() {
  set_total(planned_->archive.bytes_total);
  ASSIGN_OR_RETURN(const HostFacts facts, world_.hypervisor.host_facts());
  auto allowed = preflight::usable_folders(facts, world_.book.settings());
  ASSIGN_OR_RETURN(const ExportFolder folder,
                   ExportFolder::open(archive().request.folder, allowed));
  allowed.emplace_back(kNvramFolder);
  for (const ArchiveItem& item : planned_->archive.items) {
    RETURN_IF_ERROR(go_on());
    doing(fmt::format("{} is being {}.", item.item,
                      is_registered(archive()) ? "verified" : "copied"));
    RETURN_IF_ERROR(take(folder, item, allowed));
  }
  change([&](Archive& archive) { archive.verified = planned_->has_manifest; });
  RETURN_IF_ERROR(sync_folders());
  return define();
}

// What was hashed is the very copy that the VM gets. Of a file that is used where it lies, whoever
// may write into the folder could change it later, as with any image.
Status ImportWork::take(const ExportFolder& folder, const ArchiveItem& item,
                        std::span<const std::string> allowed) {
  ASSIGN_OR_RETURN(const UniqueFd from, folder.file(item.file));
  HashedFile hashed;
  if (is_registered(archive())) {
    ASSIGN_OR_RETURN(hashed, hash_file(from.get(), item.file, watch({}, {})));
  } else {
    if (folder_of(item.path) == kNvramFolder)
      RETURN_IF_ERROR(make_folder(kNvramFolder, kNvramFolderMode));
    ASSIGN_OR_RETURN(const UniqueFd to, create(item.item, item.path, allowed));
    ASSIGN_OR_RETURN(hashed,
                     copy_file(from.get(), to.get(), item.file, watch({}, {folder_of(item.path)})));
  }
  if (planned_->has_manifest && (hashed.hash != item.hash || hashed.size != item.size)) {
    return fail(ErrorCode::kCorrupt,
                "{}/{} is not what was exported: its hash is another than that in the manifest. "
                "Nothing was imported. Take the folder from where it was exported once more.",
                folder.path(), item.file);
  }
  return check_image(item, item.path);
}

Status ImportWork::check_image(const ArchiveItem& item, const std::string& path) {
  if (item.format.empty()) return {};
  const UniqueFd image(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!image) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const ImageFacts facts, stray_image_facts(image.get(), path, item.format));
  if (!facts.backing_chain.empty() || facts.data_file || facts.encrypted)
    return fail(ErrorCode::kPolicy, "{} names other files by now.", item.file);
  if (item.format != "qcow2") return {};
  return check_image_tables(path, [this] { return go_on(); });
}

Status ImportWork::sync_folders() const {
  std::set<std::string> folders;
  for (const move::KnownFile& file : job_.created) folders.insert(folder_of(file.path));
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
    (void)world_.hypervisor.refresh_pool(folder_of(file.path));
  return {};
}

bool ImportWork::uses_our_files(const std::string& definition) const {
  const auto domain = parse_domain(definition);
  if (!domain) return false;
  return std::ranges::all_of(job_.created, [&](const move::KnownFile& file) {
    if (file.target == kNvramItem) return true;
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

// A VM that libvirt knows keeps its files.
Status ImportWork::undo() {
  ASSIGN_OR_RETURN(const bool known, is_done());
  if (known) {
    log::warning("The import {}: libvirt knows {}; its files stay.", id(), archive().vm_name);
    return {};
  }
  return remove_created();
}

std::string ImportWork::done_text() const {
  return fmt::format("{} is defined here, and off. To start it: virsh start {}", archive().vm_name,
                     archive().vm_name);
}

}  // namespace drover::archive
