// SPDX-License-Identifier: Apache-2.0
// drover completion, and the hidden drover man: the manual and the completion out of the program.
#include <filesystem>
#include <memory>
#include <string>

#include <fmt/core.h>

#include "base/file.h"
#include "command_doc.h"
#include "commands.h"
#include "completion.h"
#include "manual.h"

namespace drover::cli {
namespace {

struct ManOptions {
  std::string folder;
  bool markdown = false;
};

Status write_pages(const CommandDoc& whole, const std::string& folder) {
  const std::filesystem::path out(folder);
  RETURN_IF_ERROR(write_file_durably(out / "drover.1", man_page(whole, whole), 0644));
  for (const CommandDoc* command : all_commands(whole)) {
    RETURN_IF_ERROR(
        write_file_durably(out / (page_name(*command) + ".1"), man_page(whole, *command), 0644));
  }
  return {};
}

}  // namespace

void add_completion(CLI::App& app, Session& session) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("completion", "Print the completion script of a shell");
  command->add_option("SHELL", *shell, "bash or zsh")->required();
  command->footer(
      "Examples:\n"
      "  source <(drover completion bash)\n"
      "  drover completion zsh > /usr/local/share/zsh/site-functions/_drover");
  command->callback([shell, &app, &session] {
    session.action = [shell, &app](Session&) -> Result<ExitCode> {
      if (*shell != "bash" && *shell != "zsh") {
        return fail(ErrorCode::kInvalidArgument,
                    "There is completion for bash and zsh, not for {}.", *shell);
      }
      const CommandDoc doc = describe(app);
      fmt::print("{}", *shell == "bash" ? bash_completion(doc) : zsh_completion(doc));
      return ExitCode::kDone;
    };
  });
}

void add_man(CLI::App& app, Session& session) {
  auto options = std::make_shared<ManOptions>();
  CLI::App* command = app.add_subcommand("man", "Write the manual pages into a folder");
  command->group("");
  command->add_option("--to", options->folder, "The folder")->type_name("FOLDER");
  command->add_flag("--markdown", options->markdown, "Print docs/cli.md instead");
  command->callback([options, &app, &session] {
    session.action = [options, &app](Session&) -> Result<ExitCode> {
      const CommandDoc doc = describe(app);
      if (options->markdown) {
        fmt::print("{}", markdown(doc));
      } else if (options->folder.empty()) {
        fmt::print("{}", man_page(doc, doc));
      } else {
        RETURN_IF_ERROR(write_pages(doc, options->folder));
      }
      return ExitCode::kDone;
    };
  });
}

}  // namespace drover::cli
