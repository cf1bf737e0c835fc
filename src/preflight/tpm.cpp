// SPDX-License-Identifier: Apache-2.0
#include "preflight/tpm.h"

#include <fmt/core.h>

#include "hypervisor/tpm_state.h"

namespace drover::preflight {
namespace {

constexpr Version kLibvirtKeepsTpm = 8'009'000;  // by itself, if it is asked to

}  // namespace

void note_told_libvirt(const HostFacts& host, const MoveRequest& request,
                       std::string_view definition, std::string_view when, Findings& findings) {
  const bool cold = request.kind == MoveKind::kOffline || request.kind == MoveKind::kQuick;
  const bool old = host.libvirt_version != 0 && host.libvirt_version < kLibvirtKeepsTpm;
  if (!cold || !old || !keeps_tpm_state(definition)) return;
  findings.note(
      Code::kTpmTravels, "tpm",
      fmt::format("libvirt on {} is {}, and removes what a TPM holds with the definition.",
                  host.name, version_text(host.libvirt_version)),
      fmt::format("{} the definition there is told to keep it (persistent_state='yes'), right "
                  "before libvirt forgets it. From {} on that is not needed.",
                  when, version_text(kLibvirtKeepsTpm)));
}

}  // namespace drover::preflight
