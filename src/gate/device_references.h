// SPDX-License-Identifier: Apache-2.0
// What the devices of a definition refer to, where a value stands for more than itself: disks,
// interfaces, character devices, displays. Internal to gate/; the walk is host_references.cpp.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "gate/definition_policy.h"
#include "gate/strict_xml.h"

namespace drover::gate {

struct ReferenceList {
  std::vector<HostReference> all;

  void add(ReferenceKind kind, std::string value, std::string xml_path, std::string path = "") {
    all.push_back({kind, std::move(value), std::move(xml_path), std::move(path)});
  }
};

// What has been dealt with; the walk's general rules leave it alone.
struct Consumed {
  bool all = false;
  std::set<std::string_view> attributes{};
  std::set<std::string_view> children{};
};

// Called for each element below <devices>, with its path (gate/reference_tables.h).
Consumed device_references(const pugi::xml_node& node, const std::string& path,
                           ReferenceList& found);

}  // namespace drover::gate
