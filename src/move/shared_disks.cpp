// SPDX-License-Identifier: Apache-2.0
#include "move/shared_disks.h"

#include <algorithm>

#include "base/log.h"

namespace drover::move {
namespace {

const preflight::DiskMark* mark_of(const std::vector<preflight::DiskMark>& marks,
                                   const std::string& target) {
  const auto found = std::ranges::find(marks, target, &preflight::DiskMark::target);
  return found == marks.end() ? nullptr : &*found;
}

}  // namespace

DiskMarks DiskMarks::on(const Vm& vm) {
  DiskMarks marks;
  for (const Disk& disk : vm.disks) {
    const bool is_file = disk.kind == DiskKind::kFile || disk.kind == DiskKind::kVolume;
    if (disk.device != DiskDevice::kDisk || !is_file || disk.path.empty()) continue;
    auto image = MarkedImage::mark(disk.path);
    if (image)
      marks.marked_.push_back({disk.target, std::move(*image)});
    else
      log::info("Whether {} lies on shared storage cannot be proven: {}", disk.path,
                image.error().text());
  }
  return marks;
}

Result<DiskMarks> DiskMarks::on_shared(const Plan& plan) {
  DiskMarks marks;
  for (const DiskPlacement& placement : plan.placements) {
    if (!placement.shared) continue;
    ASSIGN_OR_RETURN(MarkedImage image, MarkedImage::mark(placement.source_path));
    marks.marked_.push_back({placement.target, std::move(image)});
  }
  return marks;
}

std::vector<preflight::DiskMark> DiskMarks::where() const {
  std::vector<preflight::DiskMark> list;
  for (const Marked& one : marked_) list.push_back({one.target, one.image.where()});
  return list;
}

Status check_shared(const std::vector<preflight::DiskMark>& made,
                    const preflight::DestinationReport& report, std::string_view destination) {
  for (const DiskPlacement& placement : report.placements) {
    if (!placement.shared) continue;
    const auto* ours = mark_of(made, placement.target);
    const auto* found = mark_of(report.marks, placement.target);
    if (ours != nullptr && found != nullptr && ours->where == found->where) continue;
    return fail(ErrorCode::kProtocol,
                "{} says that it sees disk {} at {} as well, but not what we marked it with.",
                destination, placement.target, placement.destination_path);
  }
  return {};
}

std::vector<DiskPlacement> copied_disks(const Plan& plan) {
  std::vector<DiskPlacement> copied;
  std::ranges::copy_if(plan.placements, std::back_inserter(copied),
                       [](const DiskPlacement& placement) { return !placement.shared; });
  return copied;
}

bool copies_disks(const Plan& plan) {
  return !std::ranges::all_of(plan.placements, &DiskPlacement::shared);
}

bool shares_disks(const Plan& plan) {
  return std::ranges::any_of(plan.placements, &DiskPlacement::shared);
}

}  // namespace drover::move
