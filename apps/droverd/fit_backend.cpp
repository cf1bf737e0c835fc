// SPDX-License-Identifier: Apache-2.0
#include "fit_backend.h"

#include "base/log.h"

namespace drover::droverd {
namespace {

// Definitions may hold passwords: they stay in the journal.
AppliedFix without_definitions(AppliedFix fix) {
  for (std::string* text : {&fix.before, &fix.after}) {
    if (text->starts_with("<domain")) *text = "a definition";
  }
  return fix;
}

std::vector<AppliedFix> without_definitions(std::vector<AppliedFix> fixes) {
  for (AppliedFix& fix : fixes) fix = without_definitions(std::move(fix));
  return fixes;
}

}  // namespace

Result<CpuCompat> FitBackend::cpu_compat(const api::CpuWish& wish) {
  return fitting_.cpu_compat({wish.vm, wish.hosts, wish.write, wish.requested_by});
}

Result<std::vector<AppliedFix>> FitBackend::fixes() {
  ASSIGN_OR_RETURN(auto fixes, world_.book.fixes().list());
  return without_definitions(std::move(fixes));
}

Result<std::vector<AppliedFix>> FitBackend::apply_fix(std::string_view plan_id,
                                                      std::string_view code,
                                                      std::string_view requested_by) {
  ASSIGN_OR_RETURN(const Plan plan, engine_.kept_plan(plan_id));
  ASSIGN_OR_RETURN(auto fixes, fitting_.apply_fix(plan, code, requested_by));
  return without_definitions(std::move(fixes));
}

Result<AppliedFix> FitBackend::undo_fix(std::string_view id, std::string_view requested_by) {
  log::info("{} asks to undo the fix {}.", requested_by, id);
  ASSIGN_OR_RETURN(AppliedFix fix, fitting_.undo_fix(id));
  return without_definitions(std::move(fix));
}

}  // namespace drover::droverd
