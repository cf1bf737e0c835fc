// SPDX-License-Identifier: Apache-2.0
#include "fit/fixes.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/random.h"
#include "fit/cpu_compat.h"
#include "fit/unsure.h"
#include "hypervisor/device_changes.h"
#include "hypervisor/take_disk_over.h"

namespace drover::fit {
namespace {

using move::World;
using Op = SettingChange::Op;

constexpr std::size_t kIdCharacters = 8;

// A fix that is made. fix.after is what an undo compares with: of what somebody else writes in his
// own words, as libvirt does, it stays empty until that was read.
struct Mending {
  AppliedFix fix;
  std::string wanted;  // a definition
};

// What a fix needs to say and to do. `prepare` looks whether it is still needed, and fills done,
// undo, before, wanted, and after as far as it is known; `change` does it; `note` fills after;
// `undo` takes it back. Of a VM all but `fits` are called while nobody else has it.
struct Mender {
  std::string_view code;
  bool of_host;  // else it changes the VM
  bool (*fits)(const Finding& finding, const Plan& plan, std::string_view host);
  Status (*prepare)(World& world, const Finding& finding, const Plan& plan, Mending& mending);
  Status (*change)(World& world, const Mending& mending);
  Status (*note)(World& world, AppliedFix& fix);
  Status (*undo)(World& world, AppliedFix& fix);
};

std::unexpected<Error> changed_since(std::string_view what) {
  return fail(ErrorCode::kConflict, "{} was changed since, so it stays as it is.", what);
}

std::unexpected<Error> needless(std::string_view what) {
  return fail(ErrorCode::kConflict, "{}: nothing is to be mended. Make a new plan.", what);
}

void make_of_host(AppliedFix& fix) {
  fix.vm_uuid.clear();
  fix.vm_name.clear();
}

Status change_setting(World& world, const char* name, Op op, const std::string& value) {
  RETURN_IF_ERROR(world.book.change_settings({{name, op, value}}));
  return {};
}

Status nothing_to_note(World&, AppliedFix&) { return {}; }

Status note_definition(World& world, AppliedFix& fix) {
  ASSIGN_OR_RETURN(fix.after,
                   world.hypervisor.definition(fix.vm_uuid, DefinitionKind::kPersistent));
  return {};
}

Status define_it(World& world, const Mending& mending) {
  return world.hypervisor.define(mending.wanted);
}

// --- moves away from here are off

bool is_of_host(const Finding& finding, const Plan&, std::string_view host) {
  return finding.object == host;
}

Status prepare_outgoing(World& world, const Finding&, const Plan&, Mending& mending) {
  if (world.book.settings().outgoing)
    return needless(fmt::format("Moves away from {} are on already", world.host_name));
  AppliedFix& fix = mending.fix;
  make_of_host(fix);
  fix.done = fmt::format("Moves away from {} are on.", world.host_name);
  fix.undo = "Turns them off.";
  fix.before = "off";
  fix.after = "on";
  return {};
}

Status change_outgoing(World& world, const Mending& mending) {
  return change_setting(world, "outgoing", Op::kSet, mending.fix.after);
}

Status undo_outgoing(World& world, AppliedFix& fix) {
  if (!world.book.settings().outgoing) return {};
  return change_setting(world, "outgoing", Op::kSet, fix.before);
}

// --- a folder of a storage move is not allowed here

bool is_folder_here(const Finding& finding, const Plan& plan, std::string_view) {
  return plan.kind == MoveKind::kStorage && finding.object.starts_with('/');
}

bool is_listed(World& world, const std::string& folder) {
  const auto allowed = world.book.settings().allowed_folders;
  return std::ranges::find(allowed, folder) != allowed.end();
}

Status prepare_folder(World& world, const Finding& finding, const Plan&, Mending& mending) {
  if (is_listed(world, finding.object))
    return needless(fmt::format("{} is an allowed folder already", finding.object));
  AppliedFix& fix = mending.fix;
  make_of_host(fix);
  fix.done = fmt::format("{} is an allowed folder.", finding.object);
  fix.undo = "Forbids it again; what lies there stays.";
  fix.after = finding.object;
  return {};
}

Status change_folder(World& world, const Mending& mending) {
  return change_setting(world, "allowed-folders", Op::kAdd, mending.fix.after);
}

Status undo_folder(World& world, AppliedFix& fix) {
  if (!is_listed(world, fix.after)) return {};
  return change_setting(world, "allowed-folders", Op::kRemove, fix.after);
}

// --- memory is not kept for the way back

// The other reason is performance=direct.
bool is_too_large(const Finding& finding, const Plan&, std::string_view) {
  return std::ranges::any_of(finding.fixes,
                             [](const auto& text) { return text.contains("residue-max="); });
}

Status prepare_residue(World& world, const Finding&, const Plan& plan, Mending& mending) {
  AppliedFix& fix = mending.fix;
  const ByteCount now = world.book.settings().residue_max;
  if (now >= plan.vm.memory) {
    return fail(ErrorCode::kConflict,
                "The setting residue-max ({}) is not why the memory of {} is not kept.",
                to_text(now), plan.vm.name);
  }
  const std::uint64_t mibs = (plan.vm.memory.bytes + mib(1).bytes - 1) / mib(1).bytes;
  make_of_host(fix);
  fix.before = now.bytes == 0 ? "off" : fmt::format("{}", now.bytes);
  fix.after = fmt::format("{}M", mibs);
  fix.done = fmt::format("Up to {} of memory is kept of VMs that left.", to_text(mib(mibs)));
  fix.undo = fmt::format("Sets residue-max to {} again.", to_text(now));
  return {};
}

Status change_residue(World& world, const Mending& mending) {
  return change_setting(world, "residue-max", Op::kSet, mending.fix.after);
}

Status undo_residue(World& world, AppliedFix& fix) {
  const auto size = [](const std::string& text) {
    return text == "off" ? ByteCount{} : parse_byte_count(text).value_or(ByteCount{});
  };
  const ByteCount now = world.book.settings().residue_max;
  if (now == size(fix.before)) return {};
  if (now != size(fix.after)) return changed_since("The setting residue-max");
  return change_setting(world, "residue-max", Op::kSet, fix.before);
}

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

Status prepare_media(World& world, const Finding& finding, const Plan& plan, Mending& mending) {
  AppliedFix& fix = mending.fix;
  ASSIGN_OR_RETURN(fix.before, media_in(world, plan.vm.uuid, finding.object));
  if (fix.before.empty())
    return needless(fmt::format("The drive {} of {} is empty", finding.object, plan.vm.name));
  fix.done = fmt::format("The drive {} of {} is empty; {} was in it.", finding.object, plan.vm.name,
                         fix.before);
  fix.undo = fmt::format("Inserts {} again.", fix.before);
  return {};
}

Status change_media(World& world, const Mending& mending) {
  return world.hypervisor.change_media(mending.fix.vm_uuid, mending.fix.object, "",
                                       Hypervisor::InDrive::kAlways);
}

Status undo_media(World& world, AppliedFix& fix) {
  ASSIGN_OR_RETURN(const std::string now, media_in(world, fix.vm_uuid, fix.object));
  if (now == fix.before) return {};
  if (!now.empty()) return changed_since(fmt::format("What is in the drive {}", fix.object));
  return world.hypervisor.change_media(fix.vm_uuid, fix.object, fix.before,
                                       Hypervisor::InDrive::kAlways);
}

// --- it has no persistent definition

bool always(const Finding&, const Plan&, std::string_view) { return true; }

Status prepare_definition(World& world, const Finding&, const Plan& plan, Mending& mending) {
  ASSIGN_OR_RETURN(const Vm vm, world.hypervisor.find_vm(plan.vm.uuid));
  if (vm.persistent) return needless(fmt::format("{} has a definition", vm.name));
  ASSIGN_OR_RETURN(mending.wanted,
                   world.hypervisor.definition(plan.vm.uuid, DefinitionKind::kLive));
  mending.fix.done = fmt::format("{} is defined as it runs.", plan.vm.name);
  mending.fix.undo =
      "Takes the definition away; a VM that runs goes on, and is forgotten when it ends.";
  return {};
}

std::unexpected<Error> only_that_is_left(const Vm& vm) {
  return fail(ErrorCode::kConflict,
              "{} is off: without its definition nothing would be left of it. Fix: virsh undefine "
              "{}, if that is meant.",
              vm.name, vm.name);
}

// A fix that was interrupted, or made by an earlier release, does not know what libvirt wrote; what
// is taken away then is kept with it.
Status undo_definition(World& world, AppliedFix& fix) {
  ASSIGN_OR_RETURN(const Vm vm, world.hypervisor.find_vm(fix.vm_uuid));
  if (!vm.persistent) return {};
  if (vm.state == VmState::kOff) return only_that_is_left(vm);
  ASSIGN_OR_RETURN(const std::string now,
                   world.hypervisor.definition(fix.vm_uuid, DefinitionKind::kPersistent));
  if (fix.after.empty()) {
    fix.after = now;
    RETURN_IF_ERROR(world.book.fixes().save(fix));
  }
  if (now != fix.after) return changed_since(fmt::format("The definition of {}", vm.name));
  RETURN_IF_ERROR(world.hypervisor.undefine(fix.vm_uuid));
  const auto still = world.hypervisor.find_vm(fix.vm_uuid);
  if (still || still.error().code != ErrorCode::kNotFound) return {};
  // Its guest ended in between.
  RETURN_IF_ERROR(world.hypervisor.define(now));
  return only_that_is_left(vm);
}

// --- the next boot would use another disk

Status prepare_next_boot(World& world, const Finding& finding, const Plan& plan, Mending& mending) {
  AppliedFix& fix = mending.fix;
  ASSIGN_OR_RETURN(fix.before,
                   world.hypervisor.definition(plan.vm.uuid, DefinitionKind::kPersistent));
  ASSIGN_OR_RETURN(const std::string live,
                   world.hypervisor.definition(plan.vm.uuid, DefinitionKind::kLive));
  ASSIGN_OR_RETURN(mending.wanted, take_disk_over(fix.before, live, finding.object));
  fix.done = fmt::format("At its next boot {} has the disk {} as it has it now.", plan.vm.name,
                         finding.object);
  fix.undo = "Brings the former definition for the next boot back.";
  return {};
}

// Where droverd died before it had read what libvirt wrote, only the disk is brought back: whoever
// changed something else since keeps that.
Status undo_next_boot(World& world, AppliedFix& fix) {
  ASSIGN_OR_RETURN(const std::string now,
                   world.hypervisor.definition(fix.vm_uuid, DefinitionKind::kPersistent));
  if (now == fix.before) return {};
  if (fix.after.empty()) {
    const auto former = take_disk_over(now, fix.before, fix.object);
    if (former) return world.hypervisor.define(*former);
    // The fix was to take the disk out, so there is none to be given its former self.
    if (!device_changes(fix.before, now).empty())
      return changed_since(fmt::format("The definition of {}", fix.vm_name));
    return world.hypervisor.define(fix.before);
  }
  if (now != fix.after) return changed_since(fmt::format("The definition of {}", fix.vm_name));
  return world.hypervisor.define(fix.before);
}

constexpr std::array kMenders{
    Mender{"FOLDER_NOT_ALLOWED", true, is_folder_here, prepare_folder, change_folder,
           nothing_to_note, undo_folder},
    Mender{"MEDIA_INSERTED", false, is_drive, prepare_media, change_media, nothing_to_note,
           undo_media},
    Mender{"MEMORY_NOT_KEPT", true, is_too_large, prepare_residue, change_residue, nothing_to_note,
           undo_residue},
    Mender{"MIGRATION_DISABLED", true, is_of_host, prepare_outgoing, change_outgoing,
           nothing_to_note, undo_outgoing},
    Mender{"PERSISTENT_DIFFERS", false, always, prepare_next_boot, define_it, note_definition,
           undo_next_boot},
    Mender{"VM_TRANSIENT", false, always, prepare_definition, define_it, note_definition,
           undo_definition},
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

// Written down before it is done: whatever happens, there is an undo that looks first. Only what
// certainly was not done is struck out again.
Status carry_out(World& world, const Mender& mender, Mending& mending) {
  AppliedFix& fix = mending.fix;
  auto book = world.book.fixes();
  RETURN_IF_ERROR(book.save(fix));
  if (auto changed = mender.change(world, mending); !changed) {
    if (!may_be_done(changed.error())) (void)book.remove(fix.id);
    return changed;
  }
  Status noted = mender.note(world, fix);
  if (noted) noted = book.save(fix);
  if (!noted) log::warning("The fix {}: {}", fix.id, noted.error().text());
  return {};
}

Result<AppliedFix> mend(World& world, const WhileFree& while_free, const Mender& mender,
                        const Finding& finding, const Plan& plan, std::string_view requested_by) {
  Mending mending;
  AppliedFix& fix = mending.fix;
  fix.id = random_name(kIdCharacters);
  fix.code = finding.code;
  fix.object = finding.object;
  fix.host = world.host_name;
  fix.vm_uuid = plan.vm.uuid;
  fix.vm_name = plan.vm.name;
  fix.requested_by = requested_by;
  fix.applied_at = std::chrono::system_clock::now();
  const auto act = [&]() -> Status {
    RETURN_IF_ERROR(mender.prepare(world, finding, plan, mending));
    return carry_out(world, mender, mending);
  };
  RETURN_IF_ERROR(mender.of_host ? act() : while_free(plan.vm, act));
  log::info("{} for {}: {} Asked by {}.", fix.code, fix.object, fix.done, requested_by);
  return std::move(fix);
}

Status take_back(World& world, AppliedFix& fix) {
  auto book = world.book.fixes();
  ASSIGN_OR_RETURN(fix, book.find(fix.id));
  if (fix.undone_at) return fail(ErrorCode::kConflict, "The fix {} was undone already.", fix.id);
  if (fix.code == kCpuFix) {
    RETURN_IF_ERROR(undo_cpu(world, fix));
  } else if (const Mender* mender = mender_of(fix.code)) {
    RETURN_IF_ERROR(mender->undo(world, fix));
  } else {
    return fail(ErrorCode::kConflict, "This release does not know the fix {} ({}).", fix.id,
                fix.code);
  }
  fix.undone_at = std::chrono::system_clock::now();
  return book.save(fix);
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

Result<std::vector<AppliedFix>> apply_fix(World& world, const WhileFree& while_free,
                                          const Plan& plan, std::string_view code,
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
    ASSIGN_OR_RETURN(fixes.emplace_back(),
                     mend(world, while_free, *mender, finding, plan, requested_by));
  }
  if (fixes.empty()) {
    return fail(ErrorCode::kNotFound, "The plan has no finding {} that {} can mend.", code,
                world.host_name);
  }
  return fixes;
}

Result<AppliedFix> undo_fix(World& world, const WhileFree& while_free, std::string_view id) {
  ASSIGN_OR_RETURN(AppliedFix fix, world.book.fixes().find(id));
  if (fix.vm_uuid.empty()) {
    RETURN_IF_ERROR(take_back(world, fix));
  } else {
    ASSIGN_OR_RETURN(const Vm vm, world.hypervisor.find_vm(fix.vm_uuid));
    RETURN_IF_ERROR(while_free(vm, [&] { return take_back(world, fix); }));
  }
  log::info("The fix {} ({} for {}) was undone.", fix.id, fix.code, fix.object);
  return fix;
}

}  // namespace drover::fit
