// SPDX-License-Identifier: Apache-2.0
#include "move/plan/planner.h"

#include <gtest/gtest.h>

namespace drover::move {
namespace {

Plan plan_with(FindingLevel level) {
  Plan plan;
  plan.vm.name = "web01";
  plan.findings = {{"CODE", level, "web01", "Something is so.", "It matters.", {"Do this."}}};
  return plan;
}

TEST(CheckAcceptance, NothingOpenNeedsNothing) { EXPECT_TRUE(check_acceptance(Plan{})); }

TEST(CheckAcceptance, NotesNeedYes) {
  Plan plan = plan_with(FindingLevel::kNote);
  EXPECT_FALSE(check_acceptance(plan));
  plan.request.accept_notes = true;
  EXPECT_TRUE(check_acceptance(plan));
}

TEST(CheckAcceptance, WarningsNeedTheirCode) {
  Plan plan = plan_with(FindingLevel::kWarning);
  plan.request.accept_notes = true;
  EXPECT_FALSE(check_acceptance(plan));
  plan.request.accepted_codes = {"OTHER"};
  EXPECT_FALSE(check_acceptance(plan));
  plan.request.accepted_codes = {"CODE"};
  EXPECT_TRUE(check_acceptance(plan));
}

TEST(CheckAcceptance, BlockersAreNeverOverridden) {
  Plan plan = plan_with(FindingLevel::kBlocker);
  plan.request.accept_notes = true;
  plan.request.accepted_codes = {"CODE"};
  const auto status = check_acceptance(plan);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kBlocked);
  EXPECT_NE(status.error().text().find("Do this."), std::string::npos) << "the fix is told";
}

}  // namespace
}  // namespace drover::move
