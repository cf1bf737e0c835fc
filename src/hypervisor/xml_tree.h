// SPDX-License-Identifier: Apache-2.0
// Reading and writing of XML trees with this folder's limits. Private to src/hypervisor: the only
// header of it that shows pugixml.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <pugixml.hpp>

#include "base/error.h"

namespace drover::xml {

// Keeps white space, so that what is not touched is written back as it was. Comments, processing
// instructions and a document type are dropped: they say nothing, and the destination's policy
// refuses what parsers may read differently. kInvalidArgument: too large, too deep, control
// characters, not XML, or the root is not `root_name`.
Result<pugi::xml_document> parse(std::string_view text, const char* root_name);
// Without re-indenting, attributes in single quotes as libvirt writes them.
std::string write(const pugi::xml_node& node);

// Sets an attribute, appending it if it is missing.
void set_attribute(pugi::xml_node node, const char* name, const std::string& value);

}  // namespace drover::xml
