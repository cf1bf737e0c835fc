// SPDX-License-Identifier: Apache-2.0
#include "fit_backend.h"

#include "base/log.h"

namespace drover::droverd {

Result<CpuCompat> FitBackend::cpu_compat(const api::CpuWish& wish) {
  return fit::cpu_compat(world_, {wish.vm, wish.hosts, wish.write, wish.requested_by});
}

Result<std::vector<AppliedFix>> FitBackend::apply_fix(std::string_view plan_id,
                                                      std::string_view code,
                                                      std::string_view requested_by) {
  ASSIGN_OR_RETURN(const Plan plan, engine_.kept_plan(plan_id));
  return fit::apply_fix(world_, plan, code, requested_by);
}

Result<AppliedFix> FitBackend::undo_fix(std::string_view id, std::string_view requested_by) {
  log::info("{} asks to undo the fix {}.", requested_by, id);
  return fit::undo_fix(world_, id);
}

}  // namespace drover::droverd
