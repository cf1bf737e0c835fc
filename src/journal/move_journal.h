// SPDX-License-Identifier: Apache-2.0
// The durable record of moves, on either side, and of what the source keeps afterwards. A job is a
// text that move/ owns; here it has an id, a side, and is open or not. What a call says is on disk
// when it returns. Any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "journal/database.h"
#include "model/move.h"

namespace drover::journal {

// kFleet: of the whole host rather than of one move (place/evacuator.h). kArchive: exports and
// imports (archive/archivist.h).
enum class Side { kSource, kDestination, kFleet, kArchive };

enum class JobState { kOpen, kEnded };

class MoveJournal {
 public:
  // Makes the journal's instance id at the first start; ownership records carry it.
  static Result<MoveJournal> open(Database& database);
  const std::string& instance() const { return instance_; }

  // Writes a job or replaces it.
  Status save(Side side, std::string_view id, JobState state, std::string_view job);
  // Open jobs, oldest first.
  Result<std::vector<std::string>> open_jobs(Side side);
  // The newest `count` jobs, open or not, newest first.
  Result<std::vector<std::string>> newest_jobs(Side side, int count);
  // kNotFound.
  Result<std::string> job(Side side, std::string_view id);

  // Adding what is there already replaces it.
  Status add_quarantined(const QuarantinedDisk& disk);
  Status remove_quarantined(const QuarantinedDisk& disk);
  Result<std::vector<QuarantinedDisk>> quarantine();

  // A VM of this host belongs to one move group, or none.
  Status join_group(std::string_view vm_uuid, std::string_view group);
  Status leave_group(std::string_view vm_uuid);
  // UUIDs, of who came last first; of no group: all that belong to one.
  Result<std::vector<std::string>> group_members(std::string_view group = {});

 private:
  MoveJournal(Database& database, std::string instance)
      : database_(&database), instance_(std::move(instance)) {}
  Result<std::vector<std::string>> texts(Statement statement);

  Database* database_;
  std::string instance_;
};

}  // namespace drover::journal
