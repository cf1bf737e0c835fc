// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/adapt_definition.h"

#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

pugi::xml_node find_disk(const pugi::xml_node& devices, const std::string& target) {
  for (const auto& disk : devices.children("disk")) {
    if (target == disk.child("target").attribute("dev").value()) return disk;
  }
  return {};
}

// Takes an element out together with the white space before it, so that no empty line stays.
void remove_element(pugi::xml_node parent, pugi::xml_node child) {
  const auto space = child.previous_sibling();
  if (space && space.type() == pugi::node_pcdata) parent.remove_child(space);
  parent.remove_child(child);
}

// A volume may be larger than the disk, for pools round sizes up.
void set_slice(pugi::xml_node source, ByteCount size) {
  auto slice = source.append_child("slices").append_child("slice");
  xml::set_attribute(slice, "type", "storage");
  xml::set_attribute(slice, "offset", "0");
  xml::set_attribute(slice, "size", std::to_string(size.bytes));
}

void place(pugi::xml_node disk, const DiskPlacement& placement) {
  for (const char* name : {"backingStore", "mirror"}) {
    if (placement.shared && std::string_view(name) == "backingStore") continue;
    while (const auto leftover = disk.child(name)) remove_element(disk, leftover);
  }
  auto source = disk.child("source");
  if (!source) source = disk.insert_child_before("source", disk.child("target"));
  if (!placement.shared) {
    while (const auto slices = source.child("slices")) remove_element(source, slices);
  }
  for (const char* name : {"pool", "volume", "mode"}) source.remove_attribute(name);
  const bool is_file = placement.destination_pool.empty();
  xml::set_attribute(disk, "type", is_file ? "file" : "block");
  source.remove_attribute(is_file ? "dev" : "file");
  xml::set_attribute(source, is_file ? "file" : "dev", placement.destination_path);
  if (!is_file) set_slice(source, placement.virtual_size);
  if (placement.allocation) {
    const bool full = *placement.allocation == Allocation::kFull;
    auto driver = disk.child("driver");
    if (!driver) driver = disk.insert_child_before("driver", source);
    xml::set_attribute(driver, "discard", full ? "ignore" : "unmap");
    xml::set_attribute(driver, "detect_zeroes", full ? "off" : "unmap");
  }
  if (placement.format.empty()) return;
  auto driver = disk.child("driver");
  if (!driver && placement.format == "raw") return;  // which a disk is that does not say
  if (!driver) driver = disk.insert_child_before("driver", source);
  xml::set_attribute(driver, "type", placement.format);
}

void place_nvram(pugi::xml_node nvram, const std::string& path) {
  if (const auto source = nvram.child("source"))
    xml::set_attribute(source, "file", path);
  else
    nvram.text().set(path.c_str());
}

}  // namespace

Result<std::string> adapt_definition(std::string_view xml,
                                     std::span<const DiskPlacement> placements,
                                     std::string_view nvram_destination) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, "domain"));
  const auto domain = document.document_element();
  for (const auto& placement : placements) {
    const auto disk = find_disk(domain.child("devices"), placement.target);
    if (!disk) {
      return fail(ErrorCode::kInvalidArgument, "The definition of {} has no disk {}.",
                  domain.child("name").text().get(), placement.target);
    }
    place(disk, placement);
  }
  const auto nvram = domain.child("os").child("nvram");
  if (nvram && !nvram_destination.empty()) place_nvram(nvram, std::string(nvram_destination));
  return xml::write(domain);
}

}  // namespace drover
