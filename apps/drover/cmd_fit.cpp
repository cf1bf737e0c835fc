// SPDX-License-Identifier: Apache-2.0
// drover cpu-compat, drover mobility and drover fixes: how VMs fit hosts.
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "client/fit_client.h"
#include "commands.h"
#include "display_width.h"
#include "fit_text.h"
#include "json/fit_json.h"

namespace drover::cli {
namespace {

struct CpuOptions {
  std::string vm;
  std::vector<std::string> hosts;
  bool write = false;
  bool undo = false;
};

// The newest that was not undone yet.
Result<ExitCode> undo_cpu(const Session& session, FoundVm& found) {
  ASSIGN_OR_RETURN(const auto all, client::fixes(found.client));
  for (const AppliedFix& fix : all) {
    if (fix.vm_uuid != found.vm.uuid || fix.code != "CPU_MISMATCH" || fix.undone_at) continue;
    ASSIGN_OR_RETURN(const AppliedFix undone, client::undo_fix(found.client, fix.id));
    if (session.json)
      fmt::print("{}\n", json::dump(json::encode(undone)));
    else
      fmt::print("{} asks for the CPU that it asked for before, from its next start on.\n",
                 printable(found.vm.name));
    return ExitCode::kDone;
  }
  return fail(ErrorCode::kNotFound, "No CPU was written for {} that is to be taken back.",
              found.vm.name);
}

Result<ExitCode> run_cpu(const Session& session, const CpuOptions& options) {
  if (options.undo == !options.hosts.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "Name the hosts that the VM shall be able to go to, or take the last CPU back: "
                "--for host2 or --undo.");
  }
  ASSIGN_OR_RETURN(FoundVm found, find_vm(session, options.vm));
  if (options.undo) return undo_cpu(session, found);
  const auto write = options.write ? client::CpuWrite::kWrite : client::CpuWrite::kOnlyLook;
  ASSIGN_OR_RETURN(const CpuCompat cpu,
                   client::cpu_compat(found.client, found.vm.uuid, options.hosts, write));
  if (session.json) {
    fmt::print("{}\n", json::dump(json::encode(cpu)));
    return ExitCode::kDone;
  }
  fmt::print("{}", cpu_text(cpu));
  if (!options.write && !cpu.as_it_is) fmt::print("  To write it: the same with --write.\n");
  return ExitCode::kDone;
}

// Of every host that can be asked; the others are named.
Result<Mobility> all_mobility(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(Mobility all, client::mobility(client, ""));
  if (!session.at.empty()) return all;
  ASSIGN_OR_RETURN(const auto hosts, client.hosts());
  for (const HostEntry& host : hosts) {
    auto carried = session.connect(host.peer.name);
    auto there = carried ? client::mobility(*carried, "") : std::unexpected(carried.error());
    if (!there) {
      all.unreachable.push_back({host.peer.name, there.error()});
      continue;
    }
    all.vms.insert(all.vms.end(), there->vms.begin(), there->vms.end());
  }
  return all;
}

Result<ExitCode> run_mobility(const Session& session, const std::string& vm) {
  Mobility found;
  if (vm.empty()) {
    ASSIGN_OR_RETURN(found, all_mobility(session));
  } else {
    ASSIGN_OR_RETURN(FoundVm of, find_vm(session, vm));
    ASSIGN_OR_RETURN(found, client::mobility(of.client, of.vm.uuid));
  }
  if (session.json)
    fmt::print("{}\n", json::dump(json::encode(found)));
  else
    fmt::print("{}", mobility_text(found, !vm.empty()));
  return ExitCode::kDone;
}

Result<ExitCode> run_list(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(const auto all, client::fixes(client));
  if (session.json)
    fmt::print("{}\n", json::dump(json::encode_list("fixes", all)));
  else
    fmt::print("{}", fixes_text(all));
  return ExitCode::kDone;
}

Result<ExitCode> run_undo(const Session& session, const std::string& id) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(const AppliedFix fix, client::undo_fix(client, id));
  if (session.json)
    fmt::print("{}\n", json::dump(json::encode(fix)));
  else
    fmt::print("Undone: {}\n", printable(fix.undo));
  return ExitCode::kDone;
}

}  // namespace

void add_cpu_compat(CLI::App& app, Session& session) {
  auto options = std::make_shared<CpuOptions>();
  CLI::App* command = app.add_subcommand(
      "cpu-compat", "Find the CPU that a VM can have on several hosts, and write it");
  command->add_option("VM", options->vm, "Its name, HOST/NAME, or UUID")->required();
  command
      ->add_option("--for", options->hosts,
                   "The paired hosts, beside its own, such as host2,host3; may be repeated")
      ->type_name("HOST,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  command->add_flag("--write", options->write,
                    "Into the VM's definition: it gets it when it is next started");
  command->add_flag("--undo", options->undo, "Bring back what the definition asked for before");
  command->footer(
      "Examples:\n"
      "  drover cpu-compat web01 --for host2,host3\n"
      "  drover cpu-compat web01 --for host2 --write\n"
      "  drover cpu-compat web01 --undo");
  command->callback([options, &session] {
    session.action = [options](Session& s) { return run_cpu(s, *options); };
  });
}

void add_mobility(CLI::App& app, Session& session) {
  auto vm = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "mobility", "Say where VMs could go now, and what would let them go to more");
  command->add_option("VM", *vm, "Its name, HOST/NAME, or UUID; none: all");
  command->footer(
      "Makes a plan of each VM to every paired host, and changes nothing.\n"
      "\n"
      "Examples:\n"
      "  drover mobility\n"
      "  drover mobility web01");
  command->callback(
      [vm, &session] { session.action = [vm](Session& s) { return run_mobility(s, *vm); }; });
}

void add_fixes(CLI::App& app, Session& session) {
  CLI::App* fixes = app.add_subcommand("fixes", "Show fixes that Drover applied, and undo them");
  fixes->require_subcommand(1);
  fixes->fallthrough();
  fixes->footer(
      "Applied by drover plan VM HOST --fix CODE, and by drover cpu-compat.\n"
      "\n"
      "Examples:\n"
      "  drover fixes list\n"
      "  drover fixes undo k3f9x2qa");
  CLI::App* list = fixes->add_subcommand("list", "Show them, newest first");
  list->footer("Example:\n  drover fixes list");
  list->callback([&session] { session.action = [](Session& s) { return run_list(s); }; });
  auto id = std::make_shared<std::string>();
  CLI::App* undo = fixes->add_subcommand("undo", "Take one back, if what it changed is still so");
  undo->add_option("FIX", *id, "Its id")->required();
  undo->footer("Example:\n  drover fixes undo k3f9x2qa");
  undo->callback(
      [id, &session] { session.action = [id](Session& s) { return run_undo(s, *id); }; });
}

}  // namespace drover::cli
