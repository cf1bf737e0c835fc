// SPDX-License-Identifier: Apache-2.0
#include "model/archive.h"

#include "model/name_table.h"

namespace drover {
namespace {

constexpr std::array kKinds{std::pair{ArchiveKind::kExport, std::string_view("export")},
                            std::pair{ArchiveKind::kImport, std::string_view("import")}};
constexpr std::array kModes{std::pair{ImportMode::kRegister, std::string_view("register")},
                            std::pair{ImportMode::kRestore, std::string_view("restore")},
                            std::pair{ImportMode::kCopy, std::string_view("copy")}};
constexpr std::array kStates{std::pair{ArchiveState::kPlanned, std::string_view("planned")},
                             std::pair{ArchiveState::kRunning, std::string_view("running")},
                             std::pair{ArchiveState::kDone, std::string_view("done")},
                             std::pair{ArchiveState::kFailed, std::string_view("failed")},
                             std::pair{ArchiveState::kCancelled, std::string_view("cancelled")}};

}  // namespace

std::string_view archive_kind_name(ArchiveKind kind) { return name_in(kKinds, kind); }
std::optional<ArchiveKind> archive_kind_from_name(std::string_view name) {
  return value_in(kKinds, name);
}
std::string_view import_mode_name(ImportMode mode) { return name_in(kModes, mode); }
std::optional<ImportMode> import_mode_from_name(std::string_view name) {
  return value_in(kModes, name);
}
std::string_view archive_state_name(ArchiveState state) { return name_in(kStates, state); }
std::optional<ArchiveState> archive_state_from_name(std::string_view name) {
  return value_in(kStates, name);
}

}  // namespace drover
