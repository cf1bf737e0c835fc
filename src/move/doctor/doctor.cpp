// SPDX-License-Identifier: Apache-2.0
#include "move/doctor/doctor.h"

#include <algorithm>
#include <array>

#include "move/doctor/doctor_checks.h"

namespace drover::move {
namespace {

// docs/doctor.md has a section for each, and a test holds the two together.
constexpr std::array kCodes{
    DoctorCode{"APPARMOR_SOCKETS"},   DoctorCode{"CARRIER_GONE"},
    DoctorCode{"CARRIER_STRAY"},      DoctorCode{"FOLDER_MISSING"},
    DoctorCode{"HOOK_ABSENT", true},  DoctorCode{"HOOK_DIFFERS", true},
    DoctorCode{"HOST_UNREACHABLE"},   DoctorCode{"HOST_WAITS"},
    DoctorCode{"HYPERVISOR_DOWN"},    DoctorCode{"IDENTITY_OPEN", true},
    DoctorCode{"IMAGE_LEFT", true},   DoctorCode{"IMAGE_STRAY"},
    DoctorCode{"JOURNAL_UNREADABLE"}, DoctorCode{"MOVE_HELD"},
    DoctorCode{"MOVE_PARKED"},        DoctorCode{"MOVER_PORT_CLOSED"},
    DoctorCode{"PAIRING_BROKEN"},     DoctorCode{"PEER_REFUSES"},
    DoctorCode{"PROGRAM_MISSING"},    DoctorCode{"QUARANTINE_CHANGED"},
    DoctorCode{"QUARANTINE_EXPIRED"}, DoctorCode{"QUARANTINE_LOST", true},
    DoctorCode{"RECORD_LEFT"},        DoctorCode{"RECORDS_DAMAGED"},
    DoctorCode{"RECORDS_UNREADABLE"}, DoctorCode{"SPACE_LOW"},
    DoctorCode{"STALE_FILES", true},  DoctorCode{"STATE_SPACE_LOW"},
    DoctorCode{"TIME_SKEW"},          DoctorCode{"TWO_RUNNERS"},
    DoctorCode{"UNDO_UNHEARD"},       DoctorCode{"VERSION_DIFFERS"},
};

}  // namespace

std::span<const DoctorCode> doctor_codes() { return kCodes; }

std::vector<Finding> examine(World& world, Inventory& inventory, const DoctorOptions& options) {
  std::vector<Finding> findings;
  const doctor::Scene scene{world, options, findings};
  doctor::check_hypervisor(scene);
  doctor::check_programs(scene);
  doctor::check_identity(scene);
  doctor::check_apparmor(scene);
  doctor::check_space(scene);
  doctor::check_records(scene);
  doctor::check_moves(scene);
  doctor::check_carriers(scene);
  doctor::check_files(scene);
  doctor::check_quarantine(scene);
  doctor::check_images(scene);
  doctor::check_peers(scene, inventory);
  doctor::check_hook(scene);
  std::ranges::stable_sort(findings, {}, &Finding::level);
  return findings;
}

Status apply_fix(World& world, std::string_view code, const DoctorOptions& options) {
  if (code == "hook" || code == "HOOK_ABSENT" || code == "HOOK_DIFFERS")
    return doctor::install_hook(options);
  if (code == "IDENTITY_OPEN") return doctor::close_identity(options);
  if (code == "STALE_FILES") return doctor::remove_stale_files(world, options);
  if (code == "QUARANTINE_LOST") return doctor::forget_lost_disks(world);
  if (code == "IMAGE_LEFT") return doctor::remove_left_images(world);
  std::string known;
  for (const DoctorCode& one : kCodes) {
    if (one.mends) known += (known.empty() ? "" : ", ") + std::string(one.code);
  }
  return fail(ErrorCode::kInvalidArgument,
              "Nothing is done about {} by itself. What can be: {}. drover doctor says what to do "
              "about the rest.",
              code.substr(0, 40), known);
}

}  // namespace drover::move
