// SPDX-License-Identifier: Apache-2.0
// drover doctor: what is not as it should be on this host.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "json/access_json.h"
#include "plan_text.h"

namespace drover::cli {
namespace {

Result<ExitCode> run(const Session& session, const std::string& fix) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  if (!fix.empty()) {
    RETURN_IF_ERROR(client.fix(fix));
    if (!session.json) fmt::print("Done: {}.\n", printable(fix));
    if (!session.json && (fix == "hook" || fix.starts_with("HOOK_"))) {
      fmt::print("libvirt takes it up when it is next restarted; running VMs go on meanwhile.\n");
    }
  }
  ASSIGN_OR_RETURN(const std::vector<Finding> findings, client.doctor());
  if (session.json) {
    fmt::print("{}\n", json::dump(json::encode_list("findings", findings)));
  } else if (findings.empty()) {
    fmt::print("Nothing is wrong.\n");
  } else {
    std::string text = findings_text(findings);
    text.erase(0, text.find_first_not_of('\n'));
    fmt::print("{}", text);
  }
  const bool healthy = std::ranges::none_of(
      findings, [](const Finding& f) { return f.level != FindingLevel::kNote; });
  return healthy ? ExitCode::kDone : ExitCode::kFailed;
}

}  // namespace

void add_doctor(CLI::App& app, Session& session) {
  auto fix = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "doctor", "Say what is not as it should be on this host and with its peers");
  command
      ->add_option(
          "--fix", *fix,
          "Do what is safe about the findings of this code (they say whether there is a fix); "
          "\"hook\": put Drover's hook into libvirt, which keeps a VM that moved away from being "
          "started here")
      ->type_name("CODE");
  command->footer(
      "Looks at this host, at what moves left on it, and at the hosts that it is paired with.\n"
      "Exit code 1: something is wrong.\n"
      "\n"
      "Examples:\n"
      "  drover doctor\n"
      "  drover doctor --fix STALE_FILES\n"
      "  drover doctor --fix hook");
  command->callback(
      [fix, &session] { session.action = [fix](Session& s) { return run(s, *fix); }; });
}

}  // namespace drover::cli
