// SPDX-License-Identifier: Apache-2.0
#include "fit/cpu_compat.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include "base/fan_out.h"
#include "base/log.h"
#include "base/random.h"
#include "fit/unsure.h"
#include "fit/verbs.h"
#include "hypervisor/adapt_cpu.h"
#include "hypervisor/domain_xml.h"

namespace drover::fit {
namespace {

using namespace std::chrono_literals;
using Features = Hypervisor::CpuFeatures;

constexpr auto kAskLimit = 15s;  // the first answer of a libvirt that was just started
constexpr std::size_t kIdCharacters = 8;
constexpr std::size_t kHostsMost = 64;

// Each host once, without this one. kInvalidArgument, kNotFound.
Result<std::vector<std::string>> other_hosts(move::World& world, const CpuWish& wish) {
  std::vector<std::string> hosts;
  for (const auto& host : wish.hosts) {
    if (host == world.host_name || std::ranges::find(hosts, host) != hosts.end()) continue;
    ASSIGN_OR_RETURN(const Peer peer, world.book.find_peer(host));
    hosts.push_back(peer.name);
  }
  if (hosts.size() > kHostsMost)
    return fail(ErrorCode::kInvalidArgument, "At most {} hosts can be asked.", kHostsMost);
  if (hosts.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "Name at least one other host that the VM shall be able to go to: --for host2.");
  }
  return hosts;
}

// One answer of each host, in their order; the first error names its host.
template <typename Reply, typename Decode>
Result<std::vector<Reply>> ask_all(move::World& world, const std::vector<std::string>& hosts,
                                   std::string_view verb, const std::string& body,
                                   const Decode& decode) {
  std::vector<Result<Reply>> answers(hosts.size(), Reply{});
  fan_out(hosts.size(), [&](std::size_t i) {
    const auto text = world.peers.call(hosts[i], verb, body, Deadline::after(kAskLimit));
    answers[i] = text ? decode(*text) : std::unexpected(text.error());
  });
  std::vector<Reply> replies;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (!answers[i]) {
      return std::unexpected(
          wrap(answers[i].error(), fmt::format("{} does not say what CPU it has.", hosts[i])));
    }
    replies.push_back(std::move(*answers[i]));
  }
  return replies;
}

std::vector<std::string> feature_words(const CpuText& cpu) {
  std::vector<std::string> words;
  for (const auto& [name, policy] : cpu.features) {
    const bool with = policy == "require" || policy == "force";
    if (with || policy == "disable" || policy == "forbid")
      words.push_back((with ? "+" : "-") + name);
  }
  return words;
}

std::set<std::string> all_features(move::World& world, const MachineKind& machine,
                                   const std::string& cpu) {
  std::set<std::string> names;
  const auto text = world.hypervisor.baseline_cpu(machine, std::vector{cpu}, Features::kAll);
  const auto read = text ? read_cpu(*text) : std::unexpected(text.error());
  if (!read) return names;
  for (const auto& [name, policy] : read->features) {
    if (policy == "require" || policy == "force") names.insert(name);
  }
  return names;
}

// What the VM's own host could give, and the result does not have; for people.
std::vector<std::string> lost_features(move::World& world, const MachineKind& machine,
                                       const std::string& own, const std::string& common) {
  const auto before = all_features(world, machine, own);
  const auto after = all_features(world, machine, common);
  std::vector<std::string> lost;
  std::ranges::set_difference(before, after, std::back_inserter(lost));
  return lost;
}

Status check_everywhere(move::World& world, const std::vector<std::string>& hosts,
                        const std::string& definition, const std::string& vm) {
  ASSIGN_OR_RETURN(const auto replies, ask_all<CpuCheckReply>(world, hosts, verb::kCpuCheck,
                                                              to_json(CpuCheckRequest{definition}),
                                                              cpu_check_reply_from_json));
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    if (replies[i].fits) continue;
    return fail(ErrorCode::kBlocked,
                "{} cannot give the CPU that was found for {}: it lacks {}. If libvirt there is "
                "older, ask there: drover --at {} cpu-compat.",
                hosts[i], vm,
                replies[i].missing.empty() ? std::string("something of it")
                                           : fmt::format("{}", fmt::join(replies[i].missing, ", ")),
                hosts[i]);
  }
  return {};
}

AppliedFix fix_of(const Vm& vm, const CpuWish& wish, const std::string& host,
                  const CpuCompat& found) {
  AppliedFix fix;
  fix.id = random_name(kIdCharacters);
  fix.code = kCpuFix;
  fix.object = vm.name;
  fix.host = host;
  fix.vm_uuid = vm.uuid;
  fix.vm_name = vm.name;
  fix.done =
      fmt::format("{} asks for the CPU model {} from its next start on.", vm.name, found.model);
  fix.undo = "Brings back what its definition asked for before, from the next start on.";
  fix.requested_by = wish.requested_by;
  fix.applied_at = std::chrono::system_clock::now();
  return fix;
}

