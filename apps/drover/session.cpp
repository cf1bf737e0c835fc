// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include <fmt/core.h>
#include <unistd.h>

#include "base/file.h"
#include "display_width.h"
#include "vm_choice.h"

namespace drover::cli {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  text.erase(0, text.find_first_not_of(" \t\r\n"));
  return text;
}

}  // namespace

Result<client::ApiClient> Session::connect(const std::string& carried_to) const {
  client::Target target;
  if (const std::string socket = environment("DROVER_SOCKET"); !socket.empty()) {
    target.socket = socket;
  }
  target.url = url;
  target.carried_to = carried_to.empty() ? at : carried_to;
  if (!url.empty()) {
    target.token = environment("DROVER_TOKEN");
    if (!token_file.empty()) {
      ASSIGN_OR_RETURN(const std::string text, read_file(token_file));
      target.token = trimmed(text);
    }
    if (target.token.empty()) {
      return fail(
          ErrorCode::kUnauthenticated,
          "{} asks for a token. Fix: there, run drover token create; here, set DROVER_TOKEN "
          "or say --token-file FILE.",
          printable(url));
    }
  }
  return client::ApiClient(std::move(target));
}

bool Session::can_ask() const { return !json && ::isatty(0) == 1 && ::isatty(1) == 1; }

bool Session::draws() const { return !json && ::isatty(1) == 1 && environment("TERM") != "dumb"; }

Result<FoundVm> find_vm(const Session& session, const std::string& word) {
  ASSIGN_OR_RETURN(std::vector<FoundVm> found, find_vms(session, {word}));
  return std::move(found.front());
}

Result<std::vector<FoundVm>> find_vms(const Session& session,
                                      const std::vector<std::string>& words) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  ASSIGN_OR_RETURN(const VmListing listing, client.vms(session.at.empty()));
  ASSIGN_OR_RETURN(const ServerVersion server, client.version());
  std::vector<FoundVm> found;
  for (const std::string& word : words) {
    ASSIGN_OR_RETURN(Vm vm, choose_vm(listing, word));
    const bool here = !session.at.empty() || vm.host.empty() || vm.host == server.host;
    ASSIGN_OR_RETURN(client::ApiClient host, session.connect(here ? "" : vm.host));
    found.push_back({std::move(vm), std::move(host)});
  }
  return found;
}

Result<FoundMove> find_move(const Session& session, const std::string& id) {
  ASSIGN_OR_RETURN(client::ApiClient client, session.connect());
  auto own = client.move(id);
  if (own) return FoundMove{std::move(*own), std::move(client)};
  if (own.error().code != ErrorCode::kNotFound || !session.at.empty()) {
    return std::unexpected(std::move(own).error());
  }
  ASSIGN_OR_RETURN(const std::vector<HostEntry> hosts, client.hosts());
  for (const HostEntry& host : hosts) {
    if (!host.reachable) continue;
    ASSIGN_OR_RETURN(client::ApiClient carried, session.connect(host.peer.name));
    // A host that gives us no right to ask keeps its moves to itself.
    if (auto move = carried.move(id)) return FoundMove{std::move(*move), std::move(carried)};
  }
  return std::unexpected(std::move(own).error());
}

Result<ExitCode> print_json(const Result<std::string>& answer) {
  if (!answer) return std::unexpected(answer.error());
  fmt::print("{}\n", answer->empty() ? "{}" : trimmed(*answer));
  return ExitCode::kDone;
}

std::string path_part(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 ||
                                       std::string_view("-_.~").find(c) != std::string_view::npos);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

bool ask(const std::string& question, Otherwise otherwise) {
  fmt::print("{} {} ", question, otherwise == Otherwise::kYes ? "[Y/n]" : "[y/N]");
  std::fflush(stdout);
  std::string answer;
  if (!std::getline(std::cin, answer)) return false;
  answer = trimmed(answer);
  if (answer.empty()) return otherwise == Otherwise::kYes;
  return answer == "y" || answer == "Y" || answer == "yes" || answer == "Yes";
}

Status confirm(const Session& session, bool yes, const std::string& question) {
  if (yes) return {};
  if (!session.can_ask()) {
    return fail(ErrorCode::kInvalidArgument,
                "Not confirmed, and there is no terminal to ask on. Nothing was changed. To go on: "
                "say --yes.");
  }
  if (ask(question, Otherwise::kNo)) return {};
  return fail(ErrorCode::kInvalidArgument, "Not confirmed. Nothing was changed.");
}

}  // namespace drover::cli
