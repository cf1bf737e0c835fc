// SPDX-License-Identifier: Apache-2.0
#include "move/plan/network_marks.h"

#include <algorithm>

#include "move/plan/network_disk_count.h"
#include "move/plan/network_disks.h"
#include "preflight/codes.h"

namespace drover::move {
namespace {

using Marks = std::vector<preflight::DiskMark>;

const DiskFacts* of_target(const std::vector<DiskFacts>& disks, const std::string& target) {
  const auto found = std::ranges::find_if(
      disks, [&](const DiskFacts& facts) { return facts.disk.target == target; });
  return found == disks.end() ? nullptr : &*found;
}

std::string fix_detach(std::string_view vm, const std::string& target) {
  return fmt::format("Detach it for the move: virsh detach-disk '{}' {}", vm, target);
}

}  // namespace

NetworkMarks NetworkMarks::read(std::string_view definition, const SecretReader& secrets) {
  NetworkMarks result;
  const auto domain = parse_domain(definition);
  if (!domain) return result;
  const auto disks = network_disks_in(*domain);
  const Status few = check_few(disks);
  NetworkLook look = look_at_disks(secrets);
  for (const DiskFacts& disk : disks) {
    One one{disk.disk.target, "", {}, {}, ""};
    auto opened = few ? NetworkDisk::open(disk, domain->vm.uuid, look)
                      : Result<NetworkDisk>(std::unexpected(few.error()));
    if (opened) {
      one.name = opened->name();
      one.size = opened->size();
      auto marks = opened->make_marks(one.target, MarkUse::kReport, look.deadline);
      if (marks)
        one.marks = std::move(*marks);
      else
        one.trouble = marks.error().text();
    } else {
      one.trouble = opened.error().text();
    }
    if (one.trouble.empty() && one.marks.size() < kMarksEnough)
      one.trouble = "There is next to nothing on it by which two hosts could know it.";
    result.disks.push_back(std::move(one));
  }
  return result;
}

Marks NetworkMarks::all() const {
  Marks marks;
  for (const One& one : disks) {
    if (one.trouble.empty()) marks.insert(marks.end(), one.marks.begin(), one.marks.end());
  }
  return marks;
}

Finding network_disk_blocker(const std::string& target, std::string what, std::string why,
                             std::vector<std::string> fixes) {
  return {std::string(preflight::code_name(preflight::Code::kDiskNetwork)),
          FindingLevel::kBlocker,
          target,
          std::move(what),
          std::move(why),
          std::move(fixes)};
}

namespace {

// What is wrong with the destination's word on this disk; empty: proven.
std::string judge(const DiskFacts& disk, const std::string& vm_uuid, const NetworkMarks::One& ours,
                  const DiskPlacement& placement, const Marks& theirs, NetworkLook& look) {
  if (!placement.shared) return "it was not read there";
  if (placement.destination_path != ours.name)
    return fmt::format("this host reaches it as {}, the other as {}", ours.name,
                       placement.destination_path);
  if (placement.virtual_size != ours.size)
    return fmt::format("it has {} here and {} there", to_text(ours.size),
                       to_text(placement.virtual_size));
  auto opened = NetworkDisk::open(disk, vm_uuid, look);
  if (!opened) return opened.error().text();
  const auto now = opened->read_marks(ours.target, MarkUse::kReport, ours.marks, look.deadline);
  return now ? difference(ours.marks, theirs, *now) : now.error().text();
}

// A VM that would open something else at its next boot is refused by the destination.
void check_next_boot(const preflight::SourceView& view, const DomainFacts& live,
                     std::vector<Finding>& findings) {
  if (view.persistent_xml.empty()) return;
  const auto next = parse_domain(view.persistent_xml);
  if (!next) return;  // said already
  for (const DiskFacts& disk : next->disks) {
    if (disk.disk.kind != DiskKind::kNetwork) continue;
    const auto same = [&](const DiskFacts& other) {
      return other.disk.kind == DiskKind::kNetwork && other.disk.target == disk.disk.target &&
             same_network_disk(other, disk);
    };
    if (std::ranges::any_of(live.disks, same)) continue;
    findings.push_back(network_disk_blocker(
        disk.disk.target,
        fmt::format("At its next boot {} would open another network disk as {}.", view.vm.name,
                    disk.disk.target),
        "What that is cannot be proven while it is not in use.",
        {fmt::format("virsh edit {}: give {} the source that it has now", view.vm.name,
                     disk.disk.target)}));
  }
}

}  // namespace

void judge_network_disks(const preflight::SourceView& view, const NetworkMarks& ours,
                         const SecretReader& secrets, preflight::DestinationReport& report) {
  const auto domain = parse_domain(view.live_xml);
  if (!domain) return;
  const std::string& destination = view.request.destination;
  const std::string& vm = view.vm.name;
  std::vector<Finding>& findings = report.findings;
  check_next_boot(view, *domain, findings);
  const auto disks = network_disks_in(*domain);
  NetworkLook look = look_at_disks(secrets);
  for (const NetworkMarks::One& one : ours.disks) {
    const DiskFacts* disk = of_target(disks, one.target);
    if (disk == nullptr) continue;
    const std::string what =
        fmt::format("{} is a network disk ({}).", one.target, disk->network.protocol);
    if (!one.trouble.empty()) {
      findings.push_back(network_disk_blocker(
          one.target, what, one.trouble,
          {"Let both hosts reach it at one address, without "
           "TLS, with the secret that it asks for, and serve it to several connections at once.",
           fix_detach(vm, one.target)}));
      continue;
    }
    const bool told = std::ranges::any_of(report.findings, [&](const Finding& finding) {
      return finding.code == preflight::code_name(preflight::Code::kDiskNetwork) &&
             finding.object == one.target;
    });
    if (told) continue;
    const auto placement = std::ranges::find(report.placements, one.target, &DiskPlacement::target);
    if (placement == report.placements.end()) {
      findings.push_back(network_disk_blocker(
          one.target, what,
          fmt::format("{} has an earlier Drover, which cannot prove that it reaches the same one.",
                      destination),
          {fmt::format("Upgrade Drover on {}.", destination), fix_detach(vm, one.target)}));
      continue;
    }
    const std::string wrong =
        judge(*disk, view.vm.uuid, one, *placement, marks_of(report.marks, one.target), look);
    if (wrong.empty()) {
      placement->source_path = one.name;
      continue;
    }
    placement->shared = false;
    findings.push_back(network_disk_blocker(
        one.target, what,
        fmt::format("That {} opens the very same one is not proven: {}.", destination, wrong),
        {"Name its servers by addresses that both hosts reach.",
         "Write something to it if it is empty, and plan again.", fix_detach(vm, one.target)}));
  }
}

Result<Marks> network_marks_for(const Plan& plan, std::string_view definition,
                                const SecretReader& secrets) {
  Marks all;
  if (std::ranges::none_of(plan.placements, is_network)) return all;
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(definition));
  const auto disks = network_disks_in(domain);
  RETURN_IF_ERROR(check_few(disks));
  NetworkLook look = look_at_disks(secrets);
  for (const DiskPlacement& placement : plan.placements) {
    if (!is_network(placement)) continue;
    const DiskFacts* disk = of_target(disks, placement.target);
    if (disk == nullptr) {
      return fail(ErrorCode::kConflict, "The definition has no network disk {} any more.",
                  placement.target);
    }
    ASSIGN_OR_RETURN(NetworkDisk opened, NetworkDisk::open(*disk, plan.vm.uuid, look));
    ASSIGN_OR_RETURN(const Marks marks,
                     opened.make_marks(placement.target, MarkUse::kReservation, look.deadline));
    all.insert(all.end(), marks.begin(), marks.end());
  }
  return all;
}

}  // namespace drover::move