// Written down before it is done, so that there is an undo whatever happens.
Status write_cpu(move::World& world, AppliedFix& fix, const std::string& former,
                 const std::string& definition) {
  ASSIGN_OR_RETURN(const std::string now,
                   world.hypervisor.definition(fix.vm_uuid, DefinitionKind::kPersistent));
  if (now != former) {
    return fail(ErrorCode::kConflict,
                "The definition of {} was changed while the hosts were asked. Try again.",
                fix.vm_name);
  }
  auto book = world.book.fixes();
  ASSIGN_OR_RETURN(fix.before, cpu_element(former));
  RETURN_IF_ERROR(book.save(fix));
  if (auto defined = world.hypervisor.define(definition); !defined) {
    if (!may_be_done(defined.error())) (void)book.remove(fix.id);
    return std::unexpected(
        wrap(defined.error(), fmt::format("libvirt does not take the CPU for {}.", fix.vm_name)));
  }
  // As libvirt wrote it: that is what an undo compares with. It can do without.
  if (const auto written = world.hypervisor.definition(fix.vm_uuid, DefinitionKind::kPersistent)) {
    fix.after = cpu_element(*written).value_or("");
  }
  if (auto saved = book.save(fix); !saved)
    log::warning("The fix {} of {}: {}", fix.id, fix.vm_name, saved.error().text());
  return {};
}

}  // namespace

Result<CpuCompat> cpu_compat(move::World& world, const WhileFree& while_free, const CpuWish& wish) {
  ASSIGN_OR_RETURN(const auto hosts, other_hosts(world, wish));
  ASSIGN_OR_RETURN(const Vm vm, world.hypervisor.find_vm(wish.vm));
  if (!vm.persistent) {
    return fail(ErrorCode::kConflict,
                "{} has no definition for a next start. Fix: virsh dumpxml {} > vm.xml && virsh "
                "define vm.xml.",
                vm.name, vm.name);
  }
  ASSIGN_OR_RETURN(const std::string definition,
                   world.hypervisor.definition(vm.uuid, DefinitionKind::kPersistent));
  ASSIGN_OR_RETURN(const DomainFacts facts, parse_domain(definition));
  CpuCompat found;
  found.vm_uuid = vm.uuid;
  found.vm_name = vm.name;
  found.hosts = hosts;
  found.hosts.insert(found.hosts.begin(), world.host_name);
  found.now = facts.cpu_mode == "custom" ? facts.cpu_model : facts.cpu_mode;
  found.running = vm.state != VmState::kOff;

  const MachineKind machine{facts.arch, facts.vm.machine, facts.vm.domain_type};
  ASSIGN_OR_RETURN(const std::string own, world.hypervisor.host_cpu(machine));
  ASSIGN_OR_RETURN(const auto replies,
                   ask_all<CpuReply>(world, hosts, verb::kCpu, to_json(CpuRequest{machine}),
                                     cpu_reply_from_json));
  std::vector<std::string> cpus{own};
  for (const auto& reply : replies) cpus.push_back(reply.cpu);
  ASSIGN_OR_RETURN(const std::string common,
                   world.hypervisor.baseline_cpu(machine, cpus, Features::kBeyondTheModel));
  ASSIGN_OR_RETURN(const CpuText text, read_cpu(common));
  found.model = text.model;
  found.features = feature_words(text);
  found.lost = lost_features(world, machine, own, common);
  ASSIGN_OR_RETURN(const std::string adapted, adapt_cpu(definition, common));
  // Of the definition, which may hold passwords, no other host sees more than it has to judge.
  ASSIGN_OR_RETURN(const std::string shown, cpu_definition(adapted));
  RETURN_IF_ERROR(check_everywhere(world, hosts, shown, vm.name));

  ASSIGN_OR_RETURN(const CpuText asked, read_cpu(cpu_element(definition).value_or("")));
  found.as_it_is =
      asked.mode == "custom" && asked.model == text.model && asked.features == text.features;
  if (!wish.write || found.as_it_is) return found;
  AppliedFix fix = fix_of(vm, wish, world.host_name, found);
  RETURN_IF_ERROR(while_free(vm, [&] { return write_cpu(world, fix, definition, adapted); }));
  log::info("{} gets the CPU model {} at its next start, asked by {}.", vm.name, found.model,
            wish.requested_by);
  found.fix = fix.id;
  return found;
}

Status undo_cpu(move::World& world, const AppliedFix& fix) {
  ASSIGN_OR_RETURN(const std::string definition,
                   world.hypervisor.definition(fix.vm_uuid, DefinitionKind::kPersistent));
  ASSIGN_OR_RETURN(const std::string now, cpu_element(definition));
  if (same_cpu(now, fix.before)) return {};
  // Without `after`, droverd died while it wrote.
  if (!fix.after.empty() && !same_cpu(now, fix.after)) {
    return fail(ErrorCode::kConflict,
                "The CPU of {} was changed since, so it stays. It was before: {}", fix.vm_name,
                fix.before.empty() ? "no <cpu> at all" : fix.before);
  }
  ASSIGN_OR_RETURN(const std::string former, replace_cpu(definition, fix.before));
  return world.hypervisor.define(former);
}

}  // namespace drover::fit
