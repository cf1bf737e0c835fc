// SPDX-License-Identifier: Apache-2.0
#include "after_text.h"

#include <gtest/gtest.h>

#include "cli_test_values.h"
#include "move_text.h"

namespace drover::cli {
namespace {

TEST(AfterText, NothingIsSaidOfWhatDidNotHappen) {
  EXPECT_EQ(attempts_text(sample_move()), "");
  EXPECT_EQ(resolution_text(sample_move()), "");
  EXPECT_EQ(health_text(finished_move()), "");
}

TEST(AfterText, EachAttemptSaysWhyItFailed) {
  Move move = sample_move();
  move.attempts = {{"k3f9x2qa",
                    "copy-disks",
                    {ErrorCode::kInternal, Retry::kLater, "The mover\x1b on host2 ended.", {"why"}},
                    moment(30)}};
  const std::string text = show_text(move, {});
  EXPECT_NE(text.find("copy-disks"), std::string::npos) << text;
  EXPECT_NE(text.find("on host2 ended. (why)"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(AfterText, AWordIsShownWithWhoGaveIt) {
  Move move = sample_move();
  move.resolution = Resolution{"host1", true, "alice", moment(0)};
  const std::string text = resolution_text(move);
  EXPECT_NE(text.find("alice said at "), std::string::npos) << text;
  EXPECT_NE(text.find("runs on host1 and that host2 is lost."), std::string::npos) << text;
}

TEST(AfterText, AnIllVmIsSaidInTheReportWithWhatHelps) {
  Move move = finished_move();
  move.health.emplace().state = Health::State::kIll;
  move.health->findings = {finding(FindingLevel::kWarning, "HEALTH_NETWORK_SILENT")};
  const std::string text = report_text(move, {});
  EXPECT_NE(text.find("its old disks are kept until you drop them"), std::string::npos) << text;
  EXPECT_NE(text.find("HEALTH_NETWORK_SILENT is so."), std::string::npos) << text;
  EXPECT_NE(text.find("do this"), std::string::npos) << text;
  move.health->state = Health::State::kWell;
  move.health->findings.clear();
  EXPECT_NE(report_text(move, {}).find("What answered before the switch answers there."),
            std::string::npos);
}

}  // namespace
}  // namespace drover::cli
