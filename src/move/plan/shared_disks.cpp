// SPDX-License-Identifier: Apache-2.0
#include "move/plan/shared_disks.h"

#include <algorithm>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/qemu_conf.h"
#include "move/plan/media.h"
#include "move/plan/network_disks.h"
#include "preflight/layers.h"
#include "preflight/placement.h"

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
  for (const Disk& disc : media_in(vm)) marks.add(disc.path, disc.path);
  for (const Disk& disk : vm.disks) {
    const bool is_file = disk.kind == DiskKind::kFile || disk.kind == DiskKind::kVolume;
    if (disk.device != DiskDevice::kDisk || !is_file || disk.path.empty()) continue;
    marks.add(disk.target, disk.path);
    for (const DiskLayer& layer : disk.layers) marks.add(layer.path, layer.path);
  }
  for (const Checkpoint& checkpoint : vm.checkpoints) {
    const std::string& file = checkpoint.memory_file;
    if (!file.empty()) marks.add(file, file);
  }
  return marks;
}

void DiskMarks::add(const std::string& target, const std::string& path) {
  const bool known = std::ranges::find(marked_, target, &Marked::target) != marked_.end();
  if (known || !path.starts_with('/')) return;
  auto image = MarkedImage::mark(path);
  if (image)
    marked_.push_back({target, std::move(*image)});
  else
    log::info("Whether {} lies on shared storage cannot be proven: {}", path, image.error().text());
}

Result<DiskMarks> DiskMarks::on_shared(const Plan& plan) {
  DiskMarks marks;
  for (const DiskPlacement& placement : plan.placements) {
    if (!placement.shared || is_network(placement)) continue;
    ASSIGN_OR_RETURN(MarkedImage image, MarkedImage::mark(placement.source_path));
    marks.marked_.push_back({placement.target, std::move(image)});
  }
  for (const FilePlacement& file : plan.files) {
    if (!file.shared) continue;
    ASSIGN_OR_RETURN(MarkedImage image, MarkedImage::mark(file.source_path));
    marks.marked_.push_back({file.source_path, std::move(image)});
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
  const auto check = [&](const std::string& target, const std::string& path) -> Status {
    const auto* ours = mark_of(made, target);
    const auto* found = mark_of(report.marks, target);
    if (ours != nullptr && found != nullptr && ours->where == found->where) return {};
    return fail(ErrorCode::kProtocol,
                "{} says that it sees {} at {} as well, but not what we marked it with.",
                destination, target, path);
  };
  for (const DiskPlacement& placement : report.placements) {
    if (placement.shared && !is_network(placement))
      RETURN_IF_ERROR(check(placement.target, placement.destination_path));
  }
  for (const FilePlacement& file : report.files) {
    if (file.shared) RETURN_IF_ERROR(check(file.source_path, file.destination_path));
  }
  return {};
}

std::vector<UniqueFd> open_shared(World& world, const Plan& plan, std::size_t most) {
  std::vector<UniqueFd> files;
  if (!shares_disks(plan) || !plan.request.references) return files;
  const auto facts = world.hypervisor.host_facts();
  if (!facts) return files;
  const auto folders = preflight::usable_folders(*facts, world.book.settings());
  for (const DiskPlacement& placement : plan.placements) {
    if (!placement.shared || is_network(placement) || files.size() == most) continue;
    const std::string& path = placement.destination_path;
    const auto identity = file_identity(path);
    auto file = identity ? open_image(path, *identity, folders)
                         : Result<UniqueFd>(std::unexpected(identity.error()));
    if (file)
      files.push_back(std::move(*file));
    else
      log::info("What lies on {} travels with the memory: {}", path, file.error().text());
  }
  return files;
}

void keep_images_with_qemu(const Plan& plan, Runs runs) {
  for (const DiskPlacement& placement : plan.placements) {
    if (!placement.shared || is_network(placement)) continue;
    const std::string& path =
        runs == Runs::kHere ? placement.source_path : placement.destination_path;
    const UniqueFd image(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat found{};
    if (!image || ::fstat(image.get(), &found) != 0 || !S_ISREG(found.st_mode)) continue;
    const auto given = give_image_to_qemu(image.get(), qemu_conf());
    if (!given)
      log::warning("{} may belong to root although QEMU uses it: {}", path, given.error().text());
    else if (*given)
      log::info("{} had been given back to root by the other host's libvirt.", path);
  }
}

std::vector<DiskPlacement> copied_disks(const Plan& plan) {
  std::vector<DiskPlacement> copied;
  std::ranges::copy_if(plan.placements, std::back_inserter(copied),
                       [](const DiskPlacement& placement) { return !placement.shared; });
  return copied;
}

std::vector<DiskPlacement> room_for(const Plan& plan) {
  auto disks = copied_disks(plan);
  for (const FilePlacement& file : plan.files) {
    const auto is_it = [&](const DiskPlacement& disk) {
      return disk.destination_path == file.destination_path;
    };
    if (file.shared || file.present || std::ranges::any_of(disks, is_it)) continue;
    const ByteCount room = file.allocated.bytes != 0 ? file.allocated : file.virtual_size;
    disks.push_back({file.item, file.source_path, file.destination_path, file.format,
                     file.virtual_size, room, file.cluster_size});
  }
  return disks;
}

bool copies_disks(const Plan& plan) {
  return !std::ranges::all_of(plan.placements, &DiskPlacement::shared);
}

bool shares_disks(const Plan& plan) {
  return std::ranges::any_of(plan.placements, &DiskPlacement::shared);
}

bool keeps_chains(const Plan& plan) {
  return std::ranges::any_of(copied_disks(plan), [&](const DiskPlacement& placement) {
    return preflight::stays_a_chain(plan, placement.target);
  });
}

}  // namespace drover::move
