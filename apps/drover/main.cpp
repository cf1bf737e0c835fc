// SPDX-License-Identifier: Apache-2.0
// drover: the command line. Reads the words, does what they say, says how it went.
#include <cstdio>
#include <exception>
#include <string>

#include <CLI/App.hpp>
#include <fmt/core.h>

#include "command_doc.h"
#include "commands.h"
#include "exit_code.h"
#include "json/model_json.h"
#include "session.h"

namespace {

using drover::cli::ExitCode;

int number(ExitCode code) { return static_cast<int>(code); }

// What is wrong with the words, and where to read on.
ExitCode explain(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().front();
  std::string said = error.what();
  if (const auto rest = at->remaining();
      !rest.empty() && dynamic_cast<const CLI::RequiredError*>(&error)) {
    said = "There is no command " + rest.front() + ".";
  }
  fmt::print(stderr, "drover: {}\nTo see how: {} --help\n", said, drover::cli::full_name(*at));
  return ExitCode::kNotDone;
}

int run(int argc, char** argv) {
  CLI::App app;
  drover::cli::Session session;
  drover::cli::add_commands(app, session);
  if (argc < 2) {
    fmt::print(stderr, "{}", app.help());
    return number(ExitCode::kNotDone);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    return number(explain(app, error));
  }
  const auto code = session.action(session);
  if (code) return number(*code);
  if (session.json) {
    fmt::print(stderr, "{{\"error\":{}}}\n", drover::json::to_json(code.error()));
  } else {
    fmt::print(stderr, "drover: {}", drover::cli::error_text(code.error()));
  }
  return number(drover::cli::exit_code(code.error().code));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "drover: a fault of its own: {}\n", error.what());
    return number(ExitCode::kFailed);
  }
}
