// SPDX-License-Identifier: Apache-2.0
// drover replug: the network of a running VM, unplugged and plugged again.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"

namespace drover::cli {
namespace {

Result<ExitCode> run(const Session& session, const std::string& word) {
  ASSIGN_OR_RETURN(FoundVm found, find_vm(session, word));
  if (session.json) {
    return print_json(
        found.client.raw("POST", "/v1/vms/" + path_part(found.vm.uuid) + "/replug", "{}"));
  }
  ASSIGN_OR_RETURN(const auto done, found.client.replug_vm(found.vm.uuid));
  const std::string vm = printable(found.vm.name);
  if (done.empty()) fmt::print("{} has no network interface.\n", vm);
  for (const std::string& interface : done)
    fmt::print("{}: {} was unplugged and plugged again.\n", vm, printable(interface));
  return ExitCode::kDone;
}

}  // namespace

void add_replug(CLI::App& app, Session& session) {
  auto vm = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("replug", "Unplug the network of a running VM and plug it again");
  command->add_option("VM", *vm, "Name, HOST/NAME or UUID")->required();
  command->footer(
      "Takes the link of each of its interfaces down, and up again a second later, so that the\n"
      "guest announces itself anew, or asks for its address again. An interface that is missing\n"
      "from its bridge is put into it first. Helps a VM that lost its network when it moved.\n"
      "\n"
      "Example:\n"
      "  drover replug web01");
  command->callback([vm, &session] { session.action = [vm](Session& s) { return run(s, *vm); }; });
}

}  // namespace drover::cli
