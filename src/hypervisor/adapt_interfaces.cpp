// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/adapt_interfaces.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

constexpr std::size_t kMacLength = 17;

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

const InterfaceTarget* target_of(const InterfaceFacts& interface,
                                 std::span<const InterfaceTarget> targets) {
  const InterfaceTarget* found = nullptr;
  for (const auto& target : targets) {
    if (!names_interface(target.from, interface)) continue;
    if (is_mac(target.from)) return &target;
    if (found == nullptr) found = &target;
  }
  return found;
}

void remove_all(pugi::xml_node parent, const char* name) {
  while (const auto child = parent.child(name)) {
    const auto space = child.previous_sibling();
    if (space && space.type() == pugi::node_pcdata) parent.remove_child(space);
    parent.remove_child(child);
  }
}

// The host's end of it, as libvirt named it: of another type it would be refused.
bool was_named_by_libvirt(std::string_view device) {
  return device.starts_with("vnet") || device.starts_with("macvtap") ||
         device.starts_with("macvlan");
}

pugi::xml_node source_of(pugi::xml_node interface) {
  if (const auto source = interface.child("source")) return source;
  if (const auto mac = interface.child("mac")) return interface.insert_child_after("source", mac);
  return interface.prepend_child("source");
}

void plug(pugi::xml_node interface, const InterfaceTarget& target) {
  const std::string was = interface.attribute("type").value();
  const bool network = target.kind == InterfaceTarget::Kind::kNetwork;
  auto source = source_of(interface);
  const std::string port_group = source.attribute("portgroup").value();
  source.remove_attributes();
  source.remove_children();
  xml::set_attribute(interface, "type", network ? "network" : "bridge");
  xml::set_attribute(source, network ? "network" : "bridge", target.name);
  if (network && was == "network" && !port_group.empty())
    xml::set_attribute(source, "portgroup", port_group);
  for (const char* name : {"virtualport", "vlan"}) remove_all(interface, name);
  if (was == "user") {
    for (const char* name : {"ip", "route", "backend", "portForward"}) remove_all(interface, name);
  }
  const auto device = interface.child("target");
  if (device && was_named_by_libvirt(device.attribute("dev").value()))
    remove_all(interface, "target");
}

InterfaceFacts facts_of(const pugi::xml_node& interface) {
  InterfaceFacts facts;
  facts.mac = interface.child("mac").attribute("address").value();
  facts.type = interface.attribute("type").value();
  const auto source = interface.child("source");
  for (const char* name : {"network", "bridge", "dev"}) {
    if (facts.source.empty()) facts.source = source.attribute(name).value();
  }
  return facts;
}

}  // namespace

bool is_mac(std::string_view text) {
  if (text.size() != kMacLength) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool ok =
        i % 3 == 2 ? text[i] == ':' : std::isxdigit(static_cast<unsigned char>(text[i])) != 0;
    if (!ok) return false;
  }
  return true;
}

bool same_mac(std::string_view a, std::string_view b) {
  return is_mac(a) && std::ranges::equal(a, b, {}, lower, lower);
}

bool names_interface(std::string_view from, const InterfaceFacts& interface) {
  if (is_mac(from)) return same_mac(from, interface.mac);
  return !from.empty() && from == interface.source;
}

bool can_be_plugged(const InterfaceFacts& interface) {
  static constexpr std::array<std::string_view, 4> kTypes{"bridge", "network", "direct", "user"};
  return std::ranges::find(kTypes, interface.type) != kTypes.end();
}

Result<std::string> adapt_interfaces(std::string_view xml,
                                     std::span<const InterfaceTarget> targets) {
  if (targets.empty()) return std::string(xml);
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, "domain"));
  const auto domain = document.document_element();
  for (const auto& interface : domain.child("devices").children("interface")) {
    const InterfaceFacts facts = facts_of(interface);
    if (!can_be_plugged(facts)) continue;
    if (const auto* target = target_of(facts, targets)) plug(interface, *target);
  }
  return xml::write(domain);
}

}  // namespace drover
