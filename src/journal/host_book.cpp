// SPDX-License-Identifier: Apache-2.0
#include "journal/host_book.h"

#include <algorithm>
#include <chrono>

#include "base/random.h"
#include "journal/settings_change.h"
#include "json/model_json.h"
#include "net/digest.h"
#include "net/host_identity.h"

namespace drover::journal {
namespace {

constexpr std::size_t kPeersMax = 256;
constexpr std::size_t kTokensMax = 256;
constexpr std::string_view kSettingsKey = "host";

std::string now_text() { return json::time_text(std::chrono::system_clock::now()); }

Status check_peer(const Peer& peer) {
  RETURN_IF_ERROR(check_host_name(peer.name));
  if (peer.address.empty() || peer.address.size() > 255 || peer.api_port == 0 ||
      peer.mover_port == 0) {
    return fail(ErrorCode::kInvalidArgument, "The host {} lacks an address or a port.", peer.name);
  }
  if (!net::is_public_key(peer.public_key)) {
    return fail(ErrorCode::kInvalidArgument, "The public key of host {} is not one.", peer.name);
  }
  return {};
}

}  // namespace

Status check_host_name(std::string_view name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const auto fits = [&](char c) { return plain(c) || c == '.' || c == '-' || c == '_'; };
  if (!name.empty() && name.size() <= 63 && plain(name.front()) && std::ranges::all_of(name, fits))
    return {};
  return fail(
      ErrorCode::kInvalidArgument,
      "\"{}\" cannot be a host's name: use 1 to 63 letters, digits, dots, dashes and underscores.",
      name.substr(0, 80));
}

Result<std::unique_ptr<HostBook>> HostBook::open(Database& database) {
  std::unique_ptr<HostBook> book(new HostBook(database));
  RETURN_IF_ERROR(book->load());
  RETURN_IF_ERROR(book->load_settings());
  return book;
}

Status HostBook::load() {
  {
    ASSIGN_OR_RETURN(Statement rows,
                     database_.prepare("SELECT document, introduced_by FROM peers"));
    while (true) {
      ASSIGN_OR_RETURN(const bool row, rows.step());
      if (!row) break;
      auto peer = json::peer_from_json(rows.text(0), json::Unknown::kIgnore);
      if (!peer) {
        Error error = wrap(peer.error(),
                           fmt::format("A host in {} cannot be read.", database_.path().string()));
        error.code = ErrorCode::kCorrupt;
        return std::unexpected(std::move(error));
      }
      peers_[peer->name] = {*peer, rows.text(1)};
    }
  }
  ASSIGN_OR_RETURN(Statement rows,
                   database_.prepare("SELECT id, name, hash, created_at FROM tokens"));
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.step());
    if (!row) return {};
    const auto created = json::time_from_text(rows.text(3));
    tokens_[rows.text(0)] = {{rows.text(0), rows.text(1), created.value_or(json::Time())},
                             rows.text(2)};
  }
}

Status HostBook::load_settings() {
  ASSIGN_OR_RETURN(Statement statement,
                   database_.prepare("SELECT value FROM settings WHERE key = ?1"));
  ASSIGN_OR_RETURN(const bool row, statement.bind(1, kSettingsKey).step());
  if (!row) return {};
  auto settings = json::host_settings_from_json(statement.text(0), json::Unknown::kIgnore);
  if (!settings) {
    Error error = wrap(settings.error(), fmt::format("The settings in {} cannot be read.",
                                                     database_.path().string()));
    error.code = ErrorCode::kCorrupt;
    return std::unexpected(std::move(error));
  }
  settings_ = std::move(*settings);
  return {};
}

// --- peers
// ---------------------------------------------------------------------------------------------------

std::vector<Peer> HostBook::peers() const {
  const std::lock_guard lock(mutex_);
  std::vector<Peer> all;
  for (const auto& [name, row] : peers_) all.push_back(row.peer);
  return all;
}

Result<Peer> HostBook::find_peer(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  if (const auto found = peers_.find(name); found != peers_.end()) return found->second.peer;
  std::string known;
  for (const auto& [other, row] : peers_) known += (known.empty() ? "" : ", ") + other;
  return fail(ErrorCode::kNotFound, "No host is called {} here. {}", name,
              known.empty() ? std::string("None is paired yet: `drover host invite` begins that.")
                            : fmt::format("Paired are: {}.", known));
}

const HostBook::PeerRow* HostBook::row_by_key(std::string_view public_key) const {
  for (const auto& [name, row] : peers_) {
    if (net::same_secret(row.peer.public_key, public_key)) return &row;
  }
  return nullptr;
}

std::optional<Peer> HostBook::find_peer_by_key(std::string_view public_key) const {
  const std::lock_guard lock(mutex_);
  const PeerRow* row = row_by_key(public_key);
  return row == nullptr ? std::nullopt : std::optional(row->peer);
}

std::string HostBook::introduced_by(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(name);
  return found == peers_.end() ? std::string() : found->second.introduced_by;
}

Status HostBook::put_peer(const Peer& peer, std::string_view introduced_by) {
  RETURN_IF_ERROR(check_peer(peer));
  const std::lock_guard lock(mutex_);
  const PeerRow* former = row_by_key(peer.public_key);
  const auto same_name = peers_.find(peer.name);
  if (same_name != peers_.end() && same_name->second.peer.public_key != peer.public_key) {
    return fail(ErrorCode::kConflict,
                "Another host ({}) is already called {} here. Give the new one a name of its own "
                "with --name NAME.",
                same_name->second.peer.address, peer.name);
  }
  if (former == nullptr && peers_.size() >= kPeersMax) {
    return fail(ErrorCode::kConflict, "{} hosts are paired already; more are not supported.",
                kPeersMax);
  }
  return store_peer({peer, std::string(introduced_by)},
                    former == nullptr ? std::string() : former->peer.name);
}

