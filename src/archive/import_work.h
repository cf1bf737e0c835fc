// SPDX-License-Identifier: Apache-2.0
// Makes a VM out of a folder (docs/export.md): copies and hashes its files, or only hashes them
// where they lie, and defines it. It is not started.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "archive/archive_work.h"
#include "archive/export_folder.h"
#include "archive/import_plan.h"
#include "gate/fence.h"

namespace drover::archive {

class ImportWork final : public ArchiveWork {
 public:
  // `planned`: nothing to end a job that was interrupted.
  ImportWork(move::World& world, const ArchiveOptions& options, ArchiveJob job,
             std::optional<PlannedImport> planned)
      : ArchiveWork(world, options, std::move(job)), planned_(std::move(planned)) {}

 protected:
  Status work() override;
  Status undo() override;
  Result<bool> is_done() override;
  Status complete() override;
  std::string done_text() const override;

 private:
  Status take(const ExportFolder& folder, const ArchiveItem& item,
              std::span<const std::string> allowed);
  Result<HashedFile> copy(int from, const ArchiveItem& item, std::span<const std::string> allowed);
  Status define_memory(const ArchiveItem& item);
  Result<std::string> checkpoint_definition(const std::string& memory_file) const;
  Status place_on_its_own(const ArchiveItem& item);
  Status check_image(const ArchiveItem& item, const std::string& path);
  Status check_users();
  Status sync_folders() const;
  Status define();
  bool uses_our_files(const std::string& definition) const;

  std::optional<PlannedImport> planned_;
  std::vector<gate::Fence> fences_;  // of files that are used where they lie
};

}  // namespace drover::archive
