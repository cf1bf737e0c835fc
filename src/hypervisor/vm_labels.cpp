// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/vm_labels.h"

#include <algorithm>
#include <set>

#include <pugixml.hpp>

namespace drover {
namespace {

// pugixml knows no namespaces: the prefix is looked up in the element that has it, where libvirt
// writes it.
std::string_view local_name(std::string_view name) {
  return name.substr(name.find(':') == std::string_view::npos ? 0 : name.find(':') + 1);
}

bool is_of_ours(const pugi::xml_node& element) {
  const std::string name = element.name();
  if (local_name(name) != "labels") return false;
  const auto colon = name.find(':');
  const std::string declared =
      colon == std::string::npos ? "xmlns" : "xmlns:" + name.substr(0, colon);
  return element.attribute(declared.c_str()).value() == kLabelsNamespace;
}

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= kLabelBytesMax && is_word_character(text.front()) &&
         std::ranges::all_of(text, [](char c) {
           return is_word_character(c) ||
                  std::string_view("-_.:=").find(c) != std::string_view::npos;
         });
}

std::vector<std::string> labels_in(const pugi::xml_node& domain) {
  std::set<std::string> labels;
  for (const auto& element : domain.child("metadata").children()) {
    if (!is_of_ours(element)) continue;
    for (const auto& child : element.children()) {
      const std::string text = child.text().get();
      if (local_name(child.name()) == "label" && is_label(text) && labels.size() < kLabelsMax)
        labels.insert(text);
    }
  }
  return {labels.begin(), labels.end()};
}

}  // namespace drover
