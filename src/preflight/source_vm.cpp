// SPDX-License-Identifier: Apache-2.0
// The VM as a whole, and whether this host may send it.
#include <algorithm>

#include <fmt/core.h>

#include "preflight/source_facts.h"

namespace drover::preflight {
namespace {

// sun_path has 108 bytes with its end (docs/processes.md names the sockets; "mem" is no shorter
// than the others).
constexpr std::size_t kSocketPathMax = 107;
constexpr std::string_view kSocketPathWithoutName =
    "/run/libvirt/drover/12345678.mem.tunnelmigrate.dest.";

// add-fd through libvirt, which holds the fence, came with 8.2.
constexpr Version kLibvirtLeast = 8'002'000;

void check_not_off(const Vm& vm, Findings& findings) {
  findings.blocker(
      Code::kVmRunning, vm.name, fmt::format("{} is not off.", vm.name),
      "An offline move copies disks that nobody writes.",
      {"Leave --offline away: it moves while it runs.",
       fmt::format("virsh shutdown {}, and then once more: drover move --offline", word(vm.name))});
}

}  // namespace

void check_vm_state(const SourceView& view, Findings& findings) {
  const Vm& vm = view.vm;
  const bool storage = view.request.kind == MoveKind::kStorage;
  const bool offline = view.request.kind == MoveKind::kOffline;
  if (!vm.move_id.empty()) {
    findings.blocker(Code::kVmMoving, vm.name,
                     fmt::format("{} is already moving (move {}).", vm.name, vm.move_id),
                     "Two moves of one VM would fight over its disks.",
                     {fmt::format("drover cancel {}", vm.move_id), "Or wait until it has ended."});
  }
  switch (vm.state) {
    case VmState::kRunning:
      if (offline) check_not_off(vm, findings);
      break;
    case VmState::kPaused:
      if (storage) break;
      if (offline) {
        check_not_off(vm, findings);
        break;
      }
      findings.note(Code::kVmPaused, vm.name, fmt::format("{} is paused.", vm.name),
                    "It moves as it is and stays paused on the destination.");
      break;
    case VmState::kOff:
      if (storage || offline) break;
      findings.blocker(Code::kVmOff, vm.name, fmt::format("{} is off.", vm.name),
                       "Live and quick moves carry the memory of a running VM.",
                       {fmt::format("drover move {} {} --offline", word(vm.name),
                                    word(view.request.destination)),
                        fmt::format("virsh start {}", word(vm.name))});
      break;
    case VmState::kIncoming:
      findings.blocker(Code::kVmIncoming, vm.name,
                       fmt::format("{} is just arriving here.", vm.name),
                       "It does not run here until its present move is over.",
                       {"Wait for its present move to end."});
      break;
    case VmState::kCrashed:
      findings.blocker(
          Code::kVmCrashed, vm.name, fmt::format("{} has crashed.", vm.name),
          "Its guest stands still for good; moved, it would still be crashed.",
          {fmt::format("virsh reset {} && virsh resume {}", word(vm.name), word(vm.name))});
      break;
    case VmState::kOther:
      findings.blocker(Code::kVmBusy, vm.name,
                       fmt::format("{} neither runs nor is it off.", vm.name),
                       "A guest that put itself to sleep, or is half started, cannot be moved.",
                       {fmt::format("virsh dompmwakeup {}", word(vm.name)),
                        fmt::format("virsh domstate --reason {}", word(vm.name))});
      break;
  }
  if (!vm.persistent) {
    findings.blocker(
        Code::kVmTransient, vm.name, fmt::format("{} has no persistent definition.", vm.name),
        "If a host lost power, nothing would remember the VM.",
        {fmt::format("virsh dumpxml {0} > {0}.xml && virsh define {0}.xml", word(vm.name))});
  }
}

void check_hypervisor_up(const SourceView& view, Findings& findings) {
  if (view.host.hypervisor_up) return;
  findings.blocker(Code::kHypervisorDown, view.host.name,
                   fmt::format("libvirt does not answer on {}.", view.host.name),
                   "Without it nothing can be moved.",
                   {"systemctl status libvirtd", "systemctl restart libvirtd"});
}

void check_source_host(const SourceView& view, Findings& findings) {
  const std::string& destination = view.request.destination;
  check_hypervisor_up(view, findings);
  if (!view.host.hypervisor_up) return;
  if (view.host.libvirt_version < kLibvirtLeast) {
    findings.blocker(
        Code::kHypervisorTooOld, view.host.name,
        fmt::format("{} has libvirt {}; Drover needs {}.", view.host.name,
                    version_text(view.host.libvirt_version), version_text(kLibvirtLeast)),
        "Older releases cannot keep the source from starting again in a lost switch.",
        {fmt::format("Update libvirt on {}.", view.host.name)});
  }
  // Only libvirt's own migration obeys that setting.
  const auto kind = view.request.kind.value_or(MoveKind::kLive);
  if (view.tls_forced && kind == MoveKind::kLive) {
    findings.blocker(
        Code::kTlsForced, view.host.name,
        fmt::format("libvirt on {} is set to move only over its own TLS.", view.host.name),
        "Drover encrypts the way itself and hands libvirt local sockets, which that setting "
        "refuses.",
        {fmt::format("Save it, carry it and restore it, with a pause: drover move {} {} --quick",
                     word(view.vm.name), word(destination)),
         "In /etc/libvirt/qemu.conf set migrate_tls_force = 0, then: systemctl restart libvirtd"});
  }
  if (!view.host.settings.outgoing) {
    findings.blocker(Code::kMigrationDisabled, view.host.name,
                     fmt::format("Moves away from {} are off.", view.host.name),
                     "Its administrator has to allow them once.",
                     {fmt::format("drover settings {} outgoing=on", view.host.name)});
  }
  if (destination == view.host.name) {
    findings.blocker(Code::kSameHost, view.vm.name,
                     fmt::format("{} is on {} already.", view.vm.name, destination),
                     "There is nothing to move.", {"Name another host with --to."});
  } else if (!view.peer_known) {
    findings.blocker(
        Code::kPeerUnknown, destination, fmt::format("{} is not a paired host.", destination),
        "Hosts must know each other's keys before anything is sent.",
        {fmt::format("On {}: drover host invite", destination), "Here: the line that it prints"});
  }
}

void check_name_length(const SourceView& view, Findings& findings) {
  const std::size_t length = kSocketPathWithoutName.size() + view.vm.name.size();
  if (length <= kSocketPathMax) return;
  const std::size_t most = kSocketPathMax - kSocketPathWithoutName.size();
  findings.blocker(Code::kNameTooLong, view.vm.name,
                   fmt::format("The name {} has {} bytes; {} are possible.", view.vm.name,
                               view.vm.name.size(), most),
                   "The name is part of a socket's path, which Linux limits to 107 bytes.",
                   {"virsh domrename, once the VM is off"});
}

void check_persistent(const SourceFacts& facts, Findings& findings) {
  if (!facts.persistent) return;
  const auto find = [](const DomainFacts& domain, const std::string& target) -> const Disk* {
    const auto found = std::find_if(domain.vm.disks.begin(), domain.vm.disks.end(),
                                    [&](const Disk& disk) { return disk.target == target; });
    return found == domain.vm.disks.end() ? nullptr : &*found;
  };
  for (const auto& disk : facts.persistent->vm.disks) {
    if (disk.path.empty() || disk.device != DiskDevice::kDisk) continue;
    const Disk* running = find(facts.live, disk.target);
    if (running != nullptr && (running->path == disk.path || running->kind == DiskKind::kVolume))
      continue;
    findings.warning(
        Code::kPersistentDiffers, disk.target,
        fmt::format("At its next boot {} would use {} as {}, which the running VM does not.",
                    facts.name(), disk.path, disk.target),
        "Drover copies the disks of the running VM only; the next boot would miss that file.",
        {fmt::format("virsh dumpxml --inactive {}", word(facts.name())),
         fmt::format("virsh detach-disk {} {} --config", word(facts.name()), disk.target)});
  }
}

}  // namespace drover::preflight
