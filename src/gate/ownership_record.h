// SPDX-License-Identifier: Apache-2.0
// Who may run a VM, as both hosts have written it down: docs/ownership.md. A folder of small files,
// shared by droverd and the gates of its host; every change is durable when the call returns, and
// changes of two processes exclude each other. Any thread.
//
// Errors mean "unknown", never "refused": kNotFound no such record, kInDoubt a record of another
// instance of the journal, kCorrupt a damaged one, kTimeout the folder stayed locked, kSystem.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "gate/record_text.h"

namespace drover::gate {

inline constexpr std::string_view kDefaultRecordFolder = "/var/lib/drover/records";

enum class SourceState { kHeld, kSwitching, kKept, kReleased };
std::string_view source_state_name(SourceState state);
// held > switching > kept | released, and held > kept. Setting what is set already is allowed.
bool may_follow(SourceState from, SourceState to);

enum class Decision { kAccepted, kRefused };
std::string_view decision_name(Decision decision);

// One VM's journey: the epoch separates a second attempt from the first.
struct RecordKey {
  std::string vm_uuid;  // lower case, with dashes
  std::string epoch;
  bool operator==(const RecordKey&) const = default;
};

struct SourceRecord {
  RecordKey key;
  std::string move_id;
  SourceState state = SourceState::kHeld;
  std::string time;
};

struct DestinationRecord {
  RecordKey key;
  std::string move_id;
  std::optional<Decision> decision;  // nothing: reserved, not decided
  std::string time;
};

// What the destination's libvirtd answered to an accepted FINISH.
struct Outcome {
  bool ok = false;
  std::int32_t domain_id = -1;  // when ok
  std::string error;            // when not
  bool operator==(const Outcome&) const = default;
};

class RecordFolder {
 public:
  // `instance` names this host's journal; records of another one are not believed.
  static Result<RecordFolder> open(const std::filesystem::path& path, std::string instance);
  static Result<RecordFolder> open(UniqueFd folder, std::string instance);

  // Running it again for the same move while nothing has happened is allowed; else kConflict.
  Status create_source(const RecordKey& key, std::string_view move_id) const;
  Result<SourceRecord> source(const RecordKey& key) const;
  // kConflict when `state` may not follow what is recorded.
  Status set_source(const RecordKey& key, SourceState state) const;

  Status create_destination(const RecordKey& key, std::string_view move_id) const;
  Result<DestinationRecord> destination(const RecordKey& key) const;
  // Compare-and-set: the first call ever made for this record decides; all later ones learn what it
  // was. After an error the decision is unknown and the caller must not act on either.
  Result<Decision> decide(const RecordKey& key, Decision wanted) const;
  Result<std::optional<Decision>> decision(const RecordKey& key) const;

  // REQUIRES: the decision is kAccepted. The last one written counts.
  Status set_outcome(const RecordKey& key, const Outcome& outcome) const;
  Result<std::optional<Outcome>> outcome(const RecordKey& key) const;

  // Both sides' files of the key; safe to run twice. For droverd, after the move is settled on both
  // hosts: a key must never be used again.
  Status remove(const RecordKey& key) const;
  // Readable records of this instance; damaged and foreign ones are counted.
  struct Listing {
    std::vector<SourceRecord> sources;
    std::vector<DestinationRecord> destinations;
    std::size_t unreadable = 0;
  };
  Result<Listing> list() const;

 private:
  RecordFolder(UniqueFd folder, std::string instance)
      : folder_(std::move(folder)), instance_(std::move(instance)) {}

  Result<UniqueFd> lock() const;
  Result<RecordText> read(const RecordKey& key, std::string_view kind) const;
  RecordText text_of(const RecordKey& key, std::string_view kind, std::string_view move_id,
                     std::string_view state) const;
  enum class Existing { kReplace, kKeep };
  // False: kKeep, and the name is taken.
  Result<bool> write(const RecordText& record, Existing existing) const;
  Status create(const RecordKey& key, std::string_view kind, std::string_view move_id,
                std::string_view state) const;

  UniqueFd folder_;
  std::string instance_;
};

}  // namespace drover::gate
