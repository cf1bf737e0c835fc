// SPDX-License-Identifier: Apache-2.0
#include "archive/archive_work.h"

#include <algorithm>
#include <thread>

#include <fmt/ranges.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "move/queue/slots.h"

namespace drover::archive {
namespace {

using namespace std::chrono_literals;
using move::KnownFile;
using move::Slots;

constexpr auto kTurnInterval = 500ms;
constexpr auto kUndoInterval = 2s;
std::string_view noun(const Archive& archive) {
  return archive.request.kind == ArchiveKind::kExport ? "export" : "import";
}

Error restarted(const Archive& archive) {
  return {ErrorCode::kUnavailable,
          Retry::kNow,
          fmt::format("droverd was stopped during the {} of {}.", noun(archive), archive.vm_name),
          {}};
}

}  // namespace

Status ArchiveWork::save() {
  std::string text;
  journal::JobState state;
  {
    const std::lock_guard lock(mutex_);
    text = to_json(job_);
    state = job_.archive.state == ArchiveState::kRunning ? journal::JobState::kOpen
                                                         : journal::JobState::kEnded;
  }
  return world_.journal.save(journal::Side::kArchive, id(), state, text);
}

void ArchiveWork::change(const std::function<void(Archive&)>& edit) {
  const std::lock_guard lock(mutex_);
  edit(job_.archive);
}

void ArchiveWork::doing(std::string sentence) {
  change([&](Archive& archive) { archive.doing = std::move(sentence); });
}

void ArchiveWork::set_total(ByteCount total) {
  change([&](Archive& archive) { archive.bytes_total = total; });
}

Archive ArchiveWork::snapshot() const {
  const std::lock_guard lock(mutex_);
  Archive now = job_.archive;
  if (now.state == ArchiveState::kRunning)
    now.bytes_done = {std::min(bytes_done_.load(), now.bytes_total.bytes)};
  return now;
}

Status ArchiveWork::cancel() {
  const std::lock_guard lock(mutex_);
  if (job_.archive.state != ArchiveState::kRunning) {
    return fail(ErrorCode::kConflict, "The {} of {} has ended.", noun(job_.archive),
                job_.archive.vm_name);
  }
  if (closed_) {
    return fail(ErrorCode::kConflict, "The {} of {} is as good as done.", noun(job_.archive),
                job_.archive.vm_name);
  }
  job_.archive.cancel_asked = true;
  cancel_asked_ = true;
  return {};
}

Status ArchiveWork::give_up() {
  const std::lock_guard lock(mutex_);
  if (job_.archive.state != ArchiveState::kRunning || !undoing_) {
    return fail(ErrorCode::kConflict,
                "The {} of {} is not being undone. To end one that goes on: drover archives {} "
                "--cancel",
                noun(job_.archive), job_.archive.vm_name, id());
  }
  give_up_asked_ = true;
  return {};
}

Status ArchiveWork::close_to_cancels() {
  const std::lock_guard lock(mutex_);
  if (cancel_asked_) return fail(ErrorCode::kCancelled, "A user asked for an end.");
  closed_ = true;
  return {};
}

Status ArchiveWork::go_on() const {
  if (stop_.stop_requested()) return fail(ErrorCode::kUnavailable, "droverd stops.");
  if (cancel_asked_) return fail(ErrorCode::kCancelled, "A user asked for an end.");
  return {};
}

CopyWatch ArchiveWork::watch(BytesPerSecond bandwidth, std::vector<std::string> folders) {
  return {&bytes_done_, [this, folders = std::move(folders)] { return check_room(folders); },
          bandwidth};
}

Status ArchiveWork::check_room(std::span<const std::string> folders) const {
  RETURN_IF_ERROR(go_on());
  for (const std::string& folder : folders) {
    struct statvfs found{};
    if (::statvfs(folder.c_str(), &found) != 0) return fail_errno("Cannot look at " + folder);
    const ByteCount free{static_cast<std::uint64_t>(found.f_bfree) * found.f_frsize};
    if (free >= space_reserve_) continue;
    return fail(ErrorCode::kNoSpace,
                "{} on {} has only {} left, less than its space-reserve. Make room there: drover "
                "quarantine list shows what earlier moves keep.",
                folder, world_.host_name, to_text(free));
  }
  return {};
}

bool ArchiveWork::pause_for(std::chrono::milliseconds span) const {
  const auto end = std::chrono::steady_clock::now() + span;
  while (std::chrono::steady_clock::now() < end) {
    if (stop_.stop_requested()) return false;
    std::this_thread::sleep_for(50ms);
  }
  return true;
}

// Disks of this host are read and written as by a storage move, so it is one of as many.
Status ArchiveWork::wait_for_turn() {
  while (true) {
    RETURN_IF_ERROR(go_on());
    const HostSettings settings = world_.book.settings();
    const auto limit = move::limit_of(Slots::Way::kStorage, settings);
    if (world_.slots.take(Slots::Way::kStorage, id(), limit)) return {};
    doing(move::full_text(world_.host_name, world_.slots.used(Slots::Way::kStorage), settings,
                          Slots::Way::kStorage));
    has_waited_ = true;
    pause_for(kTurnInterval);
  }
}

void ArchiveWork::run(std::stop_token stop) {
  stop_ = std::move(stop);
  Status done = wait_for_turn();
  space_reserve_ = world_.book.settings().space_reserve;
  if (done) done = work();
  world_.slots.give_back(Slots::Way::kStorage, id());
  if (!done) {
    // The last step may have been done although it was not said, such as a rename before a failed
    // sync.
    const std::optional<bool> reached = has_reached_end();
    if (!reached) return;
    if (*reached) done = {};
  }
  if (done) return end_well();
  if (stop_.stop_requested()) return;  // the next droverd undoes it
  log::info("The {} of {} ({}) is undone: {}", noun(archive()), archive().vm_name, id(),
            done.error().text());
  if (undo_all() == Undone::kNotYet) return;
  if (done.error().code == ErrorCode::kCancelled) {
    finish(ArchiveState::kCancelled, "It was cancelled. " + what_is_left(), std::nullopt);
  } else {
    finish(ArchiveState::kFailed, what_is_left(), std::move(done).error());
  }
}

void ArchiveWork::recover(std::stop_token stop) {
  stop_ = std::move(stop);
  doing("It was interrupted, and is being ended.");
  const std::optional<bool> reached = has_reached_end();
  if (!reached) return;
  if (*reached) return end_well();
  if (undo_all() == Undone::kNotYet) return;
  finish(ArchiveState::kFailed,
         fmt::format("It was interrupted. {} Begin it anew.", what_is_left()),
         restarted(archive()));
}

void ArchiveWork::end_well() {
  while (true) {
    const Status completed = complete();
    if (completed) return finish(ArchiveState::kDone, done_text(), std::nullopt);
    const Error& error = completed.error();
    log::warning("The {} {}: {}", noun(archive()), id(), error.text());
    if (error.code != ErrorCode::kUnavailable && error.code != ErrorCode::kTimeout) {
      return finish(ArchiveState::kDone, fmt::format("{} But: {}", done_text(), error.text()),
                    std::nullopt);
    }
    doing(
        fmt::format("{} It is tried again and again. To leave it so: drover archives {} --give-up",
                    error.text(), id()));
    if (!pause_for_giving_up()) return;
    if (give_up_asked_) {
      log::warning("The {} {}: a user gave its last step up.", noun(archive()), id());
      return finish(ArchiveState::kDone, fmt::format("{} But: {}", done_text(), error.text()),
                    std::nullopt);
    }
  }
}

// False: droverd stops.
bool ArchiveWork::pause_for_giving_up() {
  {
    const std::lock_guard lock(mutex_);
    undoing_ = true;
  }
  return pause_for(kUndoInterval);
}

// Nothing: droverd stops, and the next one asks again; or a user gave it up, and it has ended.
std::optional<bool> ArchiveWork::has_reached_end() {
  while (true) {
    Result<bool> reached = is_done();
    if (reached) return *reached;
    log::warning("The {} {}: {}", noun(archive()), id(), reached.error().text());
    doing(
        fmt::format("It has to be seen whether it had reached its end: {} To leave what is there: "
                    "drover archives {} --give-up",
                    reached.error().text(), id()));
    if (!pause_for_giving_up()) return std::nullopt;
    if (!give_up_asked_) continue;
    log::warning("The {} {}: a user gave it up.", noun(archive()), id());
    name_leftovers();
    finish(ArchiveState::kFailed, what_is_left(), std::move(reached).error());
    return std::nullopt;
  }
}

// kNotYet: droverd stops; the next one goes on.
ArchiveWork::Undone ArchiveWork::undo_all() {
  doing("It is being undone.");
  while (true) {
    const Status undone = undo();
    if (undone) return Undone::kAll;
    log::warning("The {} {} is not undone yet: {}", noun(archive()), id(), undone.error().text());
    doing(
        fmt::format("It cannot be undone, which is tried again and again: {} To leave what is "
                    "there: drover archives {} --give-up",
                    undone.error().text(), id()));
    if (!pause_for_giving_up()) return Undone::kNotYet;
    if (!give_up_asked_) continue;
    log::warning("The {} {}: a user gave its undo up.", noun(archive()), id());
    name_leftovers();
    return Undone::kGivenUp;
  }
}

void ArchiveWork::name_leftovers() {
  if (job_.stopped)
    left_.push_back(
        fmt::format("a guest that may stand still (virsh resume {})", archive().vm_name));
  for (const KnownFile& file : job_.created) left_.push_back(file.path);
  if (!job_.staging.path.empty()) left_.push_back(job_.staging.path);
  if (job_.picture) {
    left_.push_back(fmt::format("a picture that QEMU may still serve (virsh domjobabort {})",
                                archive().vm_name));
  }
}

std::string ArchiveWork::what_is_left() const {
  if (left_.empty()) return "Nothing is left of it.";
  return fmt::format("Left behind: {}.", fmt::join(left_, ", "));
}

void ArchiveWork::leave(const std::string& path, const std::string& why) {
  log::warning("The {} {}: {}", noun(archive()), id(), why);
  left_.push_back(path);
}

// It has ended when that is written down: else a droverd that comes later would take it for one
// that was interrupted.
void ArchiveWork::finish(ArchiveState state, std::string explanation, std::optional<Error> error) {
  if (error) log::warning("The {} {} failed: {}", noun(archive()), id(), error->text());
  ArchiveJob ended;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ended = job_;
  }
  Archive& archive = ended.archive;
  archive.bytes_done = {std::min(bytes_done_.load(), archive.bytes_total.bytes)};
  if (state == ArchiveState::kDone) archive.bytes_done = archive.bytes_total;
  archive.state = state;
  archive.doing.clear();
  archive.explanation = std::move(explanation);
  archive.error = std::move(error);
  archive.ended_at = std::chrono::system_clock::now();
  while (true) {
    const Status saved = world_.journal.save(journal::Side::kArchive, id(),
                                             journal::JobState::kEnded, to_json(ended));
    if (saved) break;
    log::error("The {} {}: {}", noun(archive), id(), saved.error().text());
    doing(fmt::format("It has ended, which cannot be written down: {}", saved.error().text()));
    if (!pause_for(kUndoInterval)) return;
  }
  const std::lock_guard lock(mutex_);
  job_.archive = std::move(archive);
}

}  // namespace drover::archive
