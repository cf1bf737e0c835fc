// SPDX-License-Identifier: Apache-2.0
#include "journal/move_journal.h"

#include "base/random.h"
#include "json/model_json.h"

namespace drover::journal {
namespace {

constexpr std::size_t kInstanceCharacters = 26;  // 130 random bits

std::string_view side_name(Side side) {
  switch (side) {
    case Side::kSource:
      return "source";
    case Side::kDestination:
      return "destination";
    case Side::kArchive:
      return "archive";
    case Side::kFleet:
      break;
  }
  return "fleet";
}

}  // namespace

Result<MoveJournal> MoveJournal::open(Database& database) {
  {
    ASSIGN_OR_RETURN(Statement insert,
                     database.prepare("INSERT OR IGNORE INTO instance (one, name) VALUES (1, ?1)"));
    RETURN_IF_ERROR(insert.bind(1, random_name(kInstanceCharacters)).run());
  }
  ASSIGN_OR_RETURN(Statement select, database.prepare("SELECT name FROM instance"));
  ASSIGN_OR_RETURN(const bool found, select.step());
  if (!found) return fail(ErrorCode::kCorrupt, "The journal has no instance id.");
  return MoveJournal(database, select.text(0));
}

Status MoveJournal::save(Side side, std::string_view id, JobState state, std::string_view job) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database_->prepare("INSERT INTO jobs (side, id, is_open, job) VALUES (?1, ?2, ?3, ?4) "
                         "ON CONFLICT (side, id) DO UPDATE SET is_open = ?3, job = ?4"));
  return statement.bind(1, side_name(side))
      .bind(2, id)
      .bind(3, state == JobState::kOpen)
      .bind(4, job)
      .run();
}

Result<std::vector<std::string>> MoveJournal::texts(Statement statement) {
  std::vector<std::string> found;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, statement.step());
    if (!row) return found;
    found.push_back(statement.text(0));
  }
}

Result<std::vector<std::string>> MoveJournal::open_jobs(Side side) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database_->prepare("SELECT job FROM jobs WHERE side = ?1 AND is_open ORDER BY number"));
  statement.bind(1, side_name(side));
  return texts(std::move(statement));
}

Result<std::vector<std::string>> MoveJournal::newest_jobs(Side side, int count) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database_->prepare("SELECT job FROM jobs WHERE side = ?1 ORDER BY number DESC LIMIT ?2"));
  statement.bind(1, side_name(side)).bind(2, std::int64_t{count});
  return texts(std::move(statement));
}

Result<std::string> MoveJournal::job(Side side, std::string_view id) {
  ASSIGN_OR_RETURN(Statement statement,
                   database_->prepare("SELECT job FROM jobs WHERE side = ?1 AND id = ?2"));
  statement.bind(1, side_name(side)).bind(2, id);
  ASSIGN_OR_RETURN(const auto found, texts(std::move(statement)));
  if (found.empty()) return fail(ErrorCode::kNotFound, "There is no move {}.", id);
  return found.front();
}

Status MoveJournal::add_quarantined(const QuarantinedDisk& disk) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database_->prepare(
          "INSERT OR REPLACE INTO quarantine (move_id, kept_path, document) VALUES (?1, ?2, ?3)"));
  return statement.bind(1, disk.move_id).bind(2, disk.kept_path).bind(3, json::to_json(disk)).run();
}

Status MoveJournal::remove_quarantined(const QuarantinedDisk& disk) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database_->prepare("DELETE FROM quarantine WHERE move_id = ?1 AND kept_path = ?2"));
  return statement.bind(1, disk.move_id).bind(2, disk.kept_path).run();
}

Result<std::vector<QuarantinedDisk>> MoveJournal::quarantine() {
  ASSIGN_OR_RETURN(Statement statement,
                   database_->prepare("SELECT document FROM quarantine ORDER BY kept_path"));
  ASSIGN_OR_RETURN(const auto found, texts(std::move(statement)));
  std::vector<QuarantinedDisk> disks;
  for (const auto& text : found) {
    ASSIGN_OR_RETURN(auto disk, json::quarantined_disk_from_json(text, json::Unknown::kIgnore));
    disks.push_back(std::move(disk));
  }
  return disks;
}

Status MoveJournal::join_group(std::string_view vm_uuid, std::string_view group) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database_->prepare(
          "INSERT OR REPLACE INTO group_members (vm_uuid, group_name) VALUES (?1, ?2)"));
  return statement.bind(1, vm_uuid).bind(2, group).run();
}

Status MoveJournal::leave_group(std::string_view vm_uuid) {
  ASSIGN_OR_RETURN(Statement statement,
                   database_->prepare("DELETE FROM group_members WHERE vm_uuid = ?1"));
  return statement.bind(1, vm_uuid).run();
}

Result<std::vector<std::string>> MoveJournal::group_members(std::string_view group) {
  ASSIGN_OR_RETURN(
      Statement statement,
      database_->prepare("SELECT vm_uuid FROM group_members WHERE group_name = ?1 OR ?1 = '' "
                         "ORDER BY number DESC"));
  statement.bind(1, group.empty() ? "" : group);
  return texts(std::move(statement));
}

}  // namespace drover::journal
