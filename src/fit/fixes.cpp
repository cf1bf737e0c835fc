// SPDX-License-Identifier: Apache-2.0
#include "fit/fixes.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/random.h"
#include "fit/cpu_compat.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/take_disk_over.h"

namespace drover::fit {
namespace {

using move::World;
using Op = SettingChange::Op;

constexpr std::size_t kIdCharacters = 8;

// What a fix needs to say and to do. `prepare` looks, and fills done, undo, before and after as far
// as they are known; `change` does it; `undo` takes it back.
struct Mender {
  std::string_view code;
  bool (*fits)(const Finding& finding, const Plan& plan, std::string_view host);
  Status (*prepare)(World& world, const Finding& finding, const Plan& plan, AppliedFix& fix);
  Status (*change)(World& world, AppliedFix& fix);
  Status (*undo)(World& world, const AppliedFix& fix);
};

std::unexpected<Error> changed_since(std::string_view what) {
  return fail(ErrorCode::kConflict, "{} was changed since, so it stays as it is.", what);
}

// --- moves away from here are off

bool is_of_host(const Finding& finding, const Plan&, std::string_view host) {
  return finding.object == host;
}

Status prepare_outgoing(World& world, const Finding&, const Plan&, AppliedFix& fix) {
  fix.vm_uuid.clear();
  fix.vm_name.clear();
  fix.done = fmt::format("Moves away from {} are on.", world.host_name);
  fix.undo = "Turns them off.";
  fix.before = "off";
  fix.after = "on";
  return {};
}

Status change_outgoing(World& world, AppliedFix& fix) {
  RETURN_IF_ERROR(world.book.change_settings({{"outgoing", Op::kSet, fix.after}}));
  return {};
}

Status undo_outgoing(World& world, const AppliedFix& fix) {
  RETURN_IF_ERROR(world.book.change_settings({{"outgoing", Op::kSet, fix.before}}));
  return {};
}

// --- a folder of a storage move is not allowed here

bool is_folder_here(const Finding& finding, const Plan& plan, std::string_view) {
  return plan.kind == MoveKind::kStorage && finding.object.starts_with('/');
}

Status prepare_folder(World&, const Finding& finding, const Plan&, AppliedFix& fix) {
  fix.vm_uuid.clear();
  fix.vm_name.clear();
  fix.done = fmt::format("{} is an allowed folder.", finding.object);
  fix.undo = "Forbids it again; what lies there stays.";
  fix.after = finding.object;
  return {};
}

Status change_folder(World& world, AppliedFix& fix) {
  RETURN_IF_ERROR(world.book.change_settings({{"allowed-folders", Op::kAdd, fix.after}}));
  return {};
}

Status undo_folder(World& world, const AppliedFix& fix) {
  const auto allowed = world.book.settings().allowed_folders;
  if (std::ranges::find(allowed, fix.after) == allowed.end()) return {};
  RETURN_IF_ERROR(world.book.change_settings({{"allowed-folders", Op::kRemove, fix.after}}));
  return {};
}

// --- memory is not kept for the way back

// The other reason is performance=direct.
bool is_too_large(const Finding& finding, const Plan&, std::string_view) {
  return std::ranges::any_of(finding.fixes,
                             [](const auto& text) { return text.contains("residue-max="); });
}

Status prepare_residue(World& world, const Finding&, const Plan& plan, AppliedFix& fix) {
  const ByteCount now = world.book.settings().residue_max;
  if (now >= plan.vm.memory) {
    return fail(ErrorCode::kConflict,
                "The setting residue-max ({}) is not why the memory of {} is not kept.",
                to_text(now), plan.vm.name);
  }
  const std::uint64_t mibs = (plan.vm.memory.bytes + mib(1).bytes - 1) / mib(1).bytes;
  fix.vm_uuid.clear();
  fix.vm_name.clear();
  fix.before = now.bytes == 0 ? "off" : fmt::format("{}", now.bytes);
  fix.after = fmt::format("{}M", mibs);
  fix.done = fmt::format("Up to {} of memory is kept of VMs that left.", to_text(mib(mibs)));
  fix.undo = fmt::format("Sets residue-max to {} again.", to_text(now));
  return {};
}

Status set_residue(World& world, const std::string& value) {
  RETURN_IF_ERROR(world.book.change_settings({{"residue-max", Op::kSet, value}}));
  return {};
}

Status change_residue(World& world, AppliedFix& fix) { return set_residue(world, fix.after); }
Status undo_residue(World& world, const AppliedFix& fix) { return set_residue(world, fix.before); }

// --- a disc is in a drive

bool is_drive(const Finding& finding, const Plan& plan, std::string_view) {
  return std::ranges::any_of(plan.vm.disks, [&](const Disk& disk) {
    return disk.target == finding.object && !disk.path.empty() &&
           (disk.device == DiskDevice::kCdrom || disk.device == DiskDevice::kFloppy);
  });
}

Result<std::string> media_in(World& world, const std::string& uuid, const std::string& target) {
  ASSIGN_OR_RETURN(const Vm vm, world.hypervisor.find_vm(uuid));
  const auto disk = std::ranges::find(vm.disks, target, &Disk::target);
  if (disk == vm.disks.end())
    return fail(ErrorCode::kNotFound, "{} has no drive {}.", vm.name, target);
  return disk->path;
}

Status prepare_media(World& world, const Finding& finding, const Plan& plan, AppliedFix& fix) {
  ASSIGN_OR_RETURN(fix.before, media_in(world, plan.vm.uuid, finding.object));
  fix.done = fmt::format("The drive {} of {} is empty; {} was in it.", finding.object, plan.vm.name,
                         fix.before);
  fix.undo = fmt::format("Inserts {} again.", fix.before);
  return {};
}

Status change_media(World& world, AppliedFix& fix) {
  return world.hypervisor.change_media(fix.vm_uuid, fix.object, "");
}

Status undo_media(World& world, const AppliedFix& fix) {
  ASSIGN_OR_RETURN(const std::string now, media_in(world, fix.vm_uuid, fix.object));
  if (now == fix.before) return {};
  if (!now.empty()) return changed_since(fmt::format("What is in the drive {}", fix.object));
  return world.hypervisor.change_media(fix.vm_uuid, fix.object, fix.before);
}

// --- it has no persistent definition

bool always(const Finding&, const Plan&, std::string_view) { return true; }

Status prepare_definition(World& world, const Finding&, const Plan& plan, AppliedFix& fix) {
  ASSIGN_OR_RETURN(fix.after, world.hypervisor.definition(plan.vm.uuid, DefinitionKind::kLive));
  fix.done = fmt::format("{} is defined as it runs.", plan.vm.name);
  fix.undo = "Takes the definition away; a VM that runs goes on, and is forgotten when it ends.";
  return {};
}

Status change_definition(World& world, AppliedFix& fix) {
  RETURN_IF_ERROR(world.hypervisor.define(fix.after));
  fix.after.clear();  // libvirt has it now
  return {};
}

Status undo_definition(World& world, const AppliedFix& fix) {
  ASSIGN_OR_RETURN(const Vm vm, world.hypervisor.find_vm(fix.vm_uuid));
  if (vm.state == VmState::kOff) {
    return fail(
        ErrorCode::kConflict,
        "{} is off: without its definition nothing would be left of it. Fix: virsh undefine "
        "{}, if that is meant.",
        vm.name, vm.name);
  }
  return world.hypervisor.undefine(fix.vm_uuid);
}

// --- the next boot would use another disk

Status prepare_next_boot(World& world, const Finding& finding, const Plan& plan, AppliedFix& fix) {
  ASSIGN_OR_RETURN(fix.before,
                   world.hypervisor.definition(plan.vm.uuid, DefinitionKind::kPersistent));
  ASSIGN_OR_RETURN(const std::string live,
                   world.hypervisor.definition(plan.vm.uuid, DefinitionKind::kLive));
  ASSIGN_OR_RETURN(fix.after, take_disk_over(fix.before, live, finding.object));
  fix.done = fmt::format("At its next boot {} has the disk {} as it has it now.", plan.vm.name,
                         finding.object);
  fix.undo = "Brings the former definition for the next boot back.";
  return {};
}

Status change_next_boot(World& world, AppliedFix& fix) {
  RETURN_IF_ERROR(world.hypervisor.define(fix.after));
  // As libvirt wrote it: that is what the undo compares with.
  ASSIGN_OR_RETURN(fix.after,
                   world.hypervisor.definition(fix.vm_uuid, DefinitionKind::kPersistent));
  return {};
}

Status undo_next_boot(World& world, const AppliedFix& fix) {
  ASSIGN_OR_RETURN(const std::string now,
                   world.hypervisor.definition(fix.vm_uuid, DefinitionKind::kPersistent));
  if (now == fix.before) return {};
  if (now != fix.after) return changed_since(fmt::format("The definition of {}", fix.vm_name));
  return world.hypervisor.define(fix.before);
}

constexpr std::array kMenders{
    Mender{"FOLDER_NOT_ALLOWED", is_folder_here, prepare_folder, change_folder, undo_folder},
    Mender{"MEDIA_INSERTED", is_drive, prepare_media, change_media, undo_media},
    Mender{"MEMORY_NOT_KEPT", is_too_large, prepare_residue, change_residue, undo_residue},
    Mender{"MIGRATION_DISABLED", is_of_host, prepare_outgoing, change_outgoing, undo_outgoing},
    Mender{"PERSISTENT_DIFFERS", always, prepare_next_boot, change_next_boot, undo_next_boot},
    Mender{"VM_TRANSIENT", always, prepare_definition, change_definition, undo_definition},
};

constexpr auto kCodes = [] {
  std::array<std::string_view, kMenders.size()> codes{};
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = kMenders[i].code;
  return codes;
}();

const Mender* mender_of(std::string_view code) {
  const auto found = std::ranges::find(kMenders, code, &Mender::code);
  return found == kMenders.end() ? nullptr : &*found;
}

// Written down before it is done: whatever happens, there is an undo that looks first.
Result<AppliedFix> mend(World& world, const Mender& mender, const Finding& finding,
                        const Plan& plan, std::string_view requested_by) {
  AppliedFix fix;
  fix.id = random_name(kIdCharacters);
  fix.code = finding.code;
  fix.object = finding.object;
  fix.host = world.host_name;
  fix.vm_uuid = plan.vm.uuid;
  fix.vm_name = plan.vm.name;
  fix.requested_by = requested_by;
  fix.applied_at = std::chrono::system_clock::now();
  RETURN_IF_ERROR(mender.prepare(world, finding, plan, fix));
  auto book = world.book.fixes();
  RETURN_IF_ERROR(book.save(fix));
  if (auto changed = mender.change(world, fix); !changed) {
    (void)book.remove(fix.id);
    return std::unexpected(changed.error());
  }
  RETURN_IF_ERROR(book.save(fix));
  log::info("{} for {}: {} Asked by {}.", fix.code, fix.object, fix.done, requested_by);
  return fix;
}

}  // namespace

std::span<const std::string_view> fixable_codes() { return kCodes; }

bool can_fix(const Finding& finding, const Plan& plan, std::string_view host) {
  const Mender* mender = mender_of(finding.code);
  return mender != nullptr && mender->fits(finding, plan, host);
}

void mark_fixable(Plan& plan, std::string_view host) {
  for (Finding& finding : plan.findings) finding.appliable = can_fix(finding, plan, host);
}

Result<std::vector<AppliedFix>> apply_fix(World& world, const Plan& plan, std::string_view code,
                                          std::string_view requested_by) {
  const Mender* mender = mender_of(code);
  if (mender == nullptr) {
    return fail(ErrorCode::kInvalidArgument,
                "Drover has no fix of its own for {}. The plan names what helps; drover explain {} "
                "says more.",
                code, code);
  }
  std::vector<AppliedFix> fixes;
  for (const Finding& finding : plan.findings) {
    if (finding.code != code || !can_fix(finding, plan, world.host_name)) continue;
    ASSIGN_OR_RETURN(fixes.emplace_back(), mend(world, *mender, finding, plan, requested_by));
  }
  if (fixes.empty()) {
    return fail(ErrorCode::kNotFound, "The plan has no finding {} that {} can mend.", code,
                world.host_name);
  }
  return fixes;
}

Result<AppliedFix> undo_fix(World& world, std::string_view id) {
  auto book = world.book.fixes();
  ASSIGN_OR_RETURN(AppliedFix fix, book.find(id));
  if (fix.undone_at) return fail(ErrorCode::kConflict, "The fix {} was undone already.", id);
  const Mender* mender = mender_of(fix.code);
  if (fix.code == kCpuFix) {
    RETURN_IF_ERROR(undo_cpu(world, fix));
  } else if (mender != nullptr) {
    RETURN_IF_ERROR(mender->undo(world, fix));
  } else {
    return fail(ErrorCode::kConflict, "This release does not know the fix {} ({}).", id, fix.code);
  }
  fix.undone_at = std::chrono::system_clock::now();
  RETURN_IF_ERROR(book.save(fix));
  log::info("The fix {} ({} for {}) was undone.", fix.id, fix.code, fix.object);
  return fix;
}

}  // namespace drover::fit
