// SPDX-License-Identifier: Apache-2.0
#include "move/plan/saved_plan.h"

#include <optional>
#include <utility>

#include "hypervisor/domain_xml.h"
#include "hypervisor/saved_memory.h"
#include "move/cold/cold_files.h"
#include "preflight/codes.h"
#include "preflight/finding.h"

namespace drover::move {
namespace {

using preflight::word;

Finding blocker(const preflight::SourceView& view, std::string what, std::string why) {
  return {std::string(preflight::code_name(preflight::Code::kVmSaved)),
          FindingLevel::kBlocker,
          view.vm.name,
          std::move(what),
          std::move(why),
          {fmt::format("virsh start {}, and move it while it runs", word(view.vm.name)),
           fmt::format("virsh managedsave-remove {}, if the saved memory is not needed any more",
                       word(view.vm.name))}};
}

// A guest goes on from its memory with the very disks that it had.
bool has_same_disks(const std::string& saved, const std::string& persistent) {
  const auto one = parse_domain(saved), other = parse_domain(persistent);
  return one && other && same_disks(*one, *other);
}

// What its guest goes on with, or what keeps it from moving.
std::optional<Finding> read_saved(World& world, const preflight::SourceView& view,
                                  std::string& saved_xml) {
  const Vm& vm = view.vm;
  const auto keeper = saved_memory_of(world.hypervisor);
  auto saved = keeper ? (*keeper)->saved_definition((*keeper)->saved_memory_file(vm.name))
                      : std::unexpected(keeper.error());
  if (!saved) {
    return blocker(
        view,
        fmt::format("{} is off, and its memory is kept on disk, but cannot be read.", vm.name),
        saved.error().text());
  }
  saved_xml = std::move(*saved);
  if (has_same_disks(saved_xml, view.persistent_xml)) return std::nullopt;
  return blocker(
      view,
      fmt::format("{} has other disks in its definition than its saved memory goes on with.",
                  vm.name),
      fmt::format("One of both would be left behind: virsh managedsave-dumpxml {0}, and virsh "
                  "dumpxml {0}, show them.",
                  word(vm.name)));
}

}  // namespace

std::vector<Finding> look_at_saved_memory(World& world, preflight::SourceView& view) {
  const Vm& vm = view.vm;
  if (view.request.kind != MoveKind::kOffline || vm.state != VmState::kOff || !vm.saved) return {};
  if (auto why = read_saved(world, view, view.live_xml)) return {std::move(*why)};
  Plan plan;
  plan.kind = MoveKind::kOffline;
  plan.vm = vm;
  const ByteCount length = saved_memory(plan, world.hypervisor);
  if (length > state_bytes_max(vm.memory)) {
    return {blocker(view,
                    fmt::format("The saved memory of {} has {}, more than a guest of {} may have.",
                                vm.name, to_text(length), to_text(vm.memory)),
                    "The destination takes no more.")};
  }
  return {{std::string(preflight::code_name(preflight::Code::kVmSaved)),
           FindingLevel::kNote,
           vm.name,
           fmt::format("{} is off, and its memory is kept on disk ({}).", vm.name, to_text(length)),
           fmt::format("It travels with the disks: virsh start {0} on {1} goes on where it was "
                       "saved. Only then does {1} need room for the guest's memory; its processor "
                       "has to suit already now.",
                       word(vm.name), view.request.destination),
           {}}};
}

std::vector<Finding> look_at_saved_memory_here(World& world, const preflight::SourceView& view) {
  const Vm& vm = view.vm;
  if (vm.state != VmState::kOff || !vm.saved) return {};
  std::string saved_xml;
  if (auto why = read_saved(world, view, saved_xml)) return {std::move(*why)};
  return {{std::string(preflight::code_name(preflight::Code::kVmSaved)),
           FindingLevel::kNote,
           vm.name,
           fmt::format("{} is off, and its memory is kept on disk.", vm.name),
           "It stays where it is, and goes on with the disks in their new places.",
           {}}};
}

Finding saved_memory_left_behind(const preflight::SourceView& view) {
  return {std::string(preflight::code_name(preflight::Code::kVmSaved)),
          FindingLevel::kBlocker,
          view.vm.name,
          fmt::format("{} has an earlier Drover, which takes no saved memory of a VM that is off.",
                      view.request.destination),
          "The guest would boot there, as after a loss of power.",
          {fmt::format("Upgrade Drover on {}.", view.request.destination)}};
}

}  // namespace drover::move
