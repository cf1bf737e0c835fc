// SPDX-License-Identifier: Apache-2.0
// Joins the API's part about how VMs fit hosts to src/fit: no logic, only names.
#pragma once

#include "api/fit.h"
#include "fit/fitting.h"

namespace drover::droverd {

class FitBackend final : public api::Fit {
 public:
  // All outlive it.
  FitBackend(move::World& world, move::Engine& engine, fit::Fitting& fitting)
      : world_(world), engine_(engine), fitting_(fitting) {}

  Result<CpuCompat> cpu_compat(const api::CpuWish& wish) override;
  Result<Mobility> mobility(std::string_view vm) override { return fitting_.mobility(vm); }
  Result<std::vector<AppliedFix>> fixes() override;
  Result<std::vector<AppliedFix>> apply_fix(std::string_view plan_id, std::string_view code,
                                            std::string_view requested_by) override;
  Result<AppliedFix> undo_fix(std::string_view id, std::string_view requested_by) override;

 private:
  move::World& world_;
  move::Engine& engine_;
  fit::Fitting& fitting_;
};

}  // namespace drover::droverd
