// SPDX-License-Identifier: Apache-2.0
#include "host_text.h"

#include <cstdint>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "base/ip_network.h"
#include "display_width.h"
#include "json/access_json.h"
#include "model/group.h"
#include "table.h"

namespace drover::cli {
namespace {

constexpr std::uint16_t kApiPort = 7430;

std::string address_words(const Peer& peer) {
  if (peer.api_port == 0 || peer.api_port == kApiPort) return peer.address;
  return fmt::format("{}:{}", peer.address, peer.api_port);
}

std::string state_words(const HostEntry& host) {
  if (host.peer.state == PeerState::kWaiting) {
    return fmt::format("waits for approval (introduced by {})", host.introduced_by);
  }
  return host.reachable ? "answers" : "no answer: " + host.trouble;
}

}  // namespace

std::string hosts_text(const std::vector<HostEntry>& hosts) {
  if (hosts.empty()) {
    return "No host is paired with this one. To pair one: drover host invite\n";
  }
  Table table({{"HOST"}, {"ADDRESS"}, {"RIGHTS HERE"}, {"STATE"}});
  for (const HostEntry& host : hosts) {
    table.add({host.peer.name, address_words(host.peer), rights_words(host.peer.rights),
               state_words(host)});
  }
  return table.text();
}

std::string invite_json(const Invite& invite) { return json::dump(json::encode(invite)); }

std::string rights_words(const PeerRights& rights) {
  std::vector<std::string> words;
  if (rights.send) words.emplace_back("send");
  if (rights.receive) words.emplace_back("receive");
  if (rights.command) words.emplace_back("command");
  if (rights.introduce) words.emplace_back("introduce");
  return words.empty() ? "none" : fmt::format("{}", fmt::join(words, ", "));
}

Result<PeerRights> rights_from_words(const std::vector<std::string>& words, const PeerRights& now) {
  PeerRights rights{false, false, false, false};
  for (const std::string& word : words) {
    const bool added = word.starts_with('+');
    if (added && &word == &words.front()) rights = now;
    const std::string name = added ? word.substr(1) : word;
    if (name == "send") {
      rights.send = true;
    } else if (name == "receive") {
      rights.receive = true;
    } else if (name == "command") {
      rights.command = true;
    } else if (name == "introduce") {
      rights.introduce = true;
    } else if (name != "none" || added) {
      return fail(ErrorCode::kInvalidArgument,
                  "{} is no right. Rights are send, receive, command and introduce.",
                  printable(word));
    }
  }
  return rights;
}

std::string settings_text(const HostSettings& settings) {
  Table table({{""}, {""}});
  table.add({"incoming", settings.incoming ? "on" : "off"});
  table.add({"outgoing", settings.outgoing ? "on" : "off"});
  table.add({"default-folder", settings.default_folder});
  table.add({"allowed-folders", fmt::format("{}", fmt::join(settings.allowed_folders, ","))});
  table.add({"live-moves", move_limit_text(settings.live_moves)});
  table.add({"storage-moves", move_limit_text(settings.storage_moves)});
  table.add({"performance", std::string(performance_name(settings.performance))});
  table.add({"bandwidth", bandwidth_text(settings.bandwidth)});
  table.add({"convergence", convergence_text(settings.convergence)});
  table.add({"networks", networks_text(settings.networks)});
  table.add({"groups", groups_text(settings.groups)});
  table.add({"network-disks", settings.network_disks.empty()
                                  ? "off"
                                  : fmt::format("{}", fmt::join(settings.network_disks, ","))});
  table.add(
      {"residue-max", settings.residue_max.bytes == 0 ? "off" : to_text(settings.residue_max)});
  table.add({"residue-age", fmt::format("{}h", settings.residue_age.count())});
  table.add({"space-reserve",
             settings.space_reserve.bytes == 0 ? "off" : to_text(settings.space_reserve)});
  table.add({"space-patience", fmt::format("{}s", settings.space_patience.count())});
  table.add({"retries", fmt::format("{}", settings.retries)});
  const auto watch = settings.health_watch.count();
  table.add({"health-watch", watch == 0 ? "off" : fmt::format("{}s", watch)});
  return table.text();
}

Result<SettingChange> setting_change(const std::string& word) {
  const auto equals = word.find('=');
  if (equals == std::string::npos || equals == 0) {
    return fail(ErrorCode::kInvalidArgument,
                "{} is no setting. Write KEY=VALUE, KEY+=VALUE or KEY-=VALUE.", printable(word));
  }
  SettingChange change;
  change.value = word.substr(equals + 1);
  auto key_end = equals;
  if (word[equals - 1] == '+') change.op = SettingChange::Op::kAdd;
  if (word[equals - 1] == '-') change.op = SettingChange::Op::kRemove;
  if (change.op != SettingChange::Op::kSet) --key_end;
  change.key = word.substr(0, key_end);
  return change;
}

}  // namespace drover::cli
