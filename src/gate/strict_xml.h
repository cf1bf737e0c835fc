// SPDX-License-Identifier: Apache-2.0
// XML that every parser reads the same way. The gate judges a definition with pugixml and libvirt
// reads it with libxml2; whatever could make the two differ is refused. Internal to gate/.
#pragma once

#include <string>
#include <string_view>

#include <pugixml.hpp>

#include "base/error.h"

namespace drover::gate {

inline constexpr std::size_t kXmlBytesMax = 4194304;
inline constexpr int kXmlDepthMax = 64;

// Refuses doctypes, declarations, processing instructions, comments and CDATA (in <metadata> of a
// <domain> comments and CDATA pass), control characters, deep nesting, attributes that are there
// twice, bare `<` and `&`, references to other than characters and XML's own five entities, and
// anything but one root element.
Result<pugi::xml_document> parse_strictly(std::string_view xml);

// All text directly below the element, in one piece.
std::string element_text(const pugi::xml_node& element);

// One text for one meaning: attributes in order of their names, then text, then children. Elements
// and attributes of no meaning to the host (alias, index) are left out.
std::string canonical_text(const pugi::xml_node& element);

}  // namespace drover::gate
