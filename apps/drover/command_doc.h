// SPDX-License-Identifier: Apache-2.0
// What `drover` can do, read out of its own option parser: the one source of help, manual pages,
// docs/cli.md and shell completion. Plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <CLI/App.hpp>

namespace drover::cli {

// What a word may be, for completion.
enum class WordKind { kOther, kVm, kHost, kVmsThenHost, kMove, kFolder, kFile, kShell };

struct OptionDoc {
  std::vector<std::string> flags;  // "--yes"; empty for a positional
  std::string value;               // "FOLDER"; a positional's name; empty for a flag
  std::string text;
  WordKind kind = WordKind::kOther;
};

struct CommandDoc {
  std::string name;      // "drover host invite"
  std::string synopsis;  // "drover host invite [--name NAME] ..."
  std::string text;
  std::string footer;  // remarks and examples
  std::vector<OptionDoc> positionals;
  std::vector<OptionDoc> options;
  std::vector<CommandDoc> commands;  // hidden ones left out
};

// `name`: its full name; the name of the program for the whole.
CommandDoc describe(const CLI::App& app, const std::string& name = "drover");
// "drover host invite".
std::string full_name(const CLI::App& app);

// Every command that does something, and those that only group others, in the order of help.
std::vector<const CommandDoc*> all_commands(const CommandDoc& doc);

struct Row {
  std::string_view left;
  std::string_view right;
};
std::vector<Row> exit_code_rows();
std::vector<Row> environment_rows();
std::vector<Row> file_rows();

}  // namespace drover::cli
