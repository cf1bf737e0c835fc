// SPDX-License-Identifier: Apache-2.0
// What the API asks about how VMs fit hosts; behind Backend::fit(). Any thread may call any
// function, several at a time; each may ask every paired host and take some seconds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/fit.h"

namespace drover::api {

struct CpuWish {
  std::string vm;
  std::vector<std::string> hosts;
  bool write = false;
  std::string requested_by;
};

class Fit {
 public:
  virtual ~Fit() = default;

  virtual Result<CpuCompat> cpu_compat(const CpuWish& wish) = 0;
  // `vm`: name or UUID; empty: all of this host.
  virtual Result<Mobility> mobility(std::string_view vm) = 0;
  // Newest first.
  virtual Result<std::vector<AppliedFix>> fixes() = 0;
  virtual Result<std::vector<AppliedFix>> apply_fix(std::string_view plan_id, std::string_view code,
                                                    std::string_view requested_by) = 0;
  virtual Result<AppliedFix> undo_fix(std::string_view id, std::string_view requested_by) = 0;
};

}  // namespace drover::api
