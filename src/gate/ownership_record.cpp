// SPDX-License-Identifier: Apache-2.0
#include "gate/ownership_record.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <thread>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/deadline.h"
#include "base/file.h"
#include "base/random.h"

namespace drover::gate {
namespace {

using namespace std::chrono_literals;

constexpr auto kLockPatience = 5s;  // a change under the lock takes milliseconds
constexpr std::string_view kTemporaryPrefix = ".new-";
constexpr std::string_view kSource = "source";
constexpr std::string_view kReserved = "reserved";
constexpr std::string_view kDecision = "decision";
constexpr std::string_view kOutcome = "outcome";

// tests/model/handover.pml has these names as well; tests/lint/model_names.py compares them.
constexpr std::array kSourceStates{
    std::pair{SourceState::kHeld, std::string_view("held")},
    std::pair{SourceState::kSwitching, std::string_view("switching")},
    std::pair{SourceState::kKept, std::string_view("kept")},
    std::pair{SourceState::kReleased, std::string_view("released")},
};

std::string file_name(const RecordKey& key, std::string_view kind) {
  return fmt::format("{}.{}.{}", key.vm_uuid, key.epoch, kind);
}

Status check_key(const RecordKey& key) {
  if (is_record_word(key.vm_uuid) && is_record_word(key.epoch)) return {};
  return fail(ErrorCode::kInvalidArgument, "'{}' and '{}' cannot name an ownership record.",
              key.vm_uuid, key.epoch);
}

std::string time_text() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

Result<SourceState> source_state_of(const RecordText& record) {
  for (const auto& [state, name] : kSourceStates) {
    if (record.state == name) return state;
  }
  return fail(ErrorCode::kCorrupt, "An ownership record has the unknown state '{}'.", record.state);
}

Result<Decision> decision_of(const RecordText& record) {
  if (record.state == "accepted") return Decision::kAccepted;
  if (record.state == "refused") return Decision::kRefused;
  return fail(ErrorCode::kCorrupt, "An ownership record has the unknown state '{}'.", record.state);
}

Status sync_names(int folder) {
  if (::fsync(folder) != 0) return fail_errno("Cannot sync the folder of ownership records");
  return {};
}

Result<std::string> read_at(int folder, const std::string& name) {
  const UniqueFd fd(::openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail_errno(fmt::format("Cannot open the ownership record {}", name));
  std::string text(kRecordBytesMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = ::read(fd.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(fmt::format("Cannot read the ownership record {}", name));
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  text.resize(size);
  return text;
}

Status write_temporary(int folder, const std::string& name, std::string_view text) {
  const UniqueFd fd(::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("Cannot create an ownership record");
  while (!text.empty()) {
    const ssize_t n = ::write(fd.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("Cannot write an ownership record");
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fdatasync(fd.get()) != 0) return fail_errno("Cannot sync an ownership record");
  return {};
}

Result<std::vector<std::string>> names_in(int folder) {
  const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* entries = copy < 0 ? nullptr : ::fdopendir(copy);
  if (entries == nullptr) return fail_errno("Cannot list the ownership records");
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(entries)) names.emplace_back(entry->d_name);
  ::closedir(entries);
  return names;
}

}  // namespace

std::string_view source_state_name(SourceState state) {
  for (const auto& [candidate, name] : kSourceStates) {
    if (candidate == state) return name;
  }
  return "held";
}

bool may_follow(SourceState from, SourceState to) {
  if (from == to) return true;
  if (from == SourceState::kHeld) return to == SourceState::kSwitching || to == SourceState::kKept;
  return from == SourceState::kSwitching && to != SourceState::kHeld;
}

std::string_view decision_name(Decision decision) {
  return decision == Decision::kAccepted ? "accepted" : "refused";
}

Result<RecordFolder> RecordFolder::open(const std::filesystem::path& path, std::string instance) {
  RETURN_IF_ERROR(make_folder(path, 0700));
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(fmt::format("Cannot open {}", path.string()));
  return open(std::move(fd), std::move(instance));
}

Result<RecordFolder> RecordFolder::open(UniqueFd folder, std::string instance) {
  if (!is_record_word(instance)) {
    return fail(ErrorCode::kInvalidArgument, "'{}' cannot name an instance of the journal.",
                instance);
  }
  RecordFolder records(std::move(folder), std::move(instance));
  // Writers hold the lock while their temporary file exists: what is there now was left by a crash.
  ASSIGN_OR_RETURN(const UniqueFd lock, records.lock());
  ASSIGN_OR_RETURN(const auto names, names_in(records.folder_.get()));
  for (const std::string& name : names) {
    if (name.starts_with(kTemporaryPrefix)) ::unlinkat(records.folder_.get(), name.c_str(), 0);
  }
  return records;
}

// A description of its own for each change, so that threads exclude each other as processes do.
Result<UniqueFd> RecordFolder::lock() const {
  UniqueFd fd(::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno("Cannot open the folder of ownership records");
  const Deadline deadline = Deadline::after(kLockPatience);
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) {
      return fail_errno("Cannot lock the folder of ownership records");
    }
    if (deadline.expired()) {
      return fail(ErrorCode::kTimeout, "The folder of ownership records stayed locked.");
    }
    std::this_thread::sleep_for(2ms);
  }
  return fd;
}

Result<RecordText> RecordFolder::read(const RecordKey& key, std::string_view kind) const {
  RETURN_IF_ERROR(check_key(key));
  const std::string name = file_name(key, kind);
  ASSIGN_OR_RETURN(const std::string text, read_at(folder_.get(), name));
  auto record = parse_record(text);
  if (!record) return std::unexpected(wrap(record.error(), fmt::format("{} is unusable.", name)));
  if (record->kind != kind || record->vm_uuid != key.vm_uuid || record->epoch != key.epoch) {
    return fail(ErrorCode::kCorrupt, "The ownership record {} holds another's content.", name);
  }
  if (record->instance != instance_) {
    return fail(ErrorCode::kInDoubt, "The ownership record {} belongs to another journal ({}).",
                name, record->instance);
  }
  return record;
}

RecordText RecordFolder::text_of(const RecordKey& key, std::string_view kind,
                                 std::string_view move_id, std::string_view state) const {
  return {std::string(kind), instance_,          key.vm_uuid, std::string(move_id),
          key.epoch,         std::string(state), time_text(), ""};
}

Result<bool> RecordFolder::write(const RecordText& record, Existing existing) const {
  const int folder = folder_.get();
  const std::string name = file_name({record.vm_uuid, record.epoch}, record.kind);
  const std::string temporary = std::string(kTemporaryPrefix) + random_name(12);
  Status done = write_temporary(folder, temporary, format_record(record));
  bool taken = false;
  if (done && existing == Existing::kReplace &&
      ::renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) {
    done = fail_errno(fmt::format("Cannot put the ownership record {} in place", name));
  }
  if (done && existing == Existing::kKeep &&
      ::linkat(folder, temporary.c_str(), folder, name.c_str(), 0) != 0) {
    taken = errno == EEXIST;
    if (!taken) done = fail_errno(fmt::format("Cannot put the ownership record {} in place", name));
  }
  if (!done || existing == Existing::kKeep) ::unlinkat(folder, temporary.c_str(), 0);
  RETURN_IF_ERROR(done);
  // Also when it was there already: its writer may have died before this.
  RETURN_IF_ERROR(sync_names(folder));
  return !taken;
}

Status RecordFolder::create(const RecordKey& key, std::string_view kind, std::string_view move_id,
                            std::string_view state) const {
  RETURN_IF_ERROR(check_key(key));
  ASSIGN_OR_RETURN(const UniqueFd lock, this->lock());
  ASSIGN_OR_RETURN(const bool created, write(text_of(key, kind, move_id, state), Existing::kKeep));
  if (created) return {};
  ASSIGN_OR_RETURN(const RecordText found, read(key, kind));
  if (found.move_id == move_id && found.state == state) return {};
  return fail(ErrorCode::kConflict, "VM {} already has a {} record of epoch {}.", key.vm_uuid, kind,
              key.epoch);
}

Status RecordFolder::create_source(const RecordKey& key, std::string_view move_id) const {
  return create(key, kSource, move_id, source_state_name(SourceState::kHeld));
}

Result<SourceRecord> RecordFolder::source(const RecordKey& key) const {
  ASSIGN_OR_RETURN(const RecordText record, read(key, kSource));
  ASSIGN_OR_RETURN(const SourceState state, source_state_of(record));
  return SourceRecord{key, record.move_id, state, record.time};
}

Status RecordFolder::set_source(const RecordKey& key, SourceState state) const {
  ASSIGN_OR_RETURN(const UniqueFd lock, this->lock());
  ASSIGN_OR_RETURN(const SourceRecord found, source(key));
  if (!may_follow(found.state, state)) {
    return fail(ErrorCode::kConflict,
                "The source's record of VM {} is '{}' and cannot become '{}'.", key.vm_uuid,
                source_state_name(found.state), source_state_name(state));
  }
  if (found.state == state) return sync_names(folder_.get());
  RETURN_IF_ERROR(
      write(text_of(key, kSource, found.move_id, source_state_name(state)), Existing::kReplace));
  return {};
}

Status RecordFolder::create_destination(const RecordKey& key, std::string_view move_id) const {
  return create(key, kReserved, move_id, kReserved);
}

Result<DestinationRecord> RecordFolder::destination(const RecordKey& key) const {
  ASSIGN_OR_RETURN(const RecordText reserved, read(key, kReserved));
  DestinationRecord record{key, reserved.move_id, std::nullopt, reserved.time};
  auto decided = read(key, kDecision);
  if (!decided && decided.error().code == ErrorCode::kNotFound) return record;
  RETURN_IF_ERROR(decided);
  ASSIGN_OR_RETURN(record.decision, decision_of(*decided));
  record.time = decided->time;
  return record;
}

Result<Decision> RecordFolder::decide(const RecordKey& key, Decision wanted) const {
  ASSIGN_OR_RETURN(const UniqueFd lock, this->lock());
  ASSIGN_OR_RETURN(const DestinationRecord found, destination(key));
  if (!found.decision) {
    // link(2) lets one of two writers win even where the lock does not hold.
    RETURN_IF_ERROR(
        write(text_of(key, kDecision, found.move_id, decision_name(wanted)), Existing::kKeep));
  } else {
    RETURN_IF_ERROR(sync_names(folder_.get()));
  }
  ASSIGN_OR_RETURN(const RecordText recorded, read(key, kDecision));
  return decision_of(recorded);
}

Result<std::optional<Decision>> RecordFolder::decision(const RecordKey& key) const {
  ASSIGN_OR_RETURN(const DestinationRecord found, destination(key));
  return found.decision;
}

Status RecordFolder::set_outcome(const RecordKey& key, const Outcome& outcome) const {
  ASSIGN_OR_RETURN(const UniqueFd lock, this->lock());
  ASSIGN_OR_RETURN(const DestinationRecord found, destination(key));
  DROVER_CHECK(found.decision == Decision::kAccepted);
  RecordText record =
      text_of(key, kOutcome, found.move_id, outcome.ok ? "replied_ok" : "replied_error");
  record.note = outcome.ok ? std::to_string(outcome.domain_id) : outcome.error;
  RETURN_IF_ERROR(write(record, Existing::kReplace));
  return {};
}

Result<std::optional<Outcome>> RecordFolder::outcome(const RecordKey& key) const {
  auto record = read(key, kOutcome);
  if (!record && record.error().code == ErrorCode::kNotFound) return std::nullopt;
  RETURN_IF_ERROR(record);
  if (record->state != "replied_ok") return Outcome{false, -1, record->note};
  Outcome found{true, -1, ""};
  const char* end = record->note.data() + record->note.size();
  if (std::from_chars(record->note.data(), end, found.domain_id).ptr != end) {
    return fail(ErrorCode::kCorrupt, "An outcome record has no domain id.");
  }
  return found;
}

Status RecordFolder::remove(const RecordKey& key) const {
  RETURN_IF_ERROR(check_key(key));
  ASSIGN_OR_RETURN(const UniqueFd lock, this->lock());
  // The reservation goes first and durably: without it nobody can decide anew.
  for (const std::string_view kind : {kReserved, kDecision, kOutcome, kSource}) {
    const std::string name = file_name(key, kind);
    if (::unlinkat(folder_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return fail_errno(fmt::format("Cannot remove the ownership record {}", name));
    }
    RETURN_IF_ERROR(sync_names(folder_.get()));
  }
  return {};
}

Result<RecordFolder::Listing> RecordFolder::list() const {
  ASSIGN_OR_RETURN(const auto names, names_in(folder_.get()));
  Listing listing;
  for (const std::string& name : names) {
    const std::size_t first = name.find('.');
    const std::size_t second = first == std::string::npos ? first : name.find('.', first + 1);
    if (name.starts_with('.') || second == std::string::npos) continue;
    const RecordKey key{name.substr(0, first), name.substr(first + 1, second - first - 1)};
    const std::string_view kind = std::string_view(name).substr(second + 1);
    if (kind == kSource) {
      auto record = source(key);
      record ? listing.sources.push_back(*record) : static_cast<void>(++listing.unreadable);
    } else if (kind == kReserved) {
      auto record = destination(key);
      record ? listing.destinations.push_back(*record) : static_cast<void>(++listing.unreadable);
    }
  }
  return listing;
}

}  // namespace drover::gate
