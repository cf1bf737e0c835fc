// SPDX-License-Identifier: Apache-2.0
// The tables of droverd's database, as steps from one version to the next. Never change a step that
// was released: add one. The database's user_version is the number of steps done.
#pragma once

#include <array>
#include <string_view>

namespace drover::journal {

inline constexpr std::array<std::string_view, 3> kSchemaSteps{
    // 1: hosts and settings (journal/host_book.h), moves and quarantine (journal/move_journal.h).
    R"sql(
CREATE TABLE peers (
  name TEXT PRIMARY KEY,
  public_key TEXT NOT NULL UNIQUE,
  document TEXT NOT NULL,          -- the Peer as JSON
  introduced_by TEXT NOT NULL,     -- public key of the peer that introduced it, or empty
  added_at TEXT NOT NULL
) STRICT;
CREATE TABLE tokens (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,       -- SHA-256 of the token: tokens are random, so no salt is needed
  created_at TEXT NOT NULL
) STRICT;
CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL              -- JSON
) STRICT;
CREATE TABLE instance (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  name TEXT NOT NULL               -- of this journal; ownership records carry it
) STRICT;
CREATE TABLE jobs (
  number INTEGER PRIMARY KEY,      -- order of beginning
  side TEXT NOT NULL,              -- source, destination
  id TEXT NOT NULL,
  is_open INTEGER NOT NULL,        -- 1: a restart must take it up
  job TEXT NOT NULL,               -- move/job.h as JSON
  UNIQUE (side, id)
) STRICT;
CREATE INDEX open_jobs ON jobs (side) WHERE is_open;
CREATE TABLE quarantine (
  move_id TEXT NOT NULL,
  kept_path TEXT NOT NULL,
  document TEXT NOT NULL,          -- the QuarantinedDisk as JSON
  PRIMARY KEY (move_id, kept_path)
) STRICT;
)sql",
    // 2: move groups (journal/move_journal.h).
    R"sql(
CREATE TABLE group_members (
  number INTEGER PRIMARY KEY,      -- order of coming
  vm_uuid TEXT NOT NULL UNIQUE,
  group_name TEXT NOT NULL
) STRICT;
)sql",
    // 3: where interfaces go at other hosts (journal/interface_places.h), changes that can be
    // undone
    // (journal/fix_book.h).
    R"sql(
CREATE TABLE interface_places (
  host_key TEXT NOT NULL,          -- public key of the paired host
  place_from TEXT NOT NULL,
  place_to TEXT NOT NULL,
  PRIMARY KEY (host_key, place_from)
) STRICT;
CREATE TABLE fixes (
  number INTEGER PRIMARY KEY,      -- order of application
  id TEXT NOT NULL UNIQUE,
  document TEXT NOT NULL           -- the AppliedFix as JSON
) STRICT;
)sql",
};

}  // namespace drover::journal
