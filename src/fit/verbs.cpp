// SPDX-License-Identifier: Apache-2.0
#include "fit/verbs.h"

#include "json/encode.h"

namespace drover::fit {
namespace {

using Json = nlohmann::json;
using json::Unknown;

constexpr std::size_t kMissingMost = 200;

}  // namespace

std::string to_json(const CpuRequest& value) {
  return json::dump({{"arch", value.machine.arch},
                     {"machine", value.machine.machine},
                     {"domain_type", value.machine.domain_type}});
}
std::string to_json(const CpuReply& value) { return json::dump({{"cpu", value.cpu}}); }
std::string to_json(const CpuCheckRequest& value) {
  return json::dump({{"definition", value.definition}});
}
std::string to_json(const CpuCheckReply& value) {
  return json::dump({{"fits", value.fits}, {"missing", value.missing}});
}

// Peers may be one version ahead: what is not known is ignored.
Result<CpuRequest> cpu_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(text));
  CpuRequest value;
  RETURN_IF_ERROR(json::Fields(tree, "", Unknown::kIgnore)
                      .need("arch", value.machine.arch)
                      .need("machine", value.machine.machine)
                      .need("domain_type", value.machine.domain_type)
                      .finish());
  return value;
}

Result<CpuReply> cpu_reply_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(text));
  CpuReply value;
  RETURN_IF_ERROR(json::Fields(tree, "", Unknown::kIgnore).need("cpu", value.cpu).finish());
  return value;
}

Result<CpuCheckRequest> cpu_check_request_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(text));
  CpuCheckRequest value;
  RETURN_IF_ERROR(
      json::Fields(tree, "", Unknown::kIgnore).need("definition", value.definition).finish());
  return value;
}

Result<CpuCheckReply> cpu_check_reply_from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const Json tree, json::parse(text));
  CpuCheckReply value;
  RETURN_IF_ERROR(json::Fields(tree, "", Unknown::kIgnore)
                      .need("fits", value.fits)
                      .may("missing", value.missing)
                      .finish());
  if (value.missing.size() > kMissingMost) value.missing.resize(kMissingMost);
  return value;
}

}  // namespace drover::fit
