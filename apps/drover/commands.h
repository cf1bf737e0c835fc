// SPDX-License-Identifier: Apache-2.0
// Every command of `drover`: each adds its own options and sets Session::action when it is chosen.
// A new command is a new file cmd_*.cpp, a line here and a line in commands.cpp.
#pragma once

#include <CLI/App.hpp>

#include "session.h"

namespace drover::cli {

void add_list(CLI::App& app, Session& session);
void add_plan(CLI::App& app, Session& session);
void add_move(CLI::App& app, Session& session);
void add_moves(CLI::App& app, Session& session);
void add_show(CLI::App& app, Session& session);
void add_report(CLI::App& app, Session& session);
void add_watch(CLI::App& app, Session& session);
void add_cancel(CLI::App& app, Session& session);
void add_converge(CLI::App& app, Session& session);
void add_queue(CLI::App& app, Session& session);
void add_evacuate(CLI::App& app, Session& session);
void add_return(CLI::App& app, Session& session);
void add_export(CLI::App& app, Session& session);
void add_import(CLI::App& app, Session& session);
void add_archives(CLI::App& app, Session& session);
void add_resolve(CLI::App& app, Session& session);
void add_replug(CLI::App& app, Session& session);
void add_host(CLI::App& app, Session& session);
void add_host_networks(CLI::App& host, Session& session);  // below `drover host`
void add_cpu_compat(CLI::App& app, Session& session);
void add_mobility(CLI::App& app, Session& session);
void add_fixes(CLI::App& app, Session& session);
void add_explain(CLI::App& app, Session& session);
void add_settings(CLI::App& app, Session& session);
void add_quarantine(CLI::App& app, Session& session);
void add_residue(CLI::App& app, Session& session);
void add_token(CLI::App& app, Session& session);
void add_doctor(CLI::App& app, Session& session);
void add_version(CLI::App& app, Session& session);
void add_completion(CLI::App& app, Session& session);
void add_man(CLI::App& app, Session& session);  // hidden: makes the manual pages of the package

// The whole program: global options and all commands, in the order that help shows.
void add_commands(CLI::App& app, Session& session);

}  // namespace drover::cli
