// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/teaming.h"

#include <fmt/core.h>

#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

using std::string_view;

bool is_transient(const pugi::xml_node& device) {
  const string_view name = device.name();
  if (name != "interface" && name != "hostdev") return false;
  return string_view(device.child("teaming").attribute("type").value()) == "transient";
}

bool is_of_network(const pugi::xml_node& device) {
  return string_view(device.name()) == "interface" &&
         string_view(device.attribute("type").value()) == "network";
}

string_view hex(const pugi::xml_node& address, const char* part) {
  const string_view value = address.attribute(part).value();
  return value.starts_with("0x") ? value.substr(2) : value;
}

std::string label_of(const pugi::xml_node& device) {
  if (string_view(device.name()) == "interface")
    return device.child("mac").attribute("address").value();
  const auto address = device.child("source").child("address");
  return fmt::format("{}:{}:{}.{}", hex(address, "domain"), hex(address, "bus"),
                     hex(address, "slot"), hex(address, "function"));
}

}  // namespace

Result<std::vector<TeamedDevice>> teamed_devices(string_view domain_xml) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(domain_xml, "domain"));
  std::vector<TeamedDevice> devices;
  for (const auto& device : document.document_element().child("devices").children()) {
    if (is_transient(device))
      devices.push_back({label_of(device), xml::write(device), is_of_network(device)});
  }
  return devices;
}

Result<std::string> without_teamed(string_view domain_xml, KeepTeamed keep) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(domain_xml, "domain"));
  const auto domain = document.document_element();
  auto devices = domain.child("devices");
  for (auto device = devices.first_child(); device;) {
    const auto next = device.next_sibling();
    const bool stays = keep == KeepTeamed::kOfNetworks && is_of_network(device);
    if (is_transient(device) && !stays) devices.remove_child(device);
    device = next;
  }
  return xml::write(domain);
}

}  // namespace drover
