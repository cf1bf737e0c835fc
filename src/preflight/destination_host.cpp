// SPDX-License-Identifier: Apache-2.0
// Whether this host can run the VM at all.
#include <algorithm>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "preflight/destination_view.h"

namespace drover::preflight {
namespace {

// What a QEMU needs beside its guest's memory, and what the host should not lose to one more guest.
constexpr ByteCount kMemoryReserve = mib(256);

}  // namespace

void check_destination_host(const DestinationView& view, Findings& findings) {
  if (!view.settings().incoming) {
    findings.blocker(Code::kMigrationDisabled, view.host.name,
                     fmt::format("Moves to {} are off.", view.host.name),
                     "Its administrator has to allow them once.",
                     {fmt::format("drover settings {} incoming=on", view.host.name)});
  }
  // Only libvirt's own migration obeys that setting.
  const auto kind = view.proposal.request.kind.value_or(MoveKind::kLive);
  if (view.tls_forced && kind == MoveKind::kLive) {
    findings.blocker(
        Code::kTlsForced, view.host.name,
        fmt::format("libvirt on {} is set to move only over its own TLS.", view.host.name),
        "Drover encrypts the way itself and hands libvirt local sockets, which that setting "
        "refuses.",
        {fmt::format("Save it, carry it and restore it, with a pause: drover move {} {} --quick",
                     word(view.name()), word(view.host.name)),
         fmt::format(
             "On {}: in /etc/libvirt/qemu.conf set migrate_tls_force = 0, then: systemctl restart "
             "libvirtd",
             view.host.name)});
  }
}

void check_versions(const DestinationView& view, Findings& findings) {
  const auto older = [&](const char* what, Version here, Version there) {
    if (here == 0 || there == 0 || here >= there) return;
    findings.note(Code::kHypervisorOlder, view.host.name,
                  fmt::format("{} has {} {}, older than {} on {}.", view.host.name, what,
                              version_text(here), version_text(there), view.proposal.source.name),
                  "Moves to an older release are tested less by its makers; if one fails, the VM "
                  "runs on at the source.");
  };
  older("libvirt", view.host.libvirt_version, view.proposal.source.libvirt_version);
  older("QEMU", view.host.qemu_version, view.proposal.source.qemu_version);
}

void check_machine(const DestinationView& view, Findings& findings) {
  const auto& known = view.host.machine_types;
  const std::string& machine = view.live.vm.machine;
  if (!machine.empty() && !known.empty() &&
      std::find(known.begin(), known.end(), machine) == known.end()) {
    findings.blocker(Code::kMachineUnknown, machine,
                     fmt::format("{} does not know the machine type {}.", view.host.name, machine),
                     "QEMU there cannot build the same virtual hardware.",
                     {fmt::format("Update QEMU on {}.", view.host.name),
                      fmt::format("With {} off, choose an older machine type: virsh edit {}",
                                  word(view.name()), word(view.name()))});
  }
  if (view.live.vm.domain_type == "kvm" && !view.host.kvm_usable) {
    findings.blocker(Code::kKvmMissing, view.host.name,
                     fmt::format("{} cannot run KVM guests.", view.host.name),
                     "Its processor's virtualisation is off or /dev/kvm is missing.",
                     {"Turn virtualisation (VT-x, AMD-V) on in the host's firmware.",
                      "modprobe kvm_intel || modprobe kvm_amd"});
  }
  const auto emulator = view.readable.find(view.live.emulator);
  if (emulator != view.readable.end() && !emulator->second) {
    findings.blocker(
        Code::kEmulatorMissing, view.live.emulator,
        fmt::format("There is no {} on {}.", view.live.emulator, view.host.name),
        "The definition names that program as the VM's QEMU.",
        {fmt::format("Install it on {}, or link it to the one that is there.", view.host.name)});
  }
}

void check_cpu(const DestinationView& view, Findings& findings) {
  // Its guest finds another processor at its next boot, as on a new machine; but one that goes on
  // from saved memory.
  if (view.proposal.request.kind == MoveKind::kOffline && !view.proposal.vm.saved) return;
  if (view.live.cpu_mode == "host-passthrough" || view.live.cpu_mode == "maximum") {
    findings.warning(
        Code::kCpuPassthrough, view.name(),
        fmt::format("{} sees the processor of its host as it is (CPU mode {}).", view.name(),
                    view.live.cpu_mode),
        "On a processor that differs in any way the guest can crash, at once or days later.",
        {"Make sure that both hosts have the same processor and microcode.",
         fmt::format("With {} off, set <cpu mode='host-model'/>: virsh edit {}", word(view.name()),
                     word(view.name()))});
    return;
  }
  if (!view.cpu) {
    findings.warning(
        Code::kCpuUnknown, view.name(),
        fmt::format("The CPU of {} could not be compared with {}'s.", view.name(), view.host.name),
        view.cpu_error, {fmt::format("On {}: virsh domcapabilities", view.host.name)});
    return;
  }
  if (*view.cpu != CpuComparison::kIncompatible) return;
  const std::string lacking = view.cpu_missing.empty()
                                  ? std::string("features of it")
                                  : fmt::format("{}", fmt::join(view.cpu_missing, ", "));
  findings.blocker(
      Code::kCpuMismatch, view.name(),
      fmt::format("{} cannot offer the CPU of {} ({}): it lacks {}.", view.host.name, view.name(),
                  view.live.cpu_model, lacking),
      "The guest uses what it found at boot and would crash without it.",
      {fmt::format("drover cpu-compat {} --for {}, then shut it down and start it again: it gets "
                   "the most that both hosts have",
                   word(view.name()), word(view.host.name)),
       fmt::format("On {}: virsh domcapabilities shows the models it has", view.host.name)});
}

void check_memory(const DestinationView& view, Findings& findings) {
  // It needs some only when somebody starts it.
  if (view.proposal.request.kind == MoveKind::kOffline) return;
  // Huge pages are set aside already: check_huge_pages() counts them.
  const ByteCount own = view.live.huge_pages ? ByteCount{} : view.live.vm.memory;
  const ByteCount needed = own + kMemoryReserve;
  if (view.host.memory_free < needed) {
    findings.blocker(Code::kMemoryShort, view.host.name,
                     fmt::format("{} has {} of memory left; {} needs {}.", view.host.name,
                                 to_text(view.host.memory_free), view.name(), to_text(needed)),
                     "The host would swap or kill a process, perhaps this VM or another.",
                     {fmt::format("Move or stop another VM on {}.", view.host.name)});
  }
}

void check_identity(const DestinationView& view, Findings& findings) {
  const std::string& host = view.host.name;
  for (const auto& vm : view.vms) {
    const bool same_name = vm.name == view.name();
    const bool same_uuid = vm.uuid == view.live.vm.uuid;
    if (same_name && same_uuid && vm.state == VmState::kOff) {
      findings.blocker(Code::kVmLeftover, vm.name,
                       fmt::format("{} has this same VM already, switched off.", host),
                       "It may be what an earlier move left, or a copy with disks of its own; it "
                       "would be replaced.",
                       {fmt::format("Look at it on {}: virsh dumpxml {}", host, word(vm.name)),
                        fmt::format("If it is not needed, on {}: virsh undefine {} --keep-nvram",
                                    host, word(vm.name))});
    } else if (same_uuid) {
      findings.blocker(
          Code::kUuidTaken, vm.name,
          fmt::format("{} has a VM with the same UUID already: {}.", host, vm.name),
          "Two VMs with one UUID cannot live on one host.",
          {fmt::format("Find out which of the two is right: virsh domuuid {} on both hosts",
                       word(vm.name))});
    } else if (same_name) {
      findings.blocker(
          Code::kNameTaken, vm.name,
          fmt::format("{} has another VM called {} already.", host, vm.name),
          "Two VMs with one name cannot live on one host.",
          {fmt::format("With it off, on {}: virsh domrename {} OTHER", host, word(vm.name))});
    }
  }
}

}  // namespace drover::preflight
