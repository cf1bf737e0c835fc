// SPDX-License-Identifier: Apache-2.0
// The parts of examine() and apply_fix() in doctor.cpp, for doctor*.cpp and their tests alone. Each
// check adds what it finds; each fix touches only what a check would find now.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "hypervisor/disk_image.h"
#include "move/doctor/doctor.h"
#include "move/job.h"

namespace drover::move::doctor {

struct Scene {
  World& world;
  const DoctorOptions& options;
  std::vector<Finding>& findings;

  void add(FindingLevel level, std::string_view code, std::string object, std::string what,
           std::string why, std::vector<std::string> fixes) const {
    findings.push_back({std::string(code), level, std::move(object), std::move(what),
                        std::move(why), std::move(fixes)});
  }
};

// This host as it is set up (doctor_host.cpp).
void check_hypervisor(const Scene& scene);
void check_programs(const Scene& scene);
void check_identity(const Scene& scene);
void check_hook(const Scene& scene);
void check_apparmor(const Scene& scene);
void check_space(const Scene& scene);

// What moves left here (doctor_left.cpp).
void check_records(const Scene& scene);
void check_moves(const Scene& scene);
void check_carriers(const Scene& scene);
void check_files(const Scene& scene);
void check_quarantine(const Scene& scene);
void check_images(const Scene& scene);

// Other hosts (doctor_peers.cpp).
void check_peers(const Scene& scene, Inventory& inventory);

// The fixes (doctor_fixes.cpp).
Status install_hook(const DoctorOptions& options);
Status close_identity(const DoctorOptions& options);
Status remove_stale_files(World& world, const DoctorOptions& options);
Status forget_lost_disks(World& world);
Status remove_left_images(World& world);

// What both checks and fixes look at.
std::filesystem::path identity_file(const DoctorOptions& options);
// Moves that may still need what they have here: open ones, and parked ones. An error: not known,
// so nothing may be called stale.
Result<std::set<std::string>> live_moves(World& world);
// Paths of unix sockets that a process has bound and not closed. An error: not known.
Result<std::set<std::string>> open_sockets(const DoctorOptions& options);
// Sockets, folders and records of writes that belong to no live move, looked for before the journal
// was read; nothing of a move whose gate or mover still runs.
Result<std::vector<std::filesystem::path>> stale_files(World& world, const DoctorOptions& options);
// Disks of the quarantine whose file is not there any more.
Result<std::vector<QuarantinedDisk>> lost_disks(World& world);
struct LeftImage {
  std::string move_id, vm_name, path;
  FileIdentity identity;
};
// Images that an undone move made here and that no VM uses.
Result<std::vector<LeftImage>> left_images(World& world);

}  // namespace drover::move::doctor
