// SPDX-License-Identifier: Apache-2.0
#include "move/group.h"

#include <algorithm>

#include <sys/stat.h>

#include "base/log.h"
#include "content/ops.h"
#include "hypervisor/disk_image.h"
#include "model/group.h"
#include "preflight/codes.h"
#include "preflight/placement.h"

namespace drover::move {
namespace {

// To read and name an image is work for this host, and those of a group hold much the same: what
// the first of them do not have, the others hardly do.
constexpr std::uint64_t kShareMax = 2;

struct GroupImages {
  std::size_t vms = 0;  // of which something could be opened
  ByteCount allocated;
  std::vector<UniqueFd> files;
  std::vector<FileIdentity> identities;  // of the files
};

bool is_allowed_group(World& world, std::string_view group) {
  const HostSettings settings = world.book.settings();
  return std::ranges::find(settings.groups, group) != settings.groups.end();
}

// Nothing: it is not here any more. An error: nobody can say.
Result<std::optional<Vm>> find_member(World& world, const std::string& uuid) {
  auto vm = world.hypervisor.find_vm(uuid);
  if (vm && vm->uuid == uuid) return std::optional(std::move(*vm));
  if (!vm && vm.error().code != ErrorCode::kNotFound) return std::unexpected(vm.error());
  RETURN_IF_ERROR(world.journal.leave_group(uuid));
  return std::nullopt;
}

std::vector<std::string> image_paths(const Vm& vm) {
  std::vector<std::string> paths;
  for (const Disk& disk : vm.disks) {
    const bool local = disk.kind == DiskKind::kFile || disk.kind == DiskKind::kVolume;
    if (!local || disk.device != DiskDevice::kDisk || disk.path.empty()) continue;
    paths.push_back(disk.path);
    paths.insert(paths.end(), disk.backing_chain.begin(), disk.backing_chain.end());
  }
  return paths;
}

void add_image(const std::string& path, const std::vector<std::string>& folders,
               GroupImages& images) {
  const auto identity = file_identity(path);
  // Several VMs may stand on one base image.
  if (identity && std::ranges::find(images.identities, *identity) != images.identities.end())
    return;
  auto file = identity ? open_image(path, *identity, folders)
                       : Result<UniqueFd>(std::unexpected(identity.error()));
  struct stat found{};
  if (!file || ::fstat(file->get(), &found) != 0) {
    log::warning("{} is not shared within its group: {}", path,
                 file ? "it cannot be looked at" : file.error().text());
    return;
  }
  images.allocated += ByteCount{static_cast<std::uint64_t>(found.st_blocks) * 512};
  images.files.push_back(std::move(*file));
  images.identities.push_back(*identity);
}

// Of VMs of `group` other than this one, until there is as much as `enough`.
Result<GroupImages> find_images(World& world, std::string_view group, std::string_view but_uuid,
                                ByteCount enough) {
  ASSIGN_OR_RETURN(const auto members, world.journal.group_members(group));
  ASSIGN_OR_RETURN(const auto facts, world.hypervisor.host_facts());
  const auto folders = preflight::usable_folders(facts, world.book.settings());
  GroupImages images;
  for (const std::string& uuid : members) {
    if (uuid == but_uuid) continue;
    ASSIGN_OR_RETURN(const auto vm, find_member(world, uuid));
    if (!vm) continue;
    const std::size_t before = images.files.size();
    for (const auto& path : image_paths(*vm)) {
      if (images.files.size() == content::kGroupFilesMax) return images;
      add_image(path, folders, images);
    }
    if (images.files.size() > before) ++images.vms;
    if (images.allocated >= enough) break;
  }
  return images;
}

ByteCount enough_for(const std::vector<DiskPlacement>& placements) {
  ByteCount allocated;
  for (const auto& placement : placements) allocated += placement.allocated;
  return ByteCount{kShareMax * allocated.bytes};
}

ByteCount enough_for(const Vm& vm) {
  ByteCount allocated;
  for (const Disk& disk : vm.disks) allocated += disk.allocated;
  return ByteCount{kShareMax * allocated.bytes};
}

Finding note(preflight::Code code, const Vm& vm, std::string what, std::string why,
             std::vector<std::string> fixes = {}) {
  return {std::string(preflight::code_name(code)),
          FindingLevel::kNote,
          vm.name,
          std::move(what),
          std::move(why),
          std::move(fixes)};
}

}  // namespace

Status came_in_group(World& world, std::string_view vm_uuid, std::string_view group) {
  return group.empty() ? world.journal.leave_group(vm_uuid)
                       : world.journal.join_group(vm_uuid, group);
}

Status settle_group(World& world, const gate::RecordKey& record, const Plan& plan) {
  const auto decision = world.records.decision(record);
  if (!decision || *decision != gate::Decision::kAccepted) return {};
  return came_in_group(world, plan.vm.uuid, plan.request.group);
}

void forget_gone_members(World& world) {
  if (!world.hypervisor.connected()) return;
  const auto members = world.journal.group_members();
  Status done = members ? Status{} : Status(std::unexpected(members.error()));
  for (std::size_t i = 0; done && i < members->size(); ++i) {
    const auto found = find_member(world, (*members)[i]);
    if (!found) done = std::unexpected(found.error());
  }
  if (!done) log::warning("Who is gone from the move groups is not known: {}", done.error().text());
}

std::vector<UniqueFd> open_group(World& world, const Plan& plan) {
  const std::string& group = plan.request.group;
  if (group.empty() || !plan.request.references || !is_allowed_group(world, group)) return {};
  auto images = find_images(world, group, plan.vm.uuid, enough_for(plan.placements));
  if (!images) {
    log::warning("Nothing is shared within group {}: {}", group, images.error().text());
    return {};
  }
  return std::move(images->files);
}

std::optional<Finding> group_note(World& world, const MoveRequest& request, const Vm& vm) {
  using preflight::Code;
  const std::string& group = request.group;
  if (group.empty()) return {};
  if (!is_allowed_group(world, group)) {
    return note(Code::kGroupNotShared, vm,
                fmt::format("{} shares nothing within group {}.", world.host_name, group),
                "Only groups that its own administrator named take part; all of the disks travels.",
                {fmt::format("Allow it: drover settings {} groups+={}", world.host_name, group)});
  }
  const auto images = find_images(world, group, vm.uuid, enough_for(vm));
  if (!images) return {};
  if (images->vms == 0) {
    return note(Code::kGroupUsed, vm,
                fmt::format("{} has no other VM of group {} yet.", world.host_name, group),
                fmt::format("What {} brings need not travel again with the next one.", vm.name));
  }
  return note(Code::kGroupUsed, vm,
              fmt::format("{} has {} VM{} of group {} ({}).", world.host_name, images->vms,
                          images->vms == 1 ? "" : "s", group, to_text(images->allocated)),
              "What their disks hold will not travel again.");
}

}  // namespace drover::move
