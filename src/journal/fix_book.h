// SPDX-License-Identifier: Apache-2.0
// Changes that took an obstacle to a move out of its way, for their undo (docs/fixes.md). On disk
// when a call returns. Any thread. REQUIRES: the database outlives it.
#pragma once

#include <string_view>
#include <vector>

#include "base/error.h"
#include "journal/database.h"
#include "model/fit.h"

namespace drover::journal {

class FixBook {
 public:
  explicit FixBook(Database& database) : database_(&database) {}

  // Writes one, or replaces that of the same id.
  Status save(const AppliedFix& fix);
  // It was not made after all.
  Status remove(std::string_view id);
  // kNotFound.
  Result<AppliedFix> find(std::string_view id);
  // Newest first, at most 200.
  Result<std::vector<AppliedFix>> list();

 private:
  Database* database_;
};

}  // namespace drover::journal
