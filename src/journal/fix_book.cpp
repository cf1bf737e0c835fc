// SPDX-License-Identifier: Apache-2.0
#include "journal/fix_book.h"

#include "json/fit_json.h"

namespace drover::journal {

Status FixBook::save(const AppliedFix& fix) {
  ASSIGN_OR_RETURN(Statement statement,
                   database_->prepare("INSERT INTO fixes (id, document) VALUES (?1, ?2) ON "
                                      "CONFLICT (id) DO UPDATE SET document = ?2"));
  return statement.bind(1, fix.id).bind(2, json::to_json(fix)).run();
}

Status FixBook::remove(std::string_view id) {
  ASSIGN_OR_RETURN(Statement statement, database_->prepare("DELETE FROM fixes WHERE id = ?1"));
  return statement.bind(1, id).run();
}

Result<AppliedFix> FixBook::find(std::string_view id) {
  ASSIGN_OR_RETURN(Statement rows, database_->prepare("SELECT document FROM fixes WHERE id = ?1"));
  ASSIGN_OR_RETURN(const bool row, rows.bind(1, id).step());
  if (!row) return fail(ErrorCode::kNotFound, "There is no fix {}. List them: drover fixes.", id);
  return json::applied_fix_from_json(rows.text(0), json::Unknown::kIgnore);
}

Result<std::vector<AppliedFix>> FixBook::list() {
  ASSIGN_OR_RETURN(Statement rows, database_->prepare("SELECT document FROM fixes ORDER BY number "
                                                      "DESC LIMIT 200"));
  std::vector<AppliedFix> fixes;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (!row) return fixes;
    ASSIGN_OR_RETURN(fixes.emplace_back(),
                     json::applied_fix_from_json(rows.text(0), json::Unknown::kIgnore));
  }
}

}  // namespace drover::journal
