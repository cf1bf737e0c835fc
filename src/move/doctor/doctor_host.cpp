// SPDX-License-Identifier: Apache-2.0
// The doctor's look at this host as it is set up.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "move/doctor/doctor_checks.h"
#include "preflight/placement.h"

namespace drover::move::doctor {
namespace {

constexpr ByteCount kStateSpaceLeast = mib(64);  // the journal and the records need little

std::optional<ByteCount> free_bytes(const std::filesystem::path& folder) {
  struct statvfs found{};
  if (::statvfs(folder.c_str(), &found) != 0) return {};
  return ByteCount{std::uint64_t{found.f_bavail} * found.f_frsize};
}

}  // namespace

std::filesystem::path identity_file(const DoctorOptions& options) {
  return options.state_folder / "identity.key";
}

void check_hypervisor(const Scene& scene) {
  if (const auto facts = scene.world.hypervisor.host_facts(); !facts) {
    scene.add(FindingLevel::kBlocker, "HYPERVISOR_DOWN", scene.world.host_name,
              "libvirt does not answer.", facts.error().text(),
              {"systemctl status libvirtd (or virtqemud)"});
  }
}

void check_programs(const Scene& scene) {
  for (const auto& program : scene.options.programs) {
    if (::access(program.c_str(), X_OK) == 0) continue;
    scene.add(FindingLevel::kBlocker, "PROGRAM_MISSING", program.string(),
              "This program is not there or cannot be run.", "No move can start without it.",
              {"Reinstall drover, or set program-folder in droverd.toml."});
  }
}

// droverd refuses to start with a key that others may read; this says it before the next start.
void check_identity(const Scene& scene) {
  const auto file = identity_file(scene.options);
  struct stat found{};
  if (::stat(file.c_str(), &found) != 0) {
    scene.add(FindingLevel::kBlocker, "IDENTITY_OPEN", file.string(),
              "The key of this host is not where it was.",
              "droverd goes on with the one it has read; when it is next started it makes another, "
              "and no paired host will know it.",
              {"Put the file back from a backup before droverd is restarted."});
  } else if ((found.st_mode & 0077) != 0) {
    scene.add(FindingLevel::kBlocker, "IDENTITY_OPEN", file.string(),
              "Others than its owner may read or change the key of this host.",
              "Whoever has it is this host for all paired hosts. droverd does not start with it.",
              {"drover doctor --fix IDENTITY_OPEN (its undo: chmod 644)",
               "If somebody may have read it: pair the hosts anew with another key."});
  }
}

void check_hook(const Scene& scene) {
  const auto& options = scene.options;
  if (!std::filesystem::exists(options.hook_place)) {
    scene.add(FindingLevel::kNote, "HOOK_ABSENT", options.hook_place.string(),
              "The libvirt hook is not in place.",
              "Without it, other tools can start a VM here while it is being switched to another "
              "host.",
              {fmt::format("drover doctor --fix HOOK_ABSENT (its undo: rm {})",
                           options.hook_place.string())});
    return;
  }
  const auto ours = read_file(options.hook_source);
  const auto there = read_file(options.hook_place);
  if (!ours || !there || *ours == *there) return;
  scene.add(FindingLevel::kWarning, "HOOK_DIFFERS", options.hook_place.string(),
            "The libvirt hook is not the one of this Drover.",
            "It may let a VM start here that belongs to another host.",
            {fmt::format("drover doctor --fix HOOK_DIFFERS (the former one is kept as {})",
                         (options.state_folder / "hook.former").string())});
}

// libvirt's AppArmor profile for guests lets QEMU use sockets beneath /run/libvirt that are named
// as ours are (facts 2.4).
void check_apparmor(const Scene& scene) {
  const auto enabled = read_file(scene.options.apparmor);
  if (!enabled || !enabled->starts_with('Y')) return;
  const std::string folder = scene.options.socket_folder.string();
  if (folder.starts_with("/run/libvirt/")) return;
  scene.add(FindingLevel::kWarning, "APPARMOR_SOCKETS", folder,
            fmt::format("AppArmor is on, and it keeps QEMU out of sockets in {}.", folder),
            "Moves would fail when QEMU connects.",
            {"Take socket-folder out of droverd.toml: /run/libvirt/drover is let through.",
             fmt::format("Allow it: {}/** rw, in /etc/apparmor.d/local/abstractions/libvirt-qemu",
                         folder)});
}

void check_space(const Scene& scene) {
  const HostSettings settings = scene.world.book.settings();
  for (const auto& folder : settings.allowed_folders) {
    if (std::filesystem::is_directory(folder)) continue;
    scene.add(
        FindingLevel::kWarning, "FOLDER_MISSING", folder,
        fmt::format("The allowed folder {} is not there.", folder),
        "No disk can land in it. A missing folder is often a file system that is not mounted.",
        {"findmnt", fmt::format("drover settings allowed-folders-={}", folder)});
  }
  const auto facts = scene.world.hypervisor.host_facts();
  const auto folders =
      facts ? preflight::usable_folders(*facts, settings) : settings.allowed_folders;
  for (const auto& folder : folders) {
    const auto free = free_bytes(folder);
    if (!free || *free >= settings.space_reserve) continue;
    scene.add(
        FindingLevel::kWarning, "SPACE_LOW", folder,
        fmt::format("{} has {} free; {} shall stay free.", folder, to_text(*free),
                    to_text(settings.space_reserve)),
        "No disk can be moved there, and the VMs that have theirs there may stand still soon.",
        {"drover quarantine list shows what earlier moves keep.",
         "drover settings space-reserve=SIZE, if less may stay free."});
  }
  const auto state = free_bytes(scene.options.state_folder);
  if (!state || *state >= kStateSpaceLeast) return;
  scene.add(
      FindingLevel::kWarning, "STATE_SPACE_LOW", scene.options.state_folder.string(),
      fmt::format("The journal's file system has only {} free.", to_text(*state)),
      "A move that cannot be written down does not begin, and one under way waits.",
      {fmt::format("Make room on the file system of {}.", scene.options.state_folder.string())});
}

}  // namespace drover::move::doctor
