// SPDX-License-Identifier: Apache-2.0
#include "move/health/health.h"

#include <algorithm>

#include "move/message_json.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kAgentLimit = 2s;
// An idle guest's timer, and an agent that is busy, need no longer.
constexpr auto kAnswersWithin = 10s;
// On a quiet network nothing but ARP may come, once in a while.
constexpr auto kPacketsWithin = 20s;
constexpr std::int64_t kClockSlack = 1000;            // ms
constexpr std::int64_t kAheadMost = 300'000'000'000;  // ms, ten years

std::int64_t host_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

const InterfaceSigns* find(const GuestSigns& signs, const std::string& mac) {
  const auto it = std::ranges::find(signs.interfaces, mac, &InterfaceSigns::mac);
  return it == signs.interfaces.end() ? nullptr : &*it;
}

bool has(const std::vector<std::string>& macs, const std::string& mac) {
  return std::ranges::find(macs, mac) != macs.end();
}

Finding finding(const Move& move, std::string code, std::string object, std::string what,
                std::string why, bool network) {
  std::vector<std::string> fixes;
  // Only a host that may be commanded takes the word from another one.
  if (network)
    fixes.push_back(fmt::format("On {}: drover replug {}", move.destination, move.plan.vm.name));
  fixes.push_back("Look at its console: virsh console " + move.plan.vm.name);
  fixes.push_back(fmt::format("Move it back: drover move {} {}", move.plan.vm.name, move.source));
  return {std::move(code), FindingLevel::kWarning, std::move(object),
          std::move(what), std::move(why),         std::move(fixes)};
}

// One finding an interface: what hinders it, else what it misses.
void judge_interface(const Move& move, const InterfaceSigns& first, const InterfaceSigns& now,
                     std::chrono::milliseconds watched, std::vector<Finding>& findings) {
  const HealthBefore& before = move.health->before;
  const std::string& vm = move.plan.vm.name;
  if (has(before.plugged, now.mac) && !now.plugged) {
    findings.push_back(
        finding(move, "HEALTH_NETWORK_UNPLUGGED", now.mac,
                fmt::format("{} of {} is not in the bridge {}.", now.device, vm, now.bridge),
                "Nothing that the guest sends leaves the host, and nothing reaches it.", true));
    return;
  }
  if (watched < kPacketsWithin || !first.counted || !now.counted) return;
  const bool deaf = has(before.received, now.mac) && now.received_packets <= first.received_packets;
  const bool mute = has(before.sent, now.mac) && now.sent_packets <= first.sent_packets;
  if (!deaf && !mute) return;
  findings.push_back(
      finding(move, "HEALTH_NETWORK_SILENT", now.mac,
              fmt::format("{} has {} nothing on its interface {} since the switch.", vm,
                          deaf && mute ? "received and sent"
                          : deaf       ? "received"
                                       : "sent",
                          now.mac),
              fmt::format("On {} it did.", move.source), true));
}

}  // namespace

Result<GuestSigns> signs_of(Hypervisor& hypervisor, std::string_view uuid) {
  ASSIGN_OR_RETURN(GuestSigns signs, hypervisor.guest_signs(uuid));
  if (!signs.has_agent || !signs.runs) return signs;
  const auto answer = hypervisor.ask_agent(uuid, R"({"execute":"guest-get-time"})", kAgentLimit);
  if (!answer) return signs;
  signs.agent_answers = true;
  const auto reply = nlohmann::json::parse(*answer, nullptr, false);
  const auto time = reply.is_object() ? reply.find("return") : reply.end();
  std::int64_t ahead_ns = 0;  // the guest's word: it may be anything
  if (reply.is_object() && time != reply.end() && time->is_number_integer() &&
      !__builtin_sub_overflow(time->get<std::int64_t>(), host_clock_ns(), &ahead_ns)) {
    signs.clock_ahead_ms = ahead_ns / 1'000'000;
  }
  return signs;
}

Status set_guest_clock(Hypervisor& hypervisor, std::string_view uuid, std::int64_t ahead_ms) {
  if (ahead_ms > kAheadMost || ahead_ms < -kAheadMost)
    return fail(ErrorCode::kInvalidArgument, "A clock is not set {} ms off.", ahead_ms);
  const nlohmann::json command{{"execute", "guest-set-time"},
                               {"arguments", {{"time", host_clock_ns() + ahead_ms * 1'000'000}}}};
  ASSIGN_OR_RETURN(const std::string answer,
                   hypervisor.ask_agent(uuid, command.dump(), kAgentLimit));
  const auto reply = nlohmann::json::parse(answer, nullptr, false);
  if (reply.is_object() && !reply.contains("error")) return {};
  return fail(ErrorCode::kHypervisor, "The guest's agent did not set its clock: {}.", answer);
}

HealthBefore before_of(const GuestSigns& early, const GuestSigns& late) {
  HealthBefore before;
  before.cpu_went_on = late.cpu_time > early.cpu_time;
  before.agent_answered = late.agent_answers;
  before.clock_ahead_ms = late.clock_ahead_ms;
  for (const auto& now : late.interfaces) {
    if (!now.bridge.empty() && now.plugged) before.plugged.push_back(now.mac);
    const auto* first = find(early, now.mac);
    if (first == nullptr || !first->counted || !now.counted) continue;
    if (now.received_packets > first->received_packets) before.received.push_back(now.mac);
    if (now.sent_packets > first->sent_packets) before.sent.push_back(now.mac);
  }
  return before;
}

std::optional<std::int64_t> clock_to_set(const HealthBefore& before, const GuestSigns& first) {
  if (!before.clock_ahead_ms || !first.clock_ahead_ms) return {};
  if (*before.clock_ahead_ms - *first.clock_ahead_ms <= kClockSlack) return {};
  return *before.clock_ahead_ms;
}

std::vector<Finding> judge_health(const Move& move, const GuestSigns& first, const GuestSigns& now,
                                  std::chrono::milliseconds watched) {
  std::vector<Finding> findings;
  const std::string& vm = move.plan.vm.name;
  if (!now.runs) {
    findings.push_back(
        finding(move, "HEALTH_STOPPED", vm,
                fmt::format("{} does not run on {} any more: {}.", vm, move.destination, now.state),
                "It ran when it came.", false));
    return findings;
  }
  const HealthBefore& before = move.health->before;
  if (before.cpu_went_on && now.cpu_time <= first.cpu_time && watched >= kAnswersWithin) {
    findings.push_back(finding(move, "HEALTH_CPU_STANDS", vm,
                               fmt::format("{} has used no processor time since the switch.", vm),
                               "Its processors stand still although QEMU says that it runs.",
                               false));
  }
  if (before.agent_answered && !now.agent_answers && watched >= kAnswersWithin) {
    findings.push_back(finding(move, "HEALTH_AGENT_SILENT", vm,
                               fmt::format("The guest agent of {} does not answer.", vm),
                               fmt::format("On {} it did.", move.source), false));
  }
  for (const auto& interface : now.interfaces) {
    const auto* then = find(first, interface.mac);
    judge_interface(move, then != nullptr ? *then : InterfaceSigns{}, interface, watched, findings);
  }
  return findings;
}

}  // namespace drover::move
