// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/checkpoint_xml.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "hypervisor/xml_tree.h"

namespace drover {
namespace {

// The year 2255: what a clock of nanoseconds can tell.
constexpr long long kLatest = 9'000'000'000;

constexpr const char* kRoot = "domainsnapshot";
constexpr std::array<std::string_view, 10> kKnown{
    "name",  "description", "state",  "creationTime",   "memory",
    "disks", "parent",      "domain", "inactiveDomain", "cookie"};

std::string attribute(const pugi::xml_node& node, const char* name) {
  return node.attribute(name).value();
}

// A place in the tree that names a path: an attribute, or the text of an element.
struct Place {
  pugi::xml_attribute attribute;
  pugi::xml_node element;
  std::string path() const {
    const std::string raw = attribute ? attribute.value() : element.text().get();
    const auto begin = raw.find_first_not_of(" \n\t");
    if (begin == std::string::npos) return {};
    return raw.substr(begin, raw.find_last_not_of(" \n\t") + 1 - begin);
  }
  void set(const std::string& path) {
    if (attribute)
      attribute.set_value(path.c_str());
    else
      element.text().set(path.c_str());
  }
};

void sources_below(const pugi::xml_node& disk, std::vector<Place>& places) {
  for (const auto& source : disk.select_nodes(".//source")) {
    for (const char* name : {"file", "dev"}) {
      if (const auto found = source.node().attribute(name)) places.push_back({found, {}});
    }
  }
}

// What a VM's images are called. Devices and firmware are the host's, not the checkpoint's.
std::vector<Place> places_in(const pugi::xml_node& root) {
  std::vector<Place> places;
  for (const char* name : {"domain", "inactiveDomain"}) {
    const auto definition = root.child(name);
    for (const auto& disk : definition.child("devices").children("disk"))
      sources_below(disk, places);
    const auto nvram = definition.child("os").child("nvram");
    if (const auto source = nvram.child("source"))
      places.push_back({source.attribute("file"), {}});
    else if (nvram)
      places.push_back({{}, nvram});
  }
  for (const auto& disk : root.child("disks").children("disk")) sources_below(disk, places);
  if (const auto file = root.child("memory").attribute("file")) places.push_back({file, {}});
  std::erase_if(places, [](const Place& place) { return !place.path().starts_with('/'); });
  return places;
}

// Of a running VM libvirt keeps what its guest's processor was, to tell whether it can go on, and
// that a user network, if there is one, has a helper of its own.
bool is_plain_cookie(const pugi::xml_node& cookie) {
  return std::ranges::all_of(cookie.children(), [](const pugi::xml_node& child) {
    const std::string_view name = child.name();
    return child.type() != pugi::node_element || name == "cpu" ||
           (name == "slirpHelper" && !child.first_child() && !child.first_attribute());
  });
}

}  // namespace

Result<Checkpoint> parse_checkpoint(const CheckpointText& text) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(text.xml, kRoot));
  const auto root = document.document_element();
  Checkpoint checkpoint;
  checkpoint.name = root.child("name").text().get();
  if (checkpoint.name.empty())
    return fail(ErrorCode::kInvalidArgument, "A checkpoint has no name.");
  checkpoint.parent = root.child("parent").child("name").text().get();
  checkpoint.made_at = std::chrono::system_clock::time_point(
      std::chrono::seconds(std::clamp(root.child("creationTime").text().as_llong(), 0LL, kLatest)));
  checkpoint.current = text.current;
  checkpoint.memory_file = attribute(root.child("memory"), "file");
  for (const auto& disk : root.child("disks").children("disk")) {
    const std::string kind = attribute(disk, "snapshot");
    if (kind == "internal") checkpoint.internal_disks.push_back(attribute(disk, "name"));
    if (kind == "external") checkpoint.external_disks.push_back(attribute(disk, "name"));
  }
  return checkpoint;
}

Result<std::vector<std::string>> checkpoint_paths(std::string_view xml) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, kRoot));
  std::set<std::string> paths;
  for (const Place& place : places_in(document.document_element())) paths.insert(place.path());
  return std::vector<std::string>(paths.begin(), paths.end());
}

Result<std::vector<std::string>> checkpoint_definitions(std::string_view xml) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, kRoot));
  std::vector<std::string> definitions;
  for (auto child : document.document_element().children()) {
    if (child.type() != pugi::node_element) continue;
    const std::string_view name = child.name();
    const bool known = std::ranges::find(kKnown, name) != kKnown.end();
    if (!known || (name == "cookie" && !is_plain_cookie(child))) {
      return fail(ErrorCode::kPolicy, "A checkpoint says something in <{}> that is not understood.",
                  name);
    }
    if (name != "domain" && name != "inactiveDomain") continue;
    child.set_name("domain");
    definitions.push_back(xml::write(child));
  }
  return definitions;
}

Result<std::string> adapt_checkpoint(std::string_view xml,
                                     const std::map<std::string, std::string>& paths) {
  ASSIGN_OR_RETURN(const auto document, xml::parse(xml, kRoot));
  const auto root = document.document_element();
  for (Place place : places_in(root)) {
    if (const auto there = paths.find(place.path()); there != paths.end()) place.set(there->second);
  }
  return xml::write(root);
}

}  // namespace drover
