// SPDX-License-Identifier: Apache-2.0
#include "move/doctor.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"

namespace drover::move {
namespace {

constexpr mode_t kHookMode = 0755;

void check_hypervisor(World& world, std::vector<Finding>& findings) {
  if (const auto facts = world.hypervisor.host_facts(); !facts) {
    findings.push_back({"HYPERVISOR_DOWN",
                        FindingLevel::kBlocker,
                        world.host_name,
                        "libvirt does not answer.",
                        facts.error().text(),
                        {"systemctl status libvirtd (or virtqemud)"}});
  }
}

void check_programs(const DoctorOptions& options, std::vector<Finding>& findings) {
  for (const auto& program : options.programs) {
    if (::access(program.c_str(), X_OK) == 0) continue;
    findings.push_back({"PROGRAM_MISSING",
                        FindingLevel::kBlocker,
                        program.string(),
                        "This program is not there or cannot be run.",
                        "No move can start without it.",
                        {"Reinstall drover, or set program-folder in droverd.toml."}});
  }
}

void check_peers(Inventory& inventory, std::vector<Finding>& findings) {
  const auto all = inventory.everywhere();
  for (const auto& trouble : all.unreachable) {
    findings.push_back({"HOST_UNREACHABLE",
                        FindingLevel::kWarning,
                        trouble.substr(0, trouble.find(':')),
                        trouble,
                        "No VM can move to or from it.",
                        {"Check droverd there and TCP ports 7430 and 7431 between the hosts."}});
  }
  for (const auto& trouble : all.two_runners) {
    findings.push_back({"TWO_RUNNERS",
                        FindingLevel::kBlocker,
                        trouble.substr(0, trouble.find(' ')),
                        trouble,
                        "Both write to what they think is their own disk.",
                        {"Decide which one is right, and destroy the other."}});
  }
}

void check_records(World& world, std::vector<Finding>& findings) {
  const auto records = world.records.list();
  if (!records) {
    findings.push_back({"RECORDS_UNREADABLE",
                        FindingLevel::kBlocker,
                        world.host_name,
                        "The ownership records cannot be read.",
                        records.error().text(),
                        {}});
  } else if (records->unreadable > 0) {
    findings.push_back({"RECORDS_DAMAGED",
                        FindingLevel::kWarning,
                        world.host_name,
                        fmt::format("{} ownership records are damaged or of another installation.",
                                    records->unreadable),
                        "Drover counts them as unknown and starts nothing by them.",
                        {}});
  }
}

void check_hook(const DoctorOptions& options, std::vector<Finding>& findings) {
  if (std::filesystem::exists(options.hook_place)) return;
  findings.push_back(
      {"HOOK_ABSENT",
       FindingLevel::kNote,
       options.hook_place.string(),
       "The libvirt hook is not in place.",
       "Without it, other tools can start a VM here while it is being switched to another host.",
       {"drover doctor --fix hook"}});
}

}  // namespace

std::vector<Finding> examine(World& world, Inventory& inventory, const DoctorOptions& options) {
  std::vector<Finding> findings;
  check_hypervisor(world, findings);
  check_programs(options, findings);
  check_records(world, findings);
  check_peers(inventory, findings);
  check_hook(options, findings);
  return findings;
}

Status apply_fix(std::string_view name, const DoctorOptions& options) {
  if (name != "hook")
    return fail(ErrorCode::kInvalidArgument, "There is no fix called {}. Known: hook.", name);
  ASSIGN_OR_RETURN(const std::string hook, read_file(options.hook_source));
  RETURN_IF_ERROR(make_folder(options.hook_place.parent_path(), kHookMode));
  return write_file_durably(options.hook_place, hook, kHookMode);
}

}  // namespace drover::move
