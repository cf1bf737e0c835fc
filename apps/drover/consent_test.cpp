// SPDX-License-Identifier: Apache-2.0
#include "consent.h"

#include <gtest/gtest.h>

#include "cli_test_values.h"

namespace drover::cli {
namespace {

Plan plan_with(std::vector<Finding> findings) {
  Plan plan = sample_plan();
  plan.findings = std::move(findings);
  return plan;
}

Finding blocker() { return finding(FindingLevel::kBlocker, "DISK_EXISTS"); }
Finding warning() { return finding(FindingLevel::kWarning, "CDROM_LEFT"); }
Finding note() { return finding(FindingLevel::kNote, "PLACED_ELSEWHERE"); }

TEST(Consent, WithoutTerminalAndYesNothingIsDone) {
  const Decision decision = decide(plan_with({}), {});
  EXPECT_EQ(decision.verdict, Verdict::kRefuse);
  EXPECT_NE(decision.reason.find("--yes"), std::string::npos);
}

TEST(Consent, ATerminalIsAsked) {
  EXPECT_EQ(decide(plan_with({warning(), note()}), Consent{false, {}, true}).verdict,
            Verdict::kAsk);
}

TEST(Consent, YesAcceptsNotes) {
  EXPECT_EQ(decide(plan_with({note()}), Consent{true, {}, false}).verdict, Verdict::kGo);
}

TEST(Consent, YesDoesNotAcceptWarnings) {
  for (const bool terminal : {false, true}) {
    const Decision decision = decide(plan_with({warning()}), Consent{true, {}, terminal});
    EXPECT_EQ(decision.verdict, Verdict::kRefuse);
    EXPECT_NE(decision.reason.find("--accept CDROM_LEFT"), std::string::npos) << decision.reason;
  }
}

TEST(Consent, EachWarningIsAcceptedByItsCode) {
  const Plan plan = plan_with({warning(), finding(FindingLevel::kWarning, "SLOW_LINK")});
  EXPECT_EQ(decide(plan, {.yes = true, .accepted = {"CDROM_LEFT"}}).verdict, Verdict::kRefuse);
  EXPECT_EQ(decide(plan, {.yes = true, .accepted = {"SLOW_LINK", "CDROM_LEFT"}}).verdict,
            Verdict::kGo);
}

TEST(Consent, BlockersAreNeverOverridden) {
  const Decision decision =
      decide(plan_with({blocker()}), {.yes = true, .accepted = {"DISK_EXISTS"}, .terminal = true});
  EXPECT_EQ(decision.verdict, Verdict::kRefuse);
  EXPECT_NE(decision.reason.find("DISK_EXISTS"), std::string::npos);
}

TEST(Consent, CodesComeOnceEach) {
  EXPECT_EQ(codes(plan_with({warning(), note(), warning()}), FindingLevel::kWarning),
            std::vector<std::string>{"CDROM_LEFT"});
}

}  // namespace
}  // namespace drover::cli
