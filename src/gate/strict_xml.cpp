// SPDX-License-Identifier: Apache-2.0
#include "gate/strict_xml.h"

#include <algorithm>
#include <set>
#include <vector>

namespace drover::gate {
namespace {

constexpr unsigned kParseOptions = pugi::parse_default | pugi::parse_comments |
                                   pugi::parse_declaration | pugi::parse_doctype | pugi::parse_pi;

std::unexpected<Error> refuse(std::string_view why) {
  return fail(ErrorCode::kProtocol, "The XML is refused: {}.", why);
}

// Also keeps UTF-16 and UTF-32 out, which have zero bytes here.
bool has_control_characters(std::string_view xml) {
  return std::ranges::any_of(xml, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && c != '\t' && c != '\n' && c != '\r';
  });
}

bool has_attribute_twice(const pugi::xml_node& element) {
  std::set<std::string_view> names;
  for (const auto& attribute : element.attributes()) {
    if (!names.insert(attribute.name()).second) return true;
  }
  return false;
}

// pugixml walks without recursion.
class Inspector : public pugi::xml_tree_walker {
 public:
  const char* complaint = nullptr;

  bool for_each(pugi::xml_node& node) override {
    if (depth() > kXmlDepthMax) complaint = "it is nested too deeply";
    switch (node.type()) {
      case pugi::node_element:
        if (has_attribute_twice(node)) complaint = "an attribute is there twice";
        break;
      case pugi::node_pcdata:
        break;
      case pugi::node_cdata:
      case pugi::node_comment:
        if (!in_metadata(node)) complaint = "it holds a comment or CDATA";
        break;
      default:
        complaint = "it holds a declaration, doctype or processing instruction";
    }
    return complaint == nullptr;
  }

 private:
  static bool in_metadata(pugi::xml_node node) {
    while (node.parent().parent().parent()) node = node.parent();
    return std::string_view(node.name()) == "metadata" &&
           std::string_view(node.parent().name()) == "domain";
  }
};

}  // namespace

Result<pugi::xml_document> parse_strictly(std::string_view xml) {
  if (xml.size() > kXmlBytesMax) return refuse("it is too large");
  if (has_control_characters(xml)) return refuse("it holds control characters");
  pugi::xml_document document;
  const auto parsed =
      document.load_buffer(xml.data(), xml.size(), kParseOptions, pugi::encoding_utf8);
  if (!parsed) return refuse(parsed.description());
  Inspector inspector;
  document.traverse(inspector);
  if (inspector.complaint != nullptr) return refuse(inspector.complaint);
  if (std::ranges::distance(document.children()) != 1 || !document.document_element()) {
    return refuse("it is not one element");
  }
  return document;
}

std::string element_text(const pugi::xml_node& element) {
  std::string text;
  for (const auto& child : element.children()) {
    if (child.type() == pugi::node_pcdata) text += child.value();
  }
  return text;
}

std::string canonical_text(const pugi::xml_node& element) {
  std::string text = element.name();
  std::vector<std::string> attributes;
  for (const auto& attribute : element.attributes()) {
    if (std::string_view(attribute.name()) == "index") continue;
    attributes.push_back(fmt::format(" {}='{}'", attribute.name(), attribute.value()));
  }
  std::ranges::sort(attributes);
  for (const std::string& attribute : attributes) text += attribute;
  if (const std::string own = element_text(element); !own.empty()) text += " " + own;
  for (const auto& child : element.children()) {
    if (child.type() != pugi::node_element || std::string_view(child.name()) == "alias") continue;
    text += " {" + canonical_text(child) + "}";
  }
  return text;
}

}  // namespace drover::gate
