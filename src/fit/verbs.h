// SPDX-License-Identifier: Apache-2.0
// What daemons say to each other about CPUs (docs/peer_verbs.md). Plain values; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "hypervisor/hypervisor.h"

namespace drover::fit {

namespace verb {
inline constexpr std::string_view kCpu = "cpu";             // CpuRequest -> CpuReply; right: none
inline constexpr std::string_view kCpuCheck = "cpu-check";  // CpuCheckRequest -> CpuCheckReply
}  // namespace verb

// What could a guest of such a machine have on your host?
struct CpuRequest {
  MachineKind machine;
};
struct CpuReply {
  std::string cpu;  // a <cpu> element
};

// Could your host run a guest of this definition's CPU?
struct CpuCheckRequest {
  std::string definition;
};
struct CpuCheckReply {
  bool fits = false;
  std::vector<std::string> missing;  // features, as far as they are known
};

std::string to_json(const CpuRequest& value);
std::string to_json(const CpuReply& value);
std::string to_json(const CpuCheckRequest& value);
std::string to_json(const CpuCheckReply& value);
Result<CpuRequest> cpu_request_from_json(std::string_view text);
Result<CpuReply> cpu_reply_from_json(std::string_view text);
Result<CpuCheckRequest> cpu_check_request_from_json(std::string_view text);
Result<CpuCheckReply> cpu_check_reply_from_json(std::string_view text);

}  // namespace drover::fit
