// SPDX-License-Identifier: Apache-2.0
#include "archive_text.h"

#include <algorithm>

#include <fmt/core.h>

#include "display_width.h"
#include "exit_code.h"
#include "plan_text.h"
#include "table.h"

namespace drover::cli {
namespace {

bool is_export(const Archive& archive) { return archive.request.kind == ArchiveKind::kExport; }

unsigned percent(const Archive& archive) {
  if (archive.bytes_total.bytes == 0) return 0;
  return static_cast<unsigned>(100 * static_cast<double>(archive.bytes_done.bytes) /
                               static_cast<double>(archive.bytes_total.bytes));
}

std::string title(const Archive& archive) {
  const std::string vm = printable(archive.vm_name), folder = printable(archive.request.folder);
  if (is_export(archive)) return fmt::format("{} to {}", vm, folder);
  switch (archive.request.mode) {
    case ImportMode::kRegister:
      return fmt::format("{} from {}, with the images there", vm, folder);
    case ImportMode::kRestore:
      return fmt::format("{} from {}, with copies of the images there", vm, folder);
    case ImportMode::kCopy:
      break;
  }
  return fmt::format("{}, a new VM, from {}", vm, folder);
}

std::string files(const Archive& archive) {
  Table table({{"ITEM"},
               {"FILE"},
               {is_export(archive) ? "FROM" : "TO"},
               {"FORMAT"},
               {"SIZE", Table::Align::kRight}},
              "  ");
  for (const ArchiveItem& item : archive.items) {
    table.add({printable(item.item), printable(item.file), printable(item.path),
               printable(item.format),
               item.virtual_size.bytes == 0 ? "" : to_text(item.virtual_size)});
  }
  return table.text();
}

std::string_view state_words(ArchiveState state) {
  switch (state) {
    case ArchiveState::kPlanned:
      return "planned";
    case ArchiveState::kRunning:
      return "goes on";
    case ArchiveState::kDone:
      return "done";
    case ArchiveState::kFailed:
      return "failed";
    case ArchiveState::kCancelled:
      break;
  }
  return "cancelled";
}

}  // namespace

std::string archive_plan_text(const Archive& archive) {
  std::string out = title(archive) + "\n\n" + files(archive);
  if (archive.bytes_total.bytes != 0) {
    out += fmt::format(
        "\n  {} to be {}.\n", to_text(archive.bytes_total),
        archive.request.mode == ImportMode::kRegister && !is_export(archive) ? "read" : "copied");
  }
  return out + findings_text(archive.findings);
}

std::string archive_progress(const Archive& archive) {
  return fmt::format("{:3} %  {}  {} of {}", percent(archive), printable(archive.doing),
                     to_text(archive.bytes_done), to_text(archive.bytes_total));
}

std::string archive_outcome(const Archive& archive) {
  std::string out;
  if (archive.error) out += error_text(*archive.error);
  out += printable(archive.explanation) + "\n";
  if (archive.state != ArchiveState::kDone || is_export(archive)) return out;
  out += archive.verified ? "Its contents are verified: every file is what was exported.\n"
                          : "Contents not verified: no manifest.\n";
  return out;
}

std::string archives_text(const std::vector<Archive>& archives) {
  if (archives.empty()) return "No exports and no imports.\n";
  Table table({{"ID"}, {"VM"}, {"WHAT"}, {"FOLDER"}, {"STATE"}});
  for (const Archive& archive : archives) {
    std::string state(state_words(archive.state));
    if (archive.state == ArchiveState::kRunning) state = fmt::format("{} %", percent(archive));
    table.add({printable(archive.id), printable(archive.vm_name),
               is_export(archive) ? "export"
                                  : "import " + std::string(import_mode_name(archive.request.mode)),
               printable(archive.request.folder), state});
  }
  return table.text();
}

std::string archive_text(const Archive& archive) {
  std::string out = title(archive) + "\n\n" + files(archive) + "\n";
  out += archive.state == ArchiveState::kRunning ? archive_progress(archive) + "\n"
                                                 : archive_outcome(archive);
  return out;
}

std::vector<std::string> open_warnings(const Archive& archive,
                                       const std::vector<std::string>& accepted) {
  std::vector<std::string> open;
  for (const Finding& finding : archive.findings) {
    if (finding.level == FindingLevel::kWarning &&
        std::ranges::find(accepted, finding.code) == accepted.end() &&
        std::ranges::find(open, finding.code) == open.end()) {
      open.push_back(finding.code);
    }
  }
  return open;
}

bool is_blocked(const Archive& archive) {
  return std::ranges::any_of(archive.findings, [](const Finding& finding) {
    return finding.level == FindingLevel::kBlocker;
  });
}

}  // namespace drover::cli
