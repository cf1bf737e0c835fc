// SPDX-License-Identifier: Apache-2.0
// Devices that tie a VM to its host.
#include <algorithm>
#include <array>

#include <fmt/core.h>

#include "hypervisor/tpm_state.h"
#include "preflight/source_facts.h"
#include "preflight/tpm.h"

namespace drover::preflight {

void check_host_devices(const SourceFacts& facts, Findings& findings) {
  for (const auto& device : facts.live.host_devices) {
    if (device.teamed) continue;  // the guest has a virtio twin; QEMU unplugs this one by itself
    findings.blocker(Code::kHostDevice, device.label,
                     fmt::format("{} uses the host device {}.", facts.name(), device.label),
                     "The device stays in this host; the guest would lose it in mid-use.",
                     {fmt::format("virsh detach-device {} DEVICE.xml --live, with the <hostdev> "
                                  "element of: virsh dumpxml {}",
                                  word(facts.name()), word(facts.name()))});
  }
  if (facts.live.tpm_backend == "passthrough" || facts.live.tpm_backend == "external") {
    findings.blocker(Code::kTpmPassthrough, "tpm",
                     fmt::format("{} uses a TPM of this host.", facts.name()),
                     "What the guest sealed with it cannot be opened anywhere else.",
                     {"Use an emulated TPM; it travels with the VM."});
  }
}

void check_shared_things(const SourceFacts& facts, Findings& findings) {
  for (const auto& shared : facts.live.filesystems) {
    findings.blocker(Code::kFilesystemShared, shared.target,
                     fmt::format("The folder {} of this host is mounted in the guest ({}).",
                                 shared.source, shared.driver),
                     "The guest would find another folder, or none, under its feet.",
                     {"Unmount it in the guest, then detach it: virsh detach-device NAME "
                      "FILESYSTEM.xml --live"});
  }
  for (const auto& memory : facts.live.shared_memories) {
    findings.blocker(Code::kSharedMemory, memory,
                     fmt::format("{} shares memory with this host ({}).", facts.name(), memory),
                     "The processes on the other side of that memory stay here.",
                     {fmt::format("Remove <shmem name='{}'> from {}.", memory, facts.name())});
  }
  if (facts.live.vhost_user) {
    findings.blocker(Code::kVhostUser, facts.name(),
                     fmt::format("A device of {} is served by another process here.", facts.name()),
                     "Its state lies in that process, which does not move.",
                     {"Replace the vhost-user device by one of QEMU's own."});
  }
  if (facts.live.launch_security) {
    findings.blocker(Code::kLaunchSecurity, facts.name(),
                     fmt::format("The memory of {} is sealed to this processor.", facts.name()),
                     "It cannot be read for a move, by design.",
                     {"Shut the VM down and move it off."});
  }
  if (facts.live.qemu_commandline) {
    findings.blocker(
        Code::kQemuCommandline, facts.name(),
        fmt::format("{} has arguments for QEMU of its own (qemu:commandline).", facts.name()),
        "The destination cannot tell what they reach on its side, and refuses them.",
        {fmt::format("virsh edit {}: remove <qemu:commandline>, then restart the VM",
                     word(facts.name()))});
  }
}

void check_interfaces(const SourceFacts& facts, Findings& findings) {
  static constexpr std::array<std::string_view, 5> kKnown{"bridge", "network", "direct", "user",
                                                          "hostdev"};
  for (const auto& interface : facts.live.interfaces) {
    const std::string& mac = interface.mac;
    if (interface.type == "user") {
      findings.warning(Code::kNetworkUser, mac,
                       fmt::format("The interface {} uses QEMU's own network.", mac),
                       "Its open connections end at the switch; new ones work.",
                       {"Use a bridge if connections must survive."});
    } else if (interface.type == "direct") {
      findings.warning(
          Code::kNetworkDirect, mac,
          fmt::format("The interface {} sits directly on {} (macvtap).", mac, interface.source),
          "Packets may go astray for some seconds until switches learn the new place.",
          {"Use a bridge."});
    } else if (interface.type == "hostdev" && !interface.teamed) {
      findings.blocker(
          Code::kHostDevice, mac,
          fmt::format("The interface {} is a network card of this host.", mac),
          "The card stays in this host.",
          {fmt::format("virsh detach-interface {} hostdev --mac {}", word(facts.name()), mac)});
    } else if (std::find(kKnown.begin(), kKnown.end(), interface.type) == kKnown.end() &&
               interface.type != "vhostuser") {
      findings.blocker(
          Code::kNetworkKind, mac,
          fmt::format("The interface {} is of the kind '{}'.", mac, interface.type),
          "What it is connected to on this host is not known on the destination.",
          {fmt::format("virsh detach-interface {} {} --mac {}, and attach one on a bridge",
                       word(facts.name()), interface.type, mac)});
    }
  }
}

void check_tpm(const SourceFacts& facts, Findings& findings) {
  if (facts.live.tpm_backend != "emulator") return;
  note_told_libvirt(facts.view.host, facts.view.request, facts.view.persistent_xml,
                    "When the VM leaves,", findings);
  if (facts.view.request.kind == MoveKind::kOffline) {
    if (keeps_tpm_state(facts.view.persistent_xml)) {
      return findings.note(Code::kTpmTravels, "tpm",
                           fmt::format("{} has an emulated TPM.", facts.name()),
                           "The file with its content travels; the destination needs swtpm.");
    }
    findings.blocker(
        Code::kTpmStays, "tpm",
        fmt::format("{} has an emulated TPM, encrypted or at a place of its own.", facts.name()),
        "An offline move does not carry it: what the guest sealed could not be opened any more.",
        {fmt::format("virsh start {}, and move it while it runs", word(facts.name()))});
    return;
  }
  findings.note(Code::kTpmTravels, "tpm", fmt::format("{} has an emulated TPM.", facts.name()),
                "Its content travels within the memory stream; the destination needs swtpm.");
}

}  // namespace drover::preflight
