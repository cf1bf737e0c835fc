// SPDX-License-Identifier: Apache-2.0
// Peers, tokens and settings of this host, on disk and in memory: reading never touches the disk, a
// change is on disk before it is visible. Any thread may call any function. REQUIRES: the database
// outlives the book; the caller holds no Transaction or Statement of it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "journal/database.h"
#include "journal/fix_book.h"
#include "journal/interface_places.h"
#include "model/access.h"
#include "model/host.h"

namespace drover::journal {

class HostBook {
 public:
  static Result<std::unique_ptr<HostBook>> open(Database& database);

  // --- peers; sorted by name
  // ---------------------------------------------------------------------------------
  std::vector<Peer> peers() const;
  // kNotFound names the peers there are.
  Result<Peer> find_peer(std::string_view name) const;
  std::optional<Peer> find_peer_by_key(std::string_view public_key) const;
  // The key of the peer that introduced it; empty: paired by hand, or unknown.
  std::string introduced_by(std::string_view name) const;

  // A key that is known already is updated in place: pairing again heals a half-made pair.
  // kConflict: another key has this name. kInvalidArgument: see check_host_name(); or a bad key,
  // port, address.
  Status put_peer(const Peer& peer, std::string_view introduced_by = {});
  Result<Peer> set_rights(std::string_view name, const PeerRights& rights);
  // kPaired from now on. kConflict: it does not wait.
  Result<Peer> approve_peer(std::string_view name);
  Result<Peer> remove_peer(std::string_view name);

  // What belongs to the same database, and needs no copy in memory.
  InterfacePlaces interface_places() const { return InterfacePlaces(database_); }
  FixBook fixes() const { return FixBook(database_); }

  // --- tokens of users
  // ---------------------------------------------------------------------------------------
  std::vector<Token> tokens() const;
  // `secret` is stored as a hash only.
  Result<Token> add_token(std::string_view name, std::string_view secret);
  Status remove_token(std::string_view id);
  std::optional<Token> find_token(std::string_view secret) const;

  // --- settings
  // ----------------------------------------------------------------------------------------------
  HostSettings settings() const;
  // All changes or none.
  Result<HostSettings> change_settings(const std::vector<SettingChange>& changes);

 private:
  struct PeerRow {
    Peer peer;
    std::string introduced_by;
  };
  struct TokenRow {
    Token token;
    std::string hash;
  };
  explicit HostBook(Database& database) : database_(database) {}
  Status load();
  Status load_settings();
  Status store_peer(const PeerRow& row, std::string_view former_name);
  const PeerRow* row_by_key(std::string_view public_key) const;

  Database& database_;
  mutable std::mutex mutex_;  // guards all below; taken before the database's lock
  std::map<std::string, PeerRow, std::less<>> peers_;
  std::map<std::string, TokenRow, std::less<>> tokens_;
  HostSettings settings_;
};

// 1 to 63 letters, digits, '.', '-', '_', starting with a letter or digit: it is part of socket
// paths and of user@host.
Status check_host_name(std::string_view name);

}  // namespace drover::journal
