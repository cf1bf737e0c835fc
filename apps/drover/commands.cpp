// SPDX-License-Identifier: Apache-2.0
#include "commands.h"

// The parser's own texts and configuration, of which App.hpp has the declarations only.
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "command_doc.h"
#include "manual.h"

namespace drover::cli {

void add_commands(CLI::App& app, Session& session) {
  app.description(
      "Moves running virtual machines, with their disks, between hosts that run libvirt and QEMU.");
  app.require_subcommand(1);
  app.fallthrough();
  app.set_help_flag("-h,--help", "Print this and exit");
  app.formatter_fn([](const CLI::App* asked, const std::string&, CLI::AppFormatMode) {
    return help_text(describe(*asked, full_name(*asked)));
  });
  app.add_option("--host", session.url, "Ask the droverd at this address (needs a token)")
      ->type_name("URL");
  app.add_option("--token-file", session.token_file,
                 "File with the token for --host; else the variable DROVER_TOKEN")
      ->type_name("FILE");
  app.add_option("--at", session.at, "Let this paired host answer, through the daemon asked")
      ->type_name("HOST");
  app.add_flag("--json", session.json, "Print JSON");
  app.footer(
      "Examples:\n"
      "  drover list\n"
      "  drover plan web01 host2\n"
      "  drover move web01 host2\n"
      "  drover move web01 host2 --yes\n"
      "\n"
      "drover COMMAND --help tells more; exit codes are in drover(1) and docs/cli.md.");
  add_list(app, session);
  add_plan(app, session);
  add_move(app, session);
  add_moves(app, session);
  add_show(app, session);
  add_report(app, session);
  add_watch(app, session);
  add_cancel(app, session);
  add_converge(app, session);
  add_queue(app, session);
  add_evacuate(app, session);
  add_return(app, session);
  add_export(app, session);
  add_import(app, session);
  add_archives(app, session);
  add_resolve(app, session);
  add_replug(app, session);
  add_mobility(app, session);
  add_cpu_compat(app, session);
  add_fixes(app, session);
  add_explain(app, session);
  add_host(app, session);
  add_settings(app, session);
  add_quarantine(app, session);
  add_residue(app, session);
  add_token(app, session);
  add_doctor(app, session);
  add_version(app, session);
  add_completion(app, session);
  add_man(app, session);
}

}  // namespace drover::cli
