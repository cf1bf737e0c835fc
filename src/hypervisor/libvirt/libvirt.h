// SPDX-License-Identifier: Apache-2.0
// The real hypervisor: libvirt's QEMU driver, through libvirtd or the modular virtqemud.
#pragma once

#include <memory>
#include <string>

#include "hypervisor/disk_pictures.h"
#include "hypervisor/hypervisor.h"
#include "hypervisor/tpm_state.h"

namespace drover::libvirt {

struct LibvirtOptions {
  // "qemu:///system" takes libvirtd's socket, or virtqemud's where only that one exists.
  std::string uri = "qemu:///system";
  std::string tpm_folder = kTpmFolder;  // where it keeps the states of emulated TPMs
};

// Never fails: it is useful from the moment libvirt's daemon answers, and again after each of its
// restarts. Threads of its own: one event loop for the process, one that keeps the connection, one
// that hands out events.
std::unique_ptr<Hypervisor> make_libvirt(LibvirtOptions options);
// Each call has a connection of its own. kUnavailable: libvirt's daemon does not answer.
std::unique_ptr<DiskPictures> make_pictures(LibvirtOptions options);

}  // namespace drover::libvirt
