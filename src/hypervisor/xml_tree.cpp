// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/xml_tree.h"

#include <algorithm>
#include <charconv>
#include <sstream>

#include "hypervisor/domain_xml.h"

namespace drover::xml {
namespace {

// Stops at the first node that is too deep: freeing a tree is recursive in pugixml.
struct DepthLimit : pugi::xml_tree_walker {
  bool for_each(pugi::xml_node&) override { return depth() <= kDefinitionDepthMax; }
};

// XML has no control characters but tab and line ends; pugixml lets them pass, and they would reach
// terminals.
bool has_control_characters(std::string_view text) {
  const auto allowed = [](unsigned long c) {
    return c >= 0x20 || c == '\t' || c == '\n' || c == '\r';
  };
  if (!std::all_of(text.begin(), text.end(),
                   [&](unsigned char c) { return allowed(c) && c != 0x7f; }))
    return true;
  for (auto at = text.find("&#"); at != std::string_view::npos; at = text.find("&#", at + 2)) {
    const bool hex = at + 2 < text.size() && (text[at + 2] == 'x' || text[at + 2] == 'X');
    const std::string_view digits = text.substr(at + (hex ? 3 : 2), 12);
    unsigned long value = 0;
    (void)std::from_chars(digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
    if (!allowed(value) || value == 0x7f) return true;
  }
  return false;
}

}  // namespace

Result<pugi::xml_document> parse(std::string_view text, const char* root_name) {
  if (text.size() > kDefinitionBytesMax) {
    return fail(ErrorCode::kInvalidArgument, "The {} definition has {} bytes; {} are allowed.",
                root_name, text.size(), kDefinitionBytesMax);
  }
  if (has_control_characters(text)) {
    return fail(ErrorCode::kInvalidArgument, "The {} definition has control characters.",
                root_name);
  }
  pugi::xml_document document;
  constexpr unsigned kFlags = pugi::parse_default | pugi::parse_ws_pcdata;
  const auto outcome = document.load_buffer(text.data(), text.size(), kFlags, pugi::encoding_utf8);
  if (!outcome) {
    return fail(ErrorCode::kInvalidArgument, "The {} definition is not XML: {} at byte {}.",
                root_name, outcome.description(), outcome.offset);
  }
  DepthLimit limit;
  if (!document.traverse(limit)) {
    return fail(ErrorCode::kInvalidArgument,
                "The {} definition is nested more than {} levels deep.", root_name,
                kDefinitionDepthMax);
  }
  if (std::string_view(document.document_element().name()) != root_name) {
    return fail(ErrorCode::kInvalidArgument, "The definition's root is <{}>, not <{}>.",
                document.document_element().name(), root_name);
  }
  return document;
}

std::string write(const pugi::xml_node& node) {
  std::ostringstream out;
  node.print(out, "",
             pugi::format_raw | pugi::format_attribute_single_quote | pugi::format_no_declaration,
             pugi::encoding_utf8);
  return std::move(out).str();
}

void set_attribute(pugi::xml_node node, const char* name, const std::string& value) {
  auto attribute = node.attribute(name);
  if (!attribute) attribute = node.append_attribute(name);
  attribute.set_value(value.c_str());
}

}  // namespace drover::xml
