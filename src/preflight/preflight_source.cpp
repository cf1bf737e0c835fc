// SPDX-License-Identifier: Apache-2.0
// The list of the source's checks.
#include <algorithm>

#include <fmt/core.h>

#include "preflight/source_facts.h"

namespace drover::preflight {

std::string word(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+,=";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  }
  return quoted + "'";
}

std::vector<Finding> Findings::take() {
  std::stable_sort(list_.begin(), list_.end(),
                   [](const Finding& a, const Finding& b) { return a.level < b.level; });
  return std::move(list_);
}

std::vector<Finding> check_source(const SourceView& view) {
  Findings findings;
  check_source_host(view, findings);
  check_vm_state(view, findings);
  check_checkpoints(view, findings);
  check_name_length(view, findings);

  const std::string& readable = view.live_xml.empty() ? view.persistent_xml : view.live_xml;
  if (readable.empty()) return findings.take();  // the hypervisor is down; said above
  auto live = parse_domain(readable);
  if (!live) {
    findings.blocker(Code::kVmUnreadable, view.vm.name,
                     fmt::format("The definition of {} cannot be read.", view.vm.name),
                     live.error().text(), {fmt::format("virsh dumpxml {}", view.vm.name)});
    return findings.take();
  }
  SourceFacts facts{view, std::move(*live), {}};
  if (!view.persistent_xml.empty()) {
    auto persistent = parse_domain(view.persistent_xml);
    if (persistent) facts.persistent = std::move(*persistent);
  }
  check_disk_kinds(facts, findings);
  check_disk_images(facts, findings);
  check_persistent(facts, findings);
  check_host_devices(facts, findings);
  check_shared_things(facts, findings);
  check_interfaces(facts, findings);
  check_tpm(facts, findings);
  return findings.take();
}

}  // namespace drover::preflight
