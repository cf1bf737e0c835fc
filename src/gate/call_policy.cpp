// SPDX-License-Identifier: Apache-2.0
#include "gate/call_policy.h"

#include <algorithm>
#include <array>

#include "gate/host_references.h"

namespace drover::gate {
namespace {

using std::string;
using std::string_view;

// virDomainMigrateFlags, by bit.
constexpr std::uint32_t kAllowedFlags = 1u << 0      // LIVE
                                        | 1u << 1    // PEER2PEER
                                        | 1u << 3    // PERSIST_DEST
                                        | 1u << 4    // UNDEFINE_SOURCE: acts on the source alone
                                        | 1u << 5    // PAUSED
                                        | 1u << 6    // NON_SHARED_DISK
                                        | 1u << 7    // NON_SHARED_INC
                                        | 1u << 9    // UNSAFE
                                        | 1u << 11   // COMPRESSED
                                        | 1u << 12   // ABORT_ON_ERROR
                                        | 1u << 13   // AUTO_CONVERGE
                                        | 1u << 17   // PARALLEL
                                        | 1u << 18;  // NON_SHARED_SYNCHRONOUS_WRITES

// Parameters that only tune; those that name something are checked one by one.
constexpr std::array kTuning{
    string_view("bandwidth"),
    string_view("compression"),
    string_view("compression.mt.level"),
    string_view("compression.mt.threads"),
    string_view("compression.mt.dthreads"),
    string_view("compression.xbzrle.cache"),
    string_view("compression.zlib.level"),
    string_view("compression.zstd.level"),
    string_view("parallel.connections"),
    string_view("auto_converge.initial"),
    string_view("auto_converge.increment"),
};

Status refuse_param(const TypedParam& param, string_view expected) {
  const auto* text = std::get_if<string>(&param.value);
  return fail(ErrorCode::kPolicy, "The parameter {} is '{}'; the reservation has '{}'.",
              param.field, text != nullptr ? text->substr(0, 200) : "not a text", expected);
}

string joined(const std::vector<string>& words) {
  string text;
  for (const string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

Status check_param(const TypedParam& param, const Policy& policy, const PathChecker& check_path) {
  if (std::ranges::find(kTuning, param.field) != kTuning.end()) return {};
  const auto* text = std::get_if<string>(&param.value);
  if (text != nullptr && param.field == "destination_xml") {
    return check_domain(*text, policy, check_path);
  }
  if (param.field == "destination_name") {
    if (text != nullptr && *text == policy.vm_name) return {};
    return refuse_param(param, policy.vm_name);
  }
  if (param.field == "migrate_uri") {
    if (text != nullptr && *text == policy.memory_uri) return {};
    return refuse_param(param, policy.memory_uri);
  }
  if (param.field == "disks_uri") {
    if (text != nullptr && !policy.disks_uri.empty() && *text == policy.disks_uri) return {};
    return refuse_param(param, policy.disks_uri);
  }
  if (param.field == "migrate_disks" || param.field == "migrate_disks_detect_zeroes") {
    const auto& targets = policy.disk_targets;
    if (text != nullptr && std::ranges::find(targets, *text) != targets.end()) return {};
    return refuse_param(param, joined(targets));
  }
  return fail(ErrorCode::kPolicy, "The parameter {} is not part of a move.", param.field);
}

Status check_params(const std::vector<TypedParam>& params, const Policy& policy,
                    const PathChecker& check_path) {
  for (const TypedParam& param : params) RETURN_IF_ERROR(check_param(param, policy, check_path));
  return {};
}

Status require_param(const std::vector<TypedParam>& params, string_view field) {
  if (std::ranges::count(params, field, &TypedParam::field) == 1) return {};
  return fail(ErrorCode::kPolicy, "The parameter {} is not there exactly once.", field);
}

Status check_flags(std::uint32_t flags) {
  const std::uint32_t wrong = flags & ~kAllowedFlags;
  if (wrong == 0) return {};
  return fail(ErrorCode::kPolicy, "The migration flags {:#x} are not part of a move.", wrong);
}

Status check_cookie_text(const pugi::xml_node& root, const char* name, const string& expected) {
  for (const auto& child : root.children(name)) {
    if (element_text(child) == expected) continue;
    return fail(ErrorCode::kPolicy, "The cookie's {} is '{}'; the reservation has '{}'.", name,
                element_text(child), expected);
  }
  return {};
}

// The disks it lists, with their sizes, are those of the definition; only a port would open a way
// in.
Status check_cookie_disks(const pugi::xml_node& root) {
  for (const auto& nbd : root.children("nbd")) {
    if (!nbd.attribute("port").empty()) {
      return fail(ErrorCode::kPolicy, "The cookie asks for an NBD server on a TCP port.");
    }
  }
  return {};
}

// libvirt reads <domain> right below the root only; one that stands deeper is refused unread.
Status check_cookie(const string& cookie, const Policy& policy, const PathChecker& check_path) {
  string_view xml = cookie;
  while (xml.ends_with('\0')) xml.remove_suffix(1);
  if (xml.empty()) return {};
  ASSIGN_OR_RETURN(const pugi::xml_document document, parse_strictly(xml));
  const pugi::xml_node root = document.document_element();
  if (string_view(root.name()) != "qemu-migration") {
    return fail(ErrorCode::kPolicy, "The cookie is not one of a QEMU migration.");
  }
  RETURN_IF_ERROR(check_cookie_text(root, "name", policy.vm_name));
  RETURN_IF_ERROR(check_cookie_text(root, "uuid", policy.vm_uuid));
  RETURN_IF_ERROR(check_cookie_disks(root));
  for (const auto& domain : root.children("domain")) {
    RETURN_IF_ERROR(check_domain_element(domain, policy, check_path));
  }
  return {};
}

}  // namespace

Status check_prepare(const PrepareCall& call, const Policy& policy, const PathChecker& check_path) {
  RETURN_IF_ERROR(check_flags(call.flags));
  RETURN_IF_ERROR(require_param(call.params, "destination_xml"));
  RETURN_IF_ERROR(require_param(call.params, "migrate_uri"));
  RETURN_IF_ERROR(check_params(call.params, policy, check_path));
  return check_cookie(call.cookie, policy, check_path);
}

Status check_finish(const FinishCall& call, const Policy& policy, const PathChecker& check_path) {
  RETURN_IF_ERROR(check_flags(call.flags));
  RETURN_IF_ERROR(check_params(call.params, policy, check_path));
  return check_cookie(call.cookie, policy, check_path);
}

}  // namespace drover::gate