// REQUIRES: mutex_ is held. `former_name` is empty for a new peer.
Status HostBook::store_peer(const PeerRow& row, std::string_view former_name) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::begin(database_));
  {
    ASSIGN_OR_RETURN(Statement gone, database_.prepare("DELETE FROM peers WHERE public_key = ?1"));
    RETURN_IF_ERROR(gone.bind(1, row.peer.public_key).run());
    ASSIGN_OR_RETURN(Statement added,
                     database_.prepare("INSERT INTO peers VALUES (?1, ?2, ?3, ?4, ?5)"));
    RETURN_IF_ERROR(added.bind(1, row.peer.name)
                        .bind(2, row.peer.public_key)
                        .bind(3, json::to_json(row.peer))
                        .bind(4, row.introduced_by)
                        .bind(5, now_text())
                        .run());
  }
  RETURN_IF_ERROR(transaction.commit());
  const std::string former(former_name);  // may point into the row erased next
  if (!former.empty()) peers_.erase(former);
  peers_[row.peer.name] = row;
  return {};
}

Result<Peer> HostBook::set_rights(std::string_view name, const PeerRights& rights) {
  ASSIGN_OR_RETURN(const Peer known, find_peer(name));
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(name);
  if (found == peers_.end())
    return fail(ErrorCode::kNotFound, "The host {} was just removed.", known.name);
  PeerRow row = found->second;
  row.peer.rights = rights;
  RETURN_IF_ERROR(store_peer(row, row.peer.name));
  return row.peer;
}

Result<Peer> HostBook::approve_peer(std::string_view name) {
  ASSIGN_OR_RETURN(const Peer known, find_peer(name));
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(name);
  if (found == peers_.end())
    return fail(ErrorCode::kNotFound, "The host {} was just removed.", known.name);
  PeerRow row = found->second;
  if (row.peer.state != PeerState::kWaiting) {
    return fail(ErrorCode::kConflict, "The host {} is paired already; nothing waits for approval.",
                known.name);
  }
  row.peer.state = PeerState::kPaired;
  RETURN_IF_ERROR(store_peer(row, row.peer.name));
  return row.peer;
}

Result<Peer> HostBook::remove_peer(std::string_view name) {
  ASSIGN_OR_RETURN(Peer peer, find_peer(name));
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(Statement statement,
                   database_.prepare("DELETE FROM peers WHERE public_key = ?1"));
  RETURN_IF_ERROR(statement.bind(1, peer.public_key).run());
  peers_.erase(peer.name);
  return peer;
}

// --- tokens
// --------------------------------------------------------------------------------------------------

std::vector<Token> HostBook::tokens() const {
  const std::lock_guard lock(mutex_);
  std::vector<Token> all;
  for (const auto& [id, row] : tokens_) all.push_back(row.token);
  std::ranges::sort(all, {}, &Token::created_at);
  return all;
}

Result<Token> HostBook::add_token(std::string_view name, std::string_view secret) {
  if (!check_host_name(name)) {
    return fail(ErrorCode::kInvalidArgument,
                "\"{}\" cannot be a token's name: use 1 to 63 letters, digits, dots, dashes and "
                "underscores.",
                name.substr(0, 80));
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [id, row] : tokens_) {
    if (row.token.name == name) {
      return fail(ErrorCode::kConflict,
                  "There is a token {} already (id {}). Remove it first or use another name.", name,
                  id);
    }
  }
  if (tokens_.size() >= kTokensMax) {
    return fail(ErrorCode::kConflict, "There are {} tokens; remove some first.", kTokensMax);
  }
  const TokenRow row{{random_name(8), std::string(name), std::chrono::system_clock::now()},
                     net::sha256_hex(secret)};
  ASSIGN_OR_RETURN(Statement statement,
                   database_.prepare("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4)"));
  RETURN_IF_ERROR(statement.bind(1, row.token.id)
                      .bind(2, row.token.name)
                      .bind(3, row.hash)
                      .bind(4, json::time_text(row.token.created_at))
                      .run());
  tokens_[row.token.id] = row;
  return row.token;
}

Status HostBook::remove_token(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(id);
  if (found == tokens_.end())
    return fail(ErrorCode::kNotFound, "There is no token with the id {}.", id);
  ASSIGN_OR_RETURN(Statement statement, database_.prepare("DELETE FROM tokens WHERE id = ?1"));
  RETURN_IF_ERROR(statement.bind(1, id).run());
  tokens_.erase(found);
  return {};
}

std::optional<Token> HostBook::find_token(std::string_view secret) const {
  const std::string hash = net::sha256_hex(secret);
  const std::lock_guard lock(mutex_);
  std::optional<Token> found;
  for (const auto& [id, row] : tokens_) {
    if (net::same_secret(row.hash, hash)) found = row.token;
  }
  return found;
}

// --- settings
// ------------------------------------------------------------------------------------------------

HostSettings HostBook::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

Result<HostSettings> HostBook::change_settings(const std::vector<SettingChange>& changes) {
  const std::lock_guard lock(mutex_);
  HostSettings next = settings_;
  for (const auto& change : changes) RETURN_IF_ERROR(apply(change, next));
  RETURN_IF_ERROR(check_settings(next));
  ASSIGN_OR_RETURN(Statement statement,
                   database_.prepare("INSERT OR REPLACE INTO settings VALUES (?1, ?2)"));
  RETURN_IF_ERROR(statement.bind(1, kSettingsKey).bind(2, json::to_json(next)).run());
  settings_ = next;
  return next;
}

}  // namespace drover::journal
