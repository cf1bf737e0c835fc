// SPDX-License-Identifier: Apache-2.0
// Any bytes as a definition: no crash; what is understood can be adapted, and then says what was
// asked for.
#include <cstdint>
#include <cstdlib>

#include "hypervisor/adapt_definition.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/qemu_conf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace drover;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  (void)parse_qemu_conf(text);
  (void)cpu_element(text);
  const auto facts = parse_domain(text);
  const auto untouched = adapt_definition(text, {}, "");
  if (!facts) return 0;
  if (!untouched) std::abort();
  const auto again = adapt_definition(*untouched, {}, "");
  if (!again || *again != *untouched) std::abort();

  std::vector<DiskPlacement> placements;
  for (const auto& disk : facts->disks) {
    DiskPlacement placement;
    placement.target = disk.disk.target;
    placement.destination_path = "/srv/" + std::to_string(placements.size());
    placements.push_back(placement);
  }
  const auto adapted = adapt_definition(text, placements, "/srv/nvram");
  if (!adapted) std::abort();
  const auto after = parse_domain(*adapted);
  if (!after || after->disks.size() != facts->disks.size()) std::abort();
  if (after->vm.name != facts->vm.name || after->vm.uuid != facts->vm.uuid) std::abort();
  for (const auto& disk : after->disks) {
    // Two disks of one target, or one of none, are no definition that libvirt takes; the first of
    // them is placed.
    const bool sound = facts->disks.size() == 1 && !disk.disk.target.empty();
    if (!disk.disk.path.starts_with("/srv/") && sound) std::abort();
  }
  return 0;
}
