// SPDX-License-Identifier: Apache-2.0
// A definition to spoil, and what every finding of it must have: for tests.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "model/plan.h"

namespace drover::preflight {

inline constexpr const char* kUuid = "11111111-2222-4333-8444-555555555555";
inline constexpr const char* kDisk =
    "<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source "
    "file='/var/lib/libvirt/images/web01.qcow2'/><target dev='vda' bus='virtio'/></disk>";

inline std::string definition(const std::string& devices, const std::string& head = "",
                              const std::string& name = "web01") {
  return "<domain type='kvm'><name>" + name + "</name><uuid>" + kUuid +
         "</uuid><memory unit='MiB'>1024</memory><vcpu>2</vcpu><os><type arch='x86_64' "
         "machine='pc-q35-7.2'>hvm</type></os>" +
         head + "<devices>" + devices + "</devices></domain>";
}

inline const Finding* find(const std::vector<Finding>& findings, const std::string& code) {
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [&](const Finding& finding) { return finding.code == code; });
  return found == findings.end() ? nullptr : &*found;
}

inline std::string codes(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) text += finding.code + " ";
  return text;
}

// Blockers and warnings need a fix, and every sentence is one.
inline void expect_helpful(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) {
    EXPECT_FALSE(finding.object.empty()) << finding.code;
    EXPECT_TRUE(finding.what.ends_with('.')) << finding.what;
    EXPECT_FALSE(finding.why.empty()) << finding.code;
    if (finding.level != FindingLevel::kNote) {
      EXPECT_FALSE(finding.fixes.empty()) << finding.code;
    }
  }
}

}  // namespace drover::preflight
