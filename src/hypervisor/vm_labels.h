// SPDX-License-Identifier: Apache-2.0
// Labels of a VM: words that its administrator gave it, in the metadata of its definition, where
// libvirt keeps them and takes them along in a move (docs/queue.md). Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pugi {
class xml_node;
}

namespace drover {

// The namespace of the element <labels> within <metadata>, whatever its prefix.
inline constexpr std::string_view kLabelsNamespace = "urn:drover:labels:1";
inline constexpr std::size_t kLabelsMax = 64;
inline constexpr std::size_t kLabelBytesMax = 63;

// Letters, digits, and - _ . : = after a letter or digit.
bool is_label(std::string_view text);

// Of a <domain>, sorted, each once. What is no label is left out: it may come from another host.
std::vector<std::string> labels_in(const pugi::xml_node& domain);

}  // namespace drover
