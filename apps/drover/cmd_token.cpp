// SPDX-License-Identifier: Apache-2.0
// drover token: who may use this host's API from elsewhere.
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "display_width.h"
#include "table.h"
#include "time_words.h"

namespace drover::cli {
namespace {

Result<ExitCode> create(const Session& session, const std::string& name) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(const NewToken made, client.add_token(name));
  if (session.json) {
    fmt::print("{}\n", nlohmann::json{{"id", made.id}, {"token", made.token}}.dump());
    return ExitCode::kDone;
  }
  fmt::print(stderr, "Token {} for {}. It is shown only now:\n", printable(made.id),
             printable(name));
  fmt::print("{}\n", made.token);
  return ExitCode::kDone;
}

Result<ExitCode> list(const Session& session) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  if (session.json) return print_json(client.raw("GET", "/v1/tokens", ""));
  ASSIGN_OR_RETURN(const std::vector<Token> tokens, client.tokens());
  if (tokens.empty()) {
    fmt::print("No tokens: this host's API answers local users and paired hosts only.\n");
    return ExitCode::kDone;
  }
  Table table({{"TOKEN"}, {"NAME"}, {"CREATED"}});
  for (const Token& token : tokens)
    table.add({token.id, token.name, moment_words(token.created_at)});
  fmt::print("{}", table.text());
  return ExitCode::kDone;
}

Result<ExitCode> revoke(const Session& session, const std::string& id) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  RETURN_IF_ERROR(client.remove_token(id));
  if (session.json) return print_json("{}");
  fmt::print("Token {} is revoked.\n", printable(id));
  return ExitCode::kDone;
}

}  // namespace

void add_token(CLI::App& app, Session& session) {
  auto word = std::make_shared<std::string>();
  CLI::App* token = app.add_subcommand("token", "Let users reach this host's API from elsewhere");
  token->require_subcommand(1);
  token->fallthrough();
  token->footer(
      "Examples:\n"
      "  drover token create ci > token.txt\n"
      "  drover --host https://host1:7430 --token-file token.txt list");

  CLI::App* creating = token->add_subcommand("create", "Make a token and print it, once");
  creating->add_option("NAME", *word, "Who will use it; moves name it")->required();
  creating->footer("Example:\n  drover token create ci > token.txt");
  creating->callback(
      [word, &session] { session.action = [word](Session& s) { return create(s, *word); }; });

  CLI::App* listing = token->add_subcommand("list", "Show the tokens, without their secrets");
  listing->footer("Example:\n  drover token list");
  listing->callback([&session] { session.action = [](Session& s) { return list(s); }; });

  CLI::App* revoking = token->add_subcommand("revoke", "End a token");
  revoking->add_option("TOKEN", *word, "Its id, as drover token list shows it")->required();
  revoking->footer("Example:\n  drover token revoke a1b2c3d4");
  revoking->callback(
      [word, &session] { session.action = [word](Session& s) { return revoke(s, *word); }; });
}

}  // namespace drover::cli
