// SPDX-License-Identifier: Apache-2.0
#include "journal/settings_change.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/ip_network.h"
#include "model/group.h"
#include "model/network_disk.h"

namespace drover::journal {
namespace {

constexpr std::string_view kKeys =
    "incoming, outgoing, default-folder, allowed-folders, live-moves, storage-moves, performance, "
    "bandwidth, "
    "convergence, networks, groups, network-disks, residue-max, residue-age, space-reserve, "
    "space-patience, "
    "retries, health-watch";
// Longer paths leave no room for a disk's name below PATH_MAX, and are nobody's intention.
constexpr std::size_t kFolderMax = 1024;
constexpr std::size_t kFoldersMax = 64;
constexpr std::size_t kNetworkDisksMax = 64;

std::string key_of(std::string key) {
  std::ranges::replace(key, '_', '-');
  return key;
}

Status set_switch(const SettingChange& change, bool& out) {
  if (change.op != SettingChange::Op::kSet) {
    return fail(ErrorCode::kInvalidArgument, "{} is on or off: use {}=on or {}=off.", change.key,
                change.key, change.key);
  }
  const bool on = change.value == "on" || change.value == "true" || change.value == "yes";
  const bool off = change.value == "off" || change.value == "false" || change.value == "no";
  if (!on && !off) {
    return fail(ErrorCode::kInvalidArgument, "{} must be on or off, not \"{}\".", change.key,
                change.value);
  }
  out = on;
  return {};
}

Status check_folder(std::string_view key, std::string_view folder) {
  if (is_plain_folder(folder)) return {};
  return fail(ErrorCode::kInvalidArgument,
              "{}: \"{}\" is not a folder's plain absolute path (no \"..\", no slash at the end, "
              "not \"/\" itself).",
              key, folder);
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t comma = text.find(',');
    parts.emplace_back(text.substr(0, comma));
    if (comma == std::string_view::npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

Status change_folders(const SettingChange& change, std::vector<std::string>& out) {
  const std::vector<std::string> named = split(change.value);
  for (const auto& folder : named) RETURN_IF_ERROR(check_folder(change.key, folder));
  std::vector<std::string> folders =
      change.op == SettingChange::Op::kSet ? std::vector<std::string>() : out;
  for (const auto& folder : named) {
    const auto found = std::ranges::find(folders, folder);
    if (change.op == SettingChange::Op::kRemove) {
      if (found == folders.end()) {
        return fail(ErrorCode::kInvalidArgument, "{} does not contain {}.", change.key, folder);
      }
      folders.erase(found);
    } else if (found == folders.end()) {
      folders.push_back(folder);
    }
  }
  if (folders.empty() || folders.size() > kFoldersMax) {
    return fail(ErrorCode::kInvalidArgument,
                "{} must name 1 to {} folders. To refuse all moves to this host, set "
                "incoming=off.",
                change.key, kFoldersMax);
  }
  out = std::move(folders);
  return {};
}

Status change_performance(const SettingChange& change, Performance& out) {
  const auto named = performance_from_name(change.value);
  if (change.op != SettingChange::Op::kSet || !named) {
    return fail(ErrorCode::kInvalidArgument,
                "performance is direct, compress or multilink: use performance=compress.");
  }
  out = *named;
  return {};
}

Status change_limit(const SettingChange& change, const std::string& key, MoveLimit& out) {
  if (change.op != SettingChange::Op::kSet) {
    return fail(ErrorCode::kInvalidArgument, "{} is one limit: use {}=2 or {}=unlimited.", key, key,
                key);
  }
  ASSIGN_OR_RETURN(out, parse_move_limit(key, change.value));
  return {};
}

Status change_bandwidth(const SettingChange& change, BytesPerSecond& out) {
  if (change.op != SettingChange::Op::kSet) {
    return fail(ErrorCode::kInvalidArgument,
                "bandwidth is one limit: use bandwidth=100M or bandwidth=off.");
  }
  ASSIGN_OR_RETURN(out, parse_bandwidth(change.value));
  return {};
}

Status change_convergence(const SettingChange& change, Convergence& out) {
  if (change.op != SettingChange::Op::kSet) {
    return fail(ErrorCode::kInvalidArgument,
                "convergence is one policy: use convergence=pause:5 or convergence=wait.");
  }
  ASSIGN_OR_RETURN(out, parse_convergence(change.value));
  return {};
}

Status change_networks(const SettingChange& change, std::vector<std::string>& out) {
  const bool list = change.value != "any";
  if (!list && change.op != SettingChange::Op::kSet) {
    return fail(ErrorCode::kInvalidArgument, "any is no network: use networks=any.");
  }
  ASSIGN_OR_RETURN(const auto named, parse_networks(change.value));
  if (change.op == SettingChange::Op::kSet) {
    out = named;
    return {};
  }
  std::vector<std::string> networks = out;
  for (const auto& network : named) {
    const auto found = std::ranges::find(networks, network);
    if (change.op == SettingChange::Op::kAdd) {
      if (found == networks.end()) networks.push_back(network);
      continue;
    }
    if (found == networks.end()) {
      return fail(ErrorCode::kInvalidArgument, "networks does not contain {}.", network);
    }
    networks.erase(found);
  }
  // Without the last of them every network would do: that has to be said.
  if (networks.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "networks must name a network. To allow all of them, set networks=any.");
  }
  ASSIGN_OR_RETURN(out, check_networks(networks));
  return {};
}

Status change_groups(const SettingChange& change, std::vector<std::string>& out) {
  ASSIGN_OR_RETURN(const auto named, parse_groups(change.value));
  if (change.op == SettingChange::Op::kSet) {
    out = named;
    return {};
  }
  if (named.empty()) return fail(ErrorCode::kInvalidArgument, "off is no group: use groups=off.");
  std::vector<std::string> groups = out;
  for (const auto& group : named) {
    const auto found = std::ranges::find(groups, group);
    if (change.op == SettingChange::Op::kAdd) {
      if (found == groups.end()) groups.push_back(group);
      continue;
    }
    if (found == groups.end()) {
      return fail(ErrorCode::kInvalidArgument, "groups does not contain {}.", group);
    }
    groups.erase(found);
  }
  ASSIGN_OR_RETURN(out, parse_groups(groups_text(groups)));
  return {};
}

Status change_residue_max(const SettingChange& change, ByteCount& out) {
  if (change.op != SettingChange::Op::kSet) {
    return fail(ErrorCode::kInvalidArgument,
                "residue-max is one size: use residue-max=4G or residue-max=off.");
  }
  ASSIGN_OR_RETURN(out, parse_byte_count(change.value == "off" ? "0" : change.value));
  return {};
}

Status change_residue_age(const SettingChange& change, std::chrono::hours& out) {
  int hours = 0;
  const char* const end = change.value.data() + change.value.size();
  const auto [next, error] = std::from_chars(change.value.data(), end, hours);
  if (change.op != SettingChange::Op::kSet || error != std::errc() ||
      std::string_view(next, end) != "h" || hours < 1 || hours > kResidueAgeMost.count()) {
    return fail(ErrorCode::kInvalidArgument, "residue-age is 1h to {}h: use residue-age=24h.",
                kResidueAgeMost.count());
  }
  out = std::chrono::hours(hours);
  return {};
}

Status change_space_reserve(const SettingChange& change, ByteCount& out) {
  if (change.op != SettingChange::Op::kSet) {
    return fail(ErrorCode::kInvalidArgument,
                "space-reserve is one size: use space-reserve=256M or space-reserve=off.");
  }
  ASSIGN_OR_RETURN(out, parse_byte_count(change.value == "off" ? "0" : change.value));
  return {};
}

// "30s", "10m", "2h".
Status change_space_patience(const SettingChange& change, std::chrono::seconds& out) {
  std::int32_t count = 0;
  const char* const end = change.value.data() + change.value.size();
  const auto [next, error] = std::from_chars(change.value.data(), end, count);
  const std::string_view unit(next, end);
  const int factor = unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0;
  const std::int64_t seconds = std::int64_t{count} * factor;
  if (change.op != SettingChange::Op::kSet || error != std::errc() || seconds < 1 ||
      seconds > kSpacePatienceMost.count()) {
    return fail(ErrorCode::kInvalidArgument,
                "space-patience is a time from 1s to 24h: use space-patience=10m.");
  }
  out = std::chrono::seconds(seconds);
  return {};
}

// The whole of a text as a number with this unit behind it; nothing: it is none, or too large.
std::optional<unsigned> number_with(std::string_view text, std::string_view unit, unsigned most) {
  unsigned number = 0;
  const char* const end = text.data() + text.size();
  const auto [next, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || std::string_view(next, end) != unit || number > most) return {};
  return number;
}

Status change_retries(const SettingChange& change, unsigned& out) {
  const auto number = number_with(change.value, "", kRetriesMost);
  if (change.op != SettingChange::Op::kSet || !number) {
    return fail(ErrorCode::kInvalidArgument, "retries is 0 to {}: use retries=2.", kRetriesMost);
  }
  out = *number;
  return {};
}

Status change_health_watch(const SettingChange& change, std::chrono::seconds& out) {
  const std::string_view text = change.value == "off" ? std::string_view("0s") : change.value;
  const auto number = number_with(text, "s", static_cast<unsigned>(kHealthWatchMost.count()));
  if (change.op != SettingChange::Op::kSet || !number) {
    return fail(ErrorCode::kInvalidArgument,
                "health-watch is 1s to {}s: use health-watch=60s or health-watch=off.",
                kHealthWatchMost.count());
  }
  out = std::chrono::seconds(*number);
  return {};
}

Status change_network_disks(const SettingChange& change, std::vector<std::string>& out) {
  const bool off = change.value == "off" && change.op == SettingChange::Op::kSet;
  const std::vector<std::string> named = off ? std::vector<std::string>() : split(change.value);
  for (const auto& rule : named) RETURN_IF_ERROR(check_network_disk_rule(rule));
  std::vector<std::string> rules =
      change.op == SettingChange::Op::kSet ? std::vector<std::string>() : out;
  for (const auto& rule : named) {
    const auto found = std::ranges::find(rules, rule);
    if (change.op == SettingChange::Op::kRemove) {
      if (found == rules.end())
        return fail(ErrorCode::kInvalidArgument, "network-disks does not contain {}.", rule);
      rules.erase(found);
    } else if (found == rules.end()) {
      rules.push_back(rule);
    }
  }
  if (rules.size() > kNetworkDisksMax) {
    return fail(ErrorCode::kInvalidArgument, "network-disks names {} at most.", kNetworkDisksMax);
  }
  out = std::move(rules);
  return {};
}

bool lies_in(std::string_view path, std::string_view folder) {
  return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}

}  // namespace

bool is_plain_folder(std::string_view path) {
  if (path.size() < 2 || path.size() > kFolderMax || path.front() != '/' || path.back() == '/')
    return false;
  std::string_view rest = path.substr(1);
  while (true) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  return std::ranges::none_of(
      path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Status apply(const SettingChange& change, HostSettings& settings) {
  const std::string key = key_of(change.key);
  if (key == "incoming") return set_switch(change, settings.incoming);
  if (key == "outgoing") return set_switch(change, settings.outgoing);
  if (key == "allowed-folders") return change_folders(change, settings.allowed_folders);
  if (key == "default-folder") {
    if (change.op != SettingChange::Op::kSet) {
      return fail(ErrorCode::kInvalidArgument,
                  "default-folder is one folder: use default-folder=PATH.");
    }
    RETURN_IF_ERROR(check_folder(key, change.value));
    settings.default_folder = change.value;
    return {};
  }
  if (key == "live-moves") return change_limit(change, key, settings.live_moves);
  if (key == "storage-moves") return change_limit(change, key, settings.storage_moves);
  if (key == "performance") return change_performance(change, settings.performance);
  if (key == "bandwidth") return change_bandwidth(change, settings.bandwidth);
  if (key == "convergence") return change_convergence(change, settings.convergence);
  if (key == "networks") return change_networks(change, settings.networks);
  if (key == "groups") return change_groups(change, settings.groups);
  if (key == "network-disks") return change_network_disks(change, settings.network_disks);
  if (key == "residue-max") return change_residue_max(change, settings.residue_max);
  if (key == "residue-age") return change_residue_age(change, settings.residue_age);
  if (key == "space-reserve") return change_space_reserve(change, settings.space_reserve);
  if (key == "space-patience") return change_space_patience(change, settings.space_patience);
  if (key == "retries") return change_retries(change, settings.retries);
  if (key == "health-watch") return change_health_watch(change, settings.health_watch);
  return fail(ErrorCode::kInvalidArgument, "There is no setting {}. There are: {}.", change.key,
              kKeys);
}

Status check_settings(const HostSettings& settings) {
  for (const auto& folder : settings.allowed_folders)
    RETURN_IF_ERROR(check_folder("allowed-folders", folder));
  RETURN_IF_ERROR(check_folder("default-folder", settings.default_folder));
  const bool inside = std::ranges::any_of(settings.allowed_folders, [&](const std::string& folder) {
    return lies_in(settings.default_folder, folder);
  });
  if (inside) return {};
  return fail(ErrorCode::kInvalidArgument,
              "default-folder {} lies in none of the allowed-folders. Add it there first: "
              "allowed-folders+={}.",
              settings.default_folder, settings.default_folder);
}

}  // namespace drover::journal
