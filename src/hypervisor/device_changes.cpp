// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/device_changes.h"

#include <map>

#include <fmt/core.h>

#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

using Devices = std::map<std::string, std::string>;  // name for people -> text

// By what somebody would tell it from its like.
std::string label_of(const pugi::xml_node& device) {
  std::string label = device.name();
  const auto add = [&](const char* value) {
    if (*value != '\0') label += std::string(" ") + value;
  };
  add(device.attribute("type").value());
  add(device.attribute("model").value());
  add(device.child("mac").attribute("address").value());
  add(device.child("target").attribute("name").value());
  add(device.child("source").attribute("file").value());
  for (const auto& attribute : device.child("source").child("address").attributes())
    add(attribute.value());
  return label;
}

void drop_what_changes_by_itself(pugi::xml_node device) {
  device.remove_child("alias");
  auto target = device.child("target");
  target.remove_attribute("state");
  target.remove_child("current");
}

Devices devices_of(std::string_view xml) {
  Devices devices;
  const auto document = xml::parse(xml, "domain");
  if (!document) return devices;
  for (auto device : document->document_element().child("devices").children()) {
    if (device.type() != pugi::node_element || std::string_view(device.name()) == "disk") continue;
    const std::string label = label_of(device);
    std::string name = label;
    for (int number = 2; devices.contains(name); ++number)
      name = fmt::format("{} ({})", label, number);
    drop_what_changes_by_itself(device);
    devices[name] = xml::write(device);
  }
  return devices;
}

}  // namespace

std::vector<std::string> device_changes(std::string_view before_xml, std::string_view now_xml) {
  std::vector<std::string> changes;
  const Devices before = devices_of(before_xml), now = devices_of(now_xml);
  if (before.empty() || now.empty()) return changes;
  for (const auto& [name, text] : before) {
    const auto same = now.find(name);
    if (same == now.end())
      changes.push_back(fmt::format("The device {} is gone.", name));
    else if (same->second != text)
      changes.push_back(fmt::format("The device {} is not as it was.", name));
  }
  for (const auto& [name, text] : now) {
    if (!before.contains(name)) changes.push_back(fmt::format("The device {} is new.", name));
  }
  return changes;
}

}  // namespace drover
