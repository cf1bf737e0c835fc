// SPDX-License-Identifier: Apache-2.0
#include "gate/strict_xml.h"

#include <algorithm>
#include <set>
#include <vector>

namespace drover::gate {
namespace {

// With everything that could be there, and references (`&lt;`) as they are written.
constexpr unsigned kAsWritten = (pugi::parse_default & ~pugi::parse_escapes) |
                                pugi::parse_comments | pugi::parse_declaration |
                                pugi::parse_doctype | pugi::parse_pi;
constexpr unsigned kAsMeant = kAsWritten | pugi::parse_escapes;

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

// What may stand between `&` and `;` without a doctype. pugixml takes any other for text.
bool is_reference(std::string_view name) {
  if (name.starts_with("#x")) {
    return name.size() > 2 &&
           name.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
  }
  if (name.starts_with('#')) {
    return name.size() > 1 && name.find_first_not_of("0123456789", 1) == std::string_view::npos;
  }
  return name == "amp" || name == "lt" || name == "gt" || name == "quot" || name == "apos";
}

// The value of an attribute or a text. pugixml reads bare `<` in a value and bare `&` in either as
// themselves; XML has neither.
bool has_bare_markup(std::string_view written) {
  for (auto at = written.find_first_of("<&"); at != std::string_view::npos;
       at = written.find_first_of("<&", at + 1)) {
    if (written[at] == '<') return true;
    const std::string_view rest = written.substr(at + 1);
    const auto end = rest.find(';');
    if (end == std::string_view::npos || !is_reference(rest.substr(0, end))) return true;
  }
  return false;
}

bool has_bare_markup(const pugi::xml_node& element) {
  return std::ranges::any_of(element.attributes(), [](const pugi::xml_attribute& attribute) {
    return has_bare_markup(std::string_view(attribute.value()));
  });
}

bool has_attribute_twice(const pugi::xml_node& element) {
  std::set<std::string_view> names;
  for (const auto& attribute : element.attributes()) {
    if (!names.insert(attribute.name()).second) return true;
  }
  return false;
}

// Of a tree as written. pugixml walks without recursion.
class Inspector : public pugi::xml_tree_walker {
 public:
  const char* complaint = nullptr;

  bool for_each(pugi::xml_node& node) override {
    if (depth() > kXmlDepthMax) complaint = "it is nested too deeply";
    switch (node.type()) {
      case pugi::node_element:
        if (has_attribute_twice(node)) complaint = "an attribute is there twice";
        if (has_bare_markup(node)) complaint = "an attribute holds a bare < or &";
        break;
      case pugi::node_pcdata:
        if (has_bare_markup(std::string_view(node.value()))) complaint = "a text holds a bare &";
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
  const auto parsed = document.load_buffer(xml.data(), xml.size(), kAsWritten, pugi::encoding_utf8);
  if (!parsed) return refuse(parsed.description());
  Inspector inspector;
  document.traverse(inspector);
  if (inspector.complaint != nullptr) return refuse(inspector.complaint);
  if (std::ranges::distance(document.children()) != 1 || !document.document_element()) {
    return refuse("it is not one element");
  }
  document.load_buffer(xml.data(), xml.size(), kAsMeant, pugi::encoding_utf8);
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
