// SPDX-License-Identifier: Apache-2.0
// drover queue: moves that wait for their turn.
#include <memory>
#include <string>

#include <fmt/core.h>

#include "commands.h"
#include "display_width.h"
#include "json/model_json.h"
#include "move_text.h"
#include "progress_text.h"

namespace drover::cli {
namespace {

struct Options {
  std::string id;
  int priority = 0;
};

using Act = Result<Move> (*)(client::ApiClient& client, const Options& options);

Result<ExitCode> list(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  if (session.json) return print_json(client.raw("GET", "/v1/queue", ""));
  ASSIGN_OR_RETURN(const std::vector<Move> moves, client.queue());
  fmt::print("{}", queue_text(moves));
  return ExitCode::kDone;
}

Result<ExitCode> change(const Session& session, const Options& options, Act act) {
  ASSIGN_OR_RETURN(FoundMove found, find_move(session, options.id));
  ASSIGN_OR_RETURN(const Move move, act(found.client, options));
  if (session.json) {
    fmt::print("{}\n", json::to_json(move));
    return ExitCode::kDone;
  }
  fmt::print("The move of {} is {}.\n", printable(move.plan.vm.name),
             move.queue ? phase_words(move) : "under way");
  return ExitCode::kDone;
}

Result<Move> hold(client::ApiClient& client, const Options& options) {
  return client.hold_move(options.id);
}

Result<Move> release(client::ApiClient& client, const Options& options) {
  return client.release_move(options.id);
}

Result<Move> set_priority(client::ApiClient& client, const Options& options) {
  return client.set_priority(options.id, options.priority);
}

Result<ExitCode> cancel(const Session& session, const Options& options) {
  ASSIGN_OR_RETURN(FoundMove found, find_move(session, options.id));
  ASSIGN_OR_RETURN(const Move now, found.client.move(options.id));
  if (!now.queue) {
    return fail(ErrorCode::kConflict,
                "Move {} does not wait in the queue. To end one under way: drover cancel {}.",
                options.id, options.id);
  }
  ASSIGN_OR_RETURN(const Move move, found.client.cancel_move(options.id));
  if (session.json) {
    fmt::print("{}\n", json::to_json(move));
    return ExitCode::kDone;
  }
  fmt::print("{} will not be moved.\n", printable(move.plan.vm.name));
  return ExitCode::kDone;
}

}  // namespace

void add_queue(CLI::App& app, Session& session) {
  auto options = std::make_shared<Options>();
  CLI::App* queue = app.add_subcommand("queue", "Show or change which moves wait for their turn");
  queue->require_subcommand(0, 1);
  queue->fallthrough();
  queue->callback([queue, &session] {
    if (queue->get_subcommands().empty()) session.action = [](Session& s) { return list(s); };
  });
  queue->footer(
      "A host works on as many moves at once as its setting live-moves says (2), to and from it\n"
      "together. The others wait on their source: high priority first, then who came first.\n"
      "\n"
      "Examples:\n"
      "  drover queue\n"
      "  drover queue priority k3f9x2qa 10\n"
      "  drover queue hold k3f9x2qa\n"
      "  drover --at host2 queue list");
  CLI::App* listing = queue->add_subcommand("list", "Show the moves that wait on this host");
  listing->footer("Example:\n  drover queue list");
  listing->callback([&session] { session.action = [](Session& s) { return list(s); }; });

  const auto add = [&](const char* name, const char* what, Act act, const char* example) {
    CLI::App* command = queue->add_subcommand(name, what);
    command->add_option("MOVE", options->id, "As drover queue list shows it")->required();
    command->footer(example);
    command->callback([options, act, &session] {
      session.action = [options, act](Session& s) { return change(s, *options, act); };
    });
    return command;
  };
  add("hold", "Let a move wait until it is released", hold,
      "Example:\n  drover queue hold k3f9x2qa");
  add("release", "Let a held move have its turn", release,
      "Example:\n  drover queue release k3f9x2qa");
  add("priority", "Let a move go before those of lower priority", set_priority,
      "Example:\n  drover queue priority k3f9x2qa 10")
      ->add_option("NUMBER", options->priority, "-100 to 100; higher goes first, 0 is usual")
      ->required();
  CLI::App* cancelling = queue->add_subcommand("cancel", "Take a move out of the queue");
  cancelling->add_option("MOVE", options->id, "As drover queue list shows it")->required();
  cancelling->footer("Example:\n  drover queue cancel k3f9x2qa");
  cancelling->callback([options, &session] {
    session.action = [options](Session& s) { return cancel(s, *options); };
  });
}

}  // namespace drover::cli
