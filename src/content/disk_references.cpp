// SPDX-License-Identifier: Apache-2.0
#include "content/disk_references.h"

#include <string>

namespace drover::content {

std::optional<DiskBlock> DiskReferences::find(const Name& name) const {
  if (!content_->refers_to_any()) return {};
  const auto at = content_->find_on_disk(name);
  if (!at) return {};
  const bool refers =
      is_held(at->disk) ? content_->refers_to_held(at->disk) : content_->refers_to_disks();
  return refers ? at : std::nullopt;
}

void DiskReferences::write(const DiskBlock& at, const Name& name, std::optional<std::uint64_t> page,
                           BatchWriter& writer) {
  if (!is_held(at.disk) && !defined_[at.disk]) {
    const std::string export_name = content_->export_name(at.disk);
    writer.define_disk(
        at.disk, {reinterpret_cast<const std::uint8_t*>(export_name.data()), export_name.size()});
    defined_.set(at.disk);
  }
  writer.reference({.kind = OpKind::kDiskPage, .where = at.block, .disk = at.disk, .name = name},
                   page);
}

}  // namespace drover::content
