// SPDX-License-Identifier: Apache-2.0
// Writes a VM into a folder (docs/export.md). Of a VM that runs: a picture of its disks, through
// its QEMU; of one that is off: its images, locked meanwhile so that it cannot be started. The main
// flow stands in export_work.cpp, the copying in export_copy.cpp, the memory in export_memory.cpp.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/archive_work.h"
#include "archive/export_folder.h"
#include "archive/export_plan.h"
#include "gate/fence.h"

namespace drover::archive {

class ExportWork final : public ArchiveWork {
 public:
  // `planned`: nothing to end a job that was interrupted.
  ExportWork(move::World& world, const ArchiveOptions& options, ArchiveJob job,
             std::optional<PlannedExport> planned)
      : ArchiveWork(world, options, std::move(job)), planned_(std::move(planned)) {}

 protected:
  Status work() override;
  Status undo() override;
  Result<bool> is_done() override;
  std::string done_text() const override;

 private:
  Status plan_anew();
  Status make_folder();
  Status write_memory();
  Status while_it_stands_still(const std::function<Status()>& act);
  Status let_guest_go_on();
  Status take_picture();
  Status fence_images();
  Status open_layers();
  Status copy_disks();
  Status copy_disk(const preflight::ExportedDisk& disk);
  Status copy_bytes(const preflight::ExportedDisk& disk, const std::string& image);
  Status copy_layers(const preflight::ExportedDisk& disk);
  Status copy_seen(const preflight::ExportedDisk& disk);
  Status copy_seen_on_layers(const preflight::ExportedDisk& disk);
  Status convert(const preflight::ExportedDisk& disk);
  Status check_chain(const preflight::ExportedDisk& disk) const;
  Result<HashedFile> hash_copy(int file, const std::string& name);
  Status copy_state(std::string_view name, const std::string& path);
  Status copy_memory();
  Result<HashedFile> take_file(const std::string& path, const std::string& name);
  Status copy_checkpoint_memories();
  Status release_disks();
  Status write_manifest();
  std::vector<ArchiveItem> chain_items() const;
  std::vector<std::string> written_folders() const;
  std::string socket() const;
  ArchiveItem* item(std::string_view name);

  std::optional<PlannedExport> planned_;
  std::optional<Staging> staging_;
  std::optional<gate::Fence> fence_;
  std::map<std::string, UniqueFd> images_;  // by item: what is fenced of a VM that is off, what the
                                            // disks of one that runs are based on
  std::vector<ArchiveItem> items_;
};

}  // namespace drover::archive
