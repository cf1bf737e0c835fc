// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/adapt_cpu.h"

#include <algorithm>
#include <set>

#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

pugi::xml_node cpu_of(pugi::xml_node domain) {
  if (const auto cpu = domain.child("cpu")) return cpu;
  // Where libvirt writes it; it takes it anywhere.
  for (const char* before : {"features", "os"}) {
    if (const auto child = domain.child(before)) return domain.insert_child_after("cpu", child);
  }
  return domain.append_child("cpu");
}

// Elements that say which CPU it is, not how it is divided.
void remove_identity(pugi::xml_node cpu) {
  for (const char* name : {"model", "vendor", "feature"}) {
    while (const auto child = cpu.child(name)) {
      const auto space = child.previous_sibling();
      if (space && space.type() == pugi::node_pcdata) cpu.remove_child(space);
      cpu.remove_child(child);
    }
  }
}

std::multiset<std::string> elements_of(const pugi::xml_node& node, const std::string& above) {
  std::multiset<std::string> found;
  for (const auto& child : node.children()) {
    if (child.type() != pugi::node_element) continue;
    std::set<std::string> attributes;
    for (const auto& attribute : child.attributes())
      attributes.insert(std::string(attribute.name()) + "=" + attribute.value());
    std::string text = above + "/" + child.name();
    for (const auto& attribute : attributes) text += " " + attribute;
    for (const auto& below : elements_of(child, text)) found.insert(below);
    if (!child.first_element_by_path("*")) text += std::string("|") + child.text().get();
    found.insert(text);
  }
  return found;
}

std::multiset<std::string> summary(const pugi::xml_node& cpu) {
  auto found = elements_of(cpu, "");
  for (const auto& attribute : cpu.attributes())
    found.insert(std::string(attribute.name()) + "=" + attribute.value());
  return found;
}

}  // namespace

Result<std::string> adapt_cpu(std::string_view domain_xml, std::string_view cpu) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(domain_xml, "domain"));
  ASSIGN_OR_RETURN(const auto wanted, xml::parse(cpu, "cpu"));
  auto element = cpu_of(document.document_element());
  remove_identity(element);
  element.remove_attribute("migratable");
  element.remove_attribute("check");
  xml::set_attribute(element, "mode", "custom");
  xml::set_attribute(element, "match", "exact");
  pugi::xml_node last;
  for (const auto& child : wanted.document_element().children()) {
    const std::string_view name = child.name();
    if (name != "model" && name != "vendor" && name != "feature") continue;
    last = last ? element.insert_copy_after(child, last) : element.prepend_copy(child);
  }
  if (auto model = element.child("model")) xml::set_attribute(model, "fallback", "forbid");
  return xml::write(document.document_element());
}

Result<std::string> replace_cpu(std::string_view domain_xml, std::string_view cpu) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(domain_xml, "domain"));
  auto domain = document.document_element();
  if (cpu.empty()) {
    domain.remove_child("cpu");
    return xml::write(domain);
  }
  ASSIGN_OR_RETURN(const auto wanted, xml::parse(cpu, "cpu"));
  const auto element = cpu_of(domain);
  domain.insert_copy_before(wanted.document_element(), element);
  domain.remove_child(element);
  return xml::write(domain);
}

Result<std::string> cpu_definition(std::string_view domain_xml) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(domain_xml, "domain"));
  const auto domain = document.document_element();
  pugi::xml_document made;
  auto shown = made.append_child("domain");
  xml::set_attribute(shown, "type", domain.attribute("type").value());
  shown.append_child("name").text().set("cpu");
  const auto type = domain.child("os").child("type");
  auto own = shown.append_child("os").append_child("type");
  for (const char* name : {"arch", "machine"}) {
    if (const auto attribute = type.attribute(name))
      xml::set_attribute(own, name, attribute.value());
  }
  own.text().set(type.text().get());
  if (const auto cpu = domain.child("cpu")) shown.append_copy(cpu);
  return xml::write(shown);
}

Result<CpuText> read_cpu(std::string_view cpu) {
  CpuText read;
  if (cpu.empty()) return read;
  ASSIGN_OR_RETURN(const auto document, xml::parse(cpu, "cpu"));
  const auto element = document.document_element();
  read.mode = element.attribute("mode").value();
  read.model = element.child("model").text().get();
  for (const auto& feature : element.children("feature")) {
    const std::string policy = feature.attribute("policy").value();
    read.features[feature.attribute("name").value()] = policy.empty() ? "require" : policy;
  }
  return read;
}

bool same_cpu(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return a.empty() == b.empty();
  const auto one = xml::parse(a, "cpu");
  const auto other = xml::parse(b, "cpu");
  return one && other && summary(one->document_element()) == summary(other->document_element());
}

}  // namespace drover
