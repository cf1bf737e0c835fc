// SPDX-License-Identifier: Apache-2.0
#include "manual.h"

#include <gtest/gtest.h>

#include "commands.h"
#include "completion.h"

namespace drover::cli {
namespace {

class Manual : public testing::Test {
 protected:
  Manual() {
    add_commands(app_, session_);
    whole_ = describe(app_);
  }

  CLI::App app_;
  Session session_;
  CommandDoc whole_;
};

TEST_F(Manual, EveryCommandHasATextAndAnExample) {
  for (const CommandDoc* command : all_commands(whole_)) {
    EXPECT_FALSE(command->text.empty()) << command->name;
    EXPECT_NE(command->footer.find("Example"), std::string::npos) << command->name;
    for (const OptionDoc& option : command->options) EXPECT_FALSE(option.text.empty());
  }
}

TEST_F(Manual, EveryCommandIsInManualAndCompletion) {
  const std::string text = markdown(whole_);
  const std::string bash = bash_completion(whole_);
  for (const CommandDoc* command : all_commands(whole_)) {
    EXPECT_NE(text.find("### " + command->name + "\n"), std::string::npos) << command->name;
    EXPECT_NE(bash.find("'" + command->name.substr(7) + "')"), std::string::npos) << command->name;
    const std::string page = man_page(whole_, *command);
    EXPECT_EQ(page.rfind(".TH \"" + page_name(*command) + "\" 1 ", 0), 0u);
    EXPECT_NE(page.find(".SH EXAMPLES\n"), std::string::npos) << command->name;
  }
}

TEST_F(Manual, HiddenCommandsStayHidden) {
  for (const CommandDoc* command : all_commands(whole_)) EXPECT_NE(command->name, "drover man");
}

TEST_F(Manual, DashesOfOptionsSurviveRoff) {
  EXPECT_NE(man_page(whole_, whole_).find("\\-\\-json"), std::string::npos);
}

TEST_F(Manual, WordsNamedLikeCommandsAreStillVms) {
  app_.parse("move list show --yes", false);
  EXPECT_TRUE(session_.action);
  EXPECT_EQ(app_.get_subcommands().size(), 1u);
}

}  // namespace
}  // namespace drover::cli
