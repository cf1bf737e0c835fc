// SPDX-License-Identifier: Apache-2.0
// Whether this host has what the definition asks of it by number or by name: huge pages, NUMA
// nodes, processors, secrets; and whether libvirt here hands images to QEMU.
#include <algorithm>

#include <fmt/core.h>

#include "preflight/destination_view.h"
#include "preflight/host_sets.h"

namespace drover::preflight {

void check_huge_pages(const DestinationView& view, Findings& findings) {
  if (!view.live.huge_pages) return;
  const ByteCount needed = view.live.vm.memory;
  if (view.huge_pages_free && *view.huge_pages_free >= needed) return;
  const std::string size = view.live.huge_page_size.bytes == 0 ? std::string("the usual size")
                                                               : to_text(view.live.huge_page_size);
  const std::uint64_t kibs = std::max<std::uint64_t>(view.live.huge_page_size.bytes / 1024, 2048);
  findings.blocker(
      Code::kHugePages, view.name(),
      view.huge_pages_free
          ? fmt::format("{} has {} in free huge pages of {}; the memory of {} needs {}.",
                        view.host.name, to_text(*view.huge_pages_free), size, view.name(),
                        to_text(needed))
          : fmt::format("{} has no huge pages of {}, of which the memory of {} is made.",
                        view.host.name, size, view.name()),
      "QEMU cannot be started there.",
      {fmt::format("On {}: echo PAGES > /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages, "
                   "with {} more than it is now",
                   view.host.name, kibs, (needed.bytes / 1024 + kibs - 1) / kibs),
       fmt::format("With {} off, take <hugepages/> out of its definition: virsh edit {}",
                   word(view.name()), word(view.name()))});
}

void check_numa(const DestinationView& view, Findings& findings) {
  for (const auto& nodes : view.live.numa_nodes) {
    const auto missing = first_missing(nodes, view.nodes_online);
    if (!missing) continue;
    findings.blocker(
        Code::kNumaPlacement, view.name(),
        fmt::format("The memory of {} is bound to the NUMA nodes {}, and {} has no node {}.",
                    view.name(), nodes, view.host.name, *missing),
        "QEMU cannot be started there.",
        {fmt::format("virsh numatune {} --nodeset 0 --config, and restart the VM",
                     word(view.name())),
         fmt::format("virsh numatune {} shows what it is bound to", word(view.name()))});
    return;
  }
}

void check_pinning(const DestinationView& view, Findings& findings) {
  for (const auto& set : view.live.cpu_sets) {
    const auto missing = first_missing(set, view.cpus_online);
    if (!missing) continue;
    const bool some = has_any(set, view.cpus_online);
    const std::string what =
        fmt::format("{} is pinned to the processors {}, and {} has no processor {}.", view.name(),
                    set, view.host.name, *missing);
    std::vector<std::string> fixes{
        fmt::format("virsh vcpupin {} VCPU 0-{} for each: virsh vcpupin {} lists them",
                    word(view.name()), view.host.cpus == 0 ? 0 : view.host.cpus - 1,
                    word(view.name())),
        fmt::format("virsh emulatorpin {} shows what QEMU itself is pinned to", word(view.name()))};
    if (some) {
      findings.warning(Code::kCpuPinning, view.name(), what,
                       "It would run on the others alone, or not start, as the host's control "
                       "groups have it.",
                       std::move(fixes));
    } else {
      findings.blocker(Code::kCpuPinning, view.name(), what, "libvirt cannot start it there.",
                       std::move(fixes));
    }
    return;
  }
}

void check_secrets(const DestinationView& view, Findings& findings) {
  if (!view.secrets) return;
  for (const auto& secret : view.live.secrets) {
    if (std::ranges::find(*view.secrets, secret) != view.secrets->end()) continue;
    findings.blocker(
        Code::kSecretMissing, secret,
        fmt::format("{} has no secret {}, which a disk of {} needs.", view.host.name, secret,
                    view.name()),
        "QEMU cannot open the disk without it.",
        {fmt::format("virsh secret-dumpxml {} > secret.xml, and on {}: virsh secret-define "
                     "secret.xml",
                     word(secret), view.host.name),
         fmt::format("On {}: virsh secret-set-value {} --interactive", view.host.name,
                     word(secret))});
  }
}

void check_image_owner(const DestinationView& view, Findings& findings) {
  if (view.gives_images || view.qemu_user == "root" || view.qemu_user == "0") return;
  const bool copies = std::ranges::any_of(
      view.placements, [](const DiskPlacement& placement) { return !placement.shared; });
  if (!copies) return;
  findings.blocker(
      Code::kImagesNotGiven, view.host.name,
      fmt::format("libvirt on {} does not make QEMU's user ({}) the owner of images "
                  "(dynamic_ownership = 0).",
                  view.host.name, view.qemu_user),
      "The images that are made there belong to root, and QEMU could not open them.",
      {fmt::format("On {}: in /etc/libvirt/qemu.conf set dynamic_ownership = 1, then: systemctl "
                   "restart libvirtd",
                   view.host.name),
       "Move it over storage that both hosts see, where no image is made."});
}

}  // namespace drover::preflight
