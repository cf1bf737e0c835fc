// SPDX-License-Identifier: Apache-2.0
// host_references of gate/definition_policy.h: a walk over the whole definition. What is neither in
// the tables nor harmless by name becomes a reference of kind unknown, so that a device of a later
// libvirt is refused rather than overlooked.
#include "gate/host_references.h"

#include <algorithm>

#include "gate/device_references.h"
#include "gate/reference_tables.h"

namespace drover::gate {
namespace {

using enum ReferenceKind;
using std::string;
using std::string_view;

// libvirt reads one of them, and so does droverd: nobody may have two.
struct Once {
  string_view parent;
  const char* name;
};
constexpr Once kOnce[] = {{"", "os"},
                          {"", "devices"},
                          {"os", "loader"},
                          {"os", "nvram"},
                          {"devices/disk", "source"},
                          {"devices/disk", "target"},
                          {"devices/disk", "backingStore"},
                          {"devices/disk", "mirror"}};
constexpr string_view kLayers[] = {"backingStore", "mirror", "dataStore"};

template <typename List>
bool contains(const List& list, string_view word) {
  return std::ranges::find(list, word) != std::end(list);
}

string attribute(const pugi::xml_node& node, const char* name) {
  return node.attribute(name).as_string();
}

bool looks_like_path(string_view value) {
  return value.starts_with('/') || value.find("../") != string_view::npos;
}

class Walker {
 public:
  std::vector<HostReference> take() { return std::move(found_.all); }

  void walk_domain(const pugi::xml_node& domain) {
    for (const auto& a : domain.attributes()) {
      const string_view name = a.name();
      if (name != "type" && name != "id") found_.add(kNamespace, string(name), "@" + string(name));
    }
    judge_twice(domain, "");
    for (const auto& child : domain.children()) visit(child, "");
  }

 private:
  void judge_twice(const pugi::xml_node& node, const string& path) {
    for (const auto& [parent, name] : kOnce) {
      if (parent == path && std::ranges::distance(node.children(name)) > 1)
        found_.add(kUnknown, string("more than one ") + name, path);
    }
  }

  void visit(const pugi::xml_node& node, const string& parent) {
    if (node.type() != pugi::node_element) return;
    const string_view name = node.name();
    const bool below_disk = parent.starts_with("devices/disk");
    // A layer's parts are those of a disk, however deep it lies.
    const string path = below_disk && contains(kLayers, name) ? "devices/disk"
                        : parent.empty()                      ? string(name)
                                                              : parent + "/" + string(name);
    const bool device = parent.starts_with("devices");
    if (path == "metadata" || path == "title" || path == "description" || path == "name") return;
    if (name.find(':') != string_view::npos)
      return found_.add(kNamespace, canonical_text(node), path);
    if (device ? !is_harmless_device_element(name) : !is_known_element(path)) {
      return found_.add(kUnknown, canonical_text(node), path);
    }
    judge_twice(node, path);
    const Consumed done = device ? device_references(node, path, found_) : handle_other(node, path);
    if (done.all) return;
    for (const auto& a : node.attributes()) {
      if (!done.attributes.contains(a.name())) judge_attribute(a, path, device);
    }
    judge_text(element_text(node), path + "#");
    for (const auto& child : node.children()) {
      if (!done.children.contains(child.name())) visit(child, path);
    }
  }

  void judge_attribute(const pugi::xml_attribute& a, const string& path, bool device) {
    const string_view name = a.name();
    const string value = a.value();
    const string place = path + "@" + string(name);
    if (name == "xmlns" || name.find(':') != string_view::npos)
      return found_.add(kNamespace, value, place);
    if (const auto kind = simple_reference(place)) return found_.add(*kind, value, place);
    if (is_harmless_place(place)) return;
    // Names have no slash: QEMU takes some that do for paths (keymaps).
    const bool harmless =
        device ? is_harmless_device_attribute(name) && value.find('/') == string::npos
               : !is_suspicious_attribute(name) && !looks_like_path(value);
    if (!harmless) found_.add(kUnknown, value, place);
  }

  void judge_text(const string& text, const string& place) {
    if (text.empty()) return;
    if (const auto kind = simple_reference(place)) return found_.add(*kind, text, place);
    if (!is_harmless_place(place) && looks_like_path(text)) found_.add(kUnknown, text, place);
  }

  Consumed handle_other(const pugi::xml_node& node, const string& path) {
    if (path == "launchSecurity") {
      found_.add(kLaunchSecurity, canonical_text(node), path);
      return {.all = true};
    }
    if (path == "seclabel") {
      judge_domain_label(node);
      return {.all = true};
    }
    if (path == "memoryBacking/source" && attribute(node, "type") == "file") {
      found_.add(kMemoryFile, "file", path);
    }
    return {};
  }

  void judge_domain_label(const pugi::xml_node& node) {
    const string type = attribute(node, "type");
    const string model = attribute(node, "model");
    const bool dynamic = (type.empty() || type == "dynamic") && !node.child("baselabel") &&
                         attribute(node, "relabel") != "no";
    if (dynamic || model == "none") return;
    found_.add(kSecurityLabel, canonical_text(node), "seclabel");
  }

  ReferenceList found_;
};

}  // namespace

std::vector<HostReference> references_of(const pugi::xml_node& domain) {
  Walker walker;
  walker.walk_domain(domain);
  return walker.take();
}

Result<std::vector<HostReference>> host_references(string_view domain_xml) {
  ASSIGN_OR_RETURN(const pugi::xml_document document, parse_strictly(domain_xml));
  if (string_view(document.document_element().name()) != "domain") {
    return fail(ErrorCode::kProtocol, "The XML is refused: it is not a <domain>.");
  }
  return references_of(document.document_element());
}

}  // namespace drover::gate
