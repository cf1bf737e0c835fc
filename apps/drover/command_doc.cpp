// SPDX-License-Identifier: Apache-2.0
#include "command_doc.h"

#include <array>
#include <utility>

namespace drover::cli {
namespace {

WordKind kind_of(const std::string& value) {
  static constexpr std::array<std::pair<std::string_view, WordKind>, 9> kKinds{{
      {"VM", WordKind::kVm},
      {"VM... DESTINATION", WordKind::kVmsThenHost},
      {"DESTINATION", WordKind::kHost},
      {"HOST", WordKind::kHost},
      {"[HOST] [KEY=VALUE...]", WordKind::kHost},
      {"MOVE", WordKind::kMove},
      {"FOLDER", WordKind::kFolder},
      {"FILE", WordKind::kFile},
      {"SHELL", WordKind::kShell},
  }};
  for (const auto& [name, kind] : kKinds) {
    if (name == value) return kind;
  }
  return WordKind::kOther;
}

OptionDoc describe(const CLI::Option& option) {
  OptionDoc doc;
  doc.text = option.get_description();
  if (option.get_positional()) {
    doc.value = option.get_name(true);
  } else {
    for (const std::string& name : option.get_snames()) doc.flags.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) doc.flags.push_back("--" + name);
    if (option.get_items_expected_max() > 0) doc.value = option.get_type_name();
  }
  doc.kind = kind_of(doc.value);
  return doc;
}

std::string synopsis(const CommandDoc& doc) {
  std::string out = doc.name;
  for (const OptionDoc& option : doc.options) {
    if (option.flags.front() == "-h") continue;
    out += " [" + option.flags.back() + (option.value.empty() ? "" : " " + option.value) + "]";
  }
  if (!doc.commands.empty()) return out + " COMMAND ...";
  for (const OptionDoc& positional : doc.positionals) out += " " + positional.value;
  return out;
}

}  // namespace

CommandDoc describe(const CLI::App& app, const std::string& name) {
  CommandDoc doc;
  doc.name = name;
  doc.text = app.get_description();
  doc.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    (option->get_positional() ? doc.positionals : doc.options).push_back(describe(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_group().empty()) continue;
    doc.commands.push_back(describe(*command, name + " " + command->get_name()));
  }
  doc.synopsis = synopsis(doc);
  return doc;
}

std::string full_name(const CLI::App& app) {
  if (app.get_parent() == nullptr) return "drover";
  return full_name(*app.get_parent()) + " " + app.get_name();
}

std::vector<const CommandDoc*> all_commands(const CommandDoc& doc) {
  std::vector<const CommandDoc*> all;
  for (const CommandDoc& command : doc.commands) {
    all.push_back(&command);
    for (const CommandDoc* below : all_commands(command)) all.push_back(below);
  }
  return all;
}

std::vector<Row> exit_code_rows() {
  return {
      {"0", "Done."},
      {"1", "It failed or was cancelled; the VM is where it was."},
      {"2", "Nothing was done: wrong usage, the plan has blockers, or it was not confirmed."},
      {"3", "There is no such VM, host, move or token."},
      {"4", "droverd, or a host that it had to ask, does not answer."},
      {"5", "Not allowed: the user, the token or the host lacks the right."},
      {"6", "A person has to look: drover show MOVE says where the VM runs and what to do."},
      {"130", "Ctrl-C while watching; the move goes on."},
  };
}

std::vector<Row> environment_rows() {
  return {
      {"DROVER_TOKEN", "The token for --host, where --token-file is not given."},
      {"DROVER_SOCKET", "The local daemon's socket, instead of /run/drover/drover.sock."},
  };
}

std::vector<Row> file_rows() {
  return {
      {"/run/drover/drover.sock", "Where the local droverd answers root and the group drover."},
      {"/etc/drover/droverd.toml", "The daemon's configuration."},
  };
}

}  // namespace drover::cli
