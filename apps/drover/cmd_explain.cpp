// SPDX-License-Identifier: Apache-2.0
// drover explain: what a finding means; asks no daemon.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "explain.h"

namespace drover::cli {
namespace {

struct Options {
  std::string code;
  bool list = false;
};

Result<ExitCode> run(const Options& options) {
  if (options.list == !options.code.empty())
    return fail(ErrorCode::kInvalidArgument, "Name a code, or say --list.");
  if (options.list) {
    for (const auto& code : explained_codes()) fmt::print("{}\n", code);
    return ExitCode::kDone;
  }
  ASSIGN_OR_RETURN(const std::string text, explain(options.code));
  fmt::print("{}", text);
  return ExitCode::kDone;
}

}  // namespace

void add_explain(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("explain", "Say what the code of a finding means, and what helps");
  command->add_option("CODE", options->code, "Such as CPU_MISMATCH");
  command->add_flag("--list", options->list, "All codes that there are");
  command->footer(
      "Examples:\n"
      "  drover explain CPU_MISMATCH\n"
      "  drover explain --list");
  command->callback(
      [options, &session] { session.action = [options](Session&) { return run(*options); }; });
}

}  // namespace drover::cli
