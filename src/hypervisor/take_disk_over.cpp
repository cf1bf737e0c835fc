// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/take_disk_over.h"

#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

pugi::xml_node find_disk(const pugi::xml_node& domain, std::string_view target) {
  for (const auto& disk : domain.child("devices").children("disk")) {
    if (disk.child("target").attribute("dev").value() == target) return disk;
  }
  return {};
}

}  // namespace

Result<std::string> take_disk_over(std::string_view persistent_xml, std::string_view live_xml,
                                   std::string_view target) {
  ASSIGN_OR_RETURN(const auto persistent, xml::parse(persistent_xml, "domain"));
  ASSIGN_OR_RETURN(const auto live, xml::parse(live_xml, "domain"));
  const auto former = find_disk(persistent.document_element(), target);
  if (!former)
    return fail(ErrorCode::kNotFound, "The definition for the next boot has no disk {}.", target);
  auto devices = former.parent();
  if (const auto running = find_disk(live.document_element(), target)) {
    auto taken = devices.insert_copy_before(running, former);
    // Of the running VM only.
    for (const char* name : {"alias", "mirror", "backingStore"}) taken.remove_child(name);
    taken.child("source").remove_attribute("index");
  }
  devices.remove_child(former);
  return xml::write(persistent.document_element());
}

}  // namespace drover
