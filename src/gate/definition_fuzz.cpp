// SPDX-License-Identifier: Apache-2.0
// Any bytes as a domain definition, as a cookie and as a policy: no crash; and a definition that
// passes holds nothing that a rule forbids by its mere text.
#include <cstdlib>

#include "gate/call_policy.h"
#include "gate/definition_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace drover::gate;
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  Policy policy;
  policy.vm_name = "web";
  policy.vm_uuid = "1c89c67c-15df-4262-81af-72b1b8aed0f5";
  if (reserve_references(policy, text)) {
    const auto violations = check_definition(text, policy.rules, any_path);
    if (!violations) std::abort();
    const bool clean = violations->empty();
    if (clean && text.find("<!DOCTYPE") != std::string_view::npos &&
        text.find("<metadata") == std::string_view::npos) {
      std::abort();
    }
    // Everything is reserved, so only identity or a rule can stand against it.
    if (check_domain(text, policy, any_path) && !clean) std::abort();
  }
  FinishCall finish;
  finish.cookie = text;
  static_cast<void>(check_finish(finish, policy, any_path));
  if (const auto parsed = parse_policy(text)) {
    const std::string once = policy_text(*parsed);
    const auto again = parse_policy(once);
    if (!again || policy_text(*again) != once) std::abort();
  }
  return 0;
}
