// SPDX-License-Identifier: Apache-2.0
#include "move/health/health_watch.h"

#include <vector>

#include "base/log.h"
#include "json/model_json.h"
#include "move/health/health.h"
#include "move/job.h"
#include "move/peer_messages.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr auto kInterval = 5s;
constexpr auto kAskLimit = 8s;  // the guest's agent takes 2 s to be silent, twice
constexpr int kMovesLooked = 200;

bool is_watched(const Move& move) {
  return move.state == MoveState::kDone && move.health &&
         move.health->state == Health::State::kWatching;
}

bool same(const std::vector<Finding>& left, const std::vector<Finding>& right) {
  return json::to_json(left) == json::to_json(right);
}

}  // namespace

HealthWatch::HealthWatch(World& world, std::function<void(const Move&)> changed)
    : world_(world), changed_(std::move(changed)) {}

HealthWatch::~HealthWatch() { stop(); }

void HealthWatch::recover() {
  const auto jobs = world_.journal.newest_jobs(journal::Side::kSource, kMovesLooked);
  if (!jobs) log::warning("No VM's health is watched on: {}", jobs.error().text());
  for (const auto& text : jobs.value_or(std::vector<std::string>{})) {
    auto job = source_job_from_json(text);
    if (job && is_watched(job->move)) begin(job->move);
  }
  thread_ = std::jthread([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      look(std::chrono::system_clock::now(), stop);
      std::unique_lock lock(mutex_);
      // With nobody to watch, nothing runs.
      changed_or_stopping_.wait(lock, stop, [this] { return !watched_.empty(); });
      changed_or_stopping_.wait_for(lock, stop, kInterval, [] { return false; });
    }
  });
}

void HealthWatch::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void HealthWatch::begin(const Move& move) {
  if (!is_watched(move)) return;
  const std::lock_guard lock(mutex_);
  watched_.insert_or_assign(move.id, move);
  changed_or_stopping_.notify_all();
}

void HealthWatch::look(std::chrono::system_clock::time_point now, const std::stop_token& stop) {
  std::vector<Move> moves;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, move] : watched_) moves.push_back(move);
  }
  std::set<std::string, std::less<>> silent;  // one wait for each host that is gone
  for (Move& move : moves) {
    if (stop.stop_requested()) return;
    if (silent.contains(move.destination) && now < move.health->until) continue;
    if (!look_at(move, now)) silent.insert(move.destination);
    const std::lock_guard lock(mutex_);
    if (is_watched(move))
      watched_.insert_or_assign(move.id, move);
    else
      watched_.erase(move.id);
  }
}

bool HealthWatch::look_at(Move& move, std::chrono::system_clock::time_point now) {
  SignsRequest request{move.epoch};
  Health& health = *move.health;
  const bool set_clock = health.first && health.text.empty();
  if (set_clock) request.clock_ahead_ms = clock_to_set(health.before, *health.first);
  const auto text = world_.peers.call(move.destination, verb::kSigns, to_json(request),
                                      Deadline::after(kAskLimit));
  auto signs = text ? json::guest_signs_from_json(*text, json::Unknown::kIgnore)
                    : Result<GuestSigns>(std::unexpected(text.error()));
  if (signs) {
    if (request.clock_ahead_ms)
      health.text = "Its clock had fallen behind on the way, and was set by its agent.";
    take_signs(move, std::move(*signs), now);
    return true;
  }
  const Error& error = signs.error();
  if (request.clock_ahead_ms && error.code != ErrorCode::kUnavailable) {
    health.text = "Its clock has fallen behind on the way, and was not set: " + error.text();
    return true;
  }
  const bool silent = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout;
  if (silent && now < health.until) return false;
  if (!health.findings.empty()) {
    end(move, Health::State::kIll, "It could not be asked to the end: " + error.text());
  } else {
    end(move, Health::State::kUnknown,
        fmt::format("{} does not say how it does: {}", move.destination, error.text()));
  }
  return !silent;
}

void HealthWatch::take_signs(Move& move, GuestSigns signs,
                             std::chrono::system_clock::time_point now) {
  Health& health = *move.health;
  if (!health.first) {
    health.first = std::move(signs);
    health.since = now;  // what it does is held against this look
    save(move);
    return;
  }
  const auto watched = std::chrono::duration_cast<std::chrono::milliseconds>(now - health.since);
  auto findings = judge_health(move, *health.first, signs, watched);
  const bool news = !same(findings, health.findings);
  health.findings = std::move(findings);
  for (const auto& finding : health.findings) {
    if (news) log::warning("Move {}: {}: {}", move.id, finding.code, finding.what);
  }
  if (now >= health.until) {
    end(move, health.findings.empty() ? Health::State::kWell : Health::State::kIll, health.text);
  } else if (news) {
    save(move);
  }
}

void HealthWatch::end(Move& move, Health::State state, std::string text) {
  move.health->state = state;
  move.health->text = std::move(text);
  log::info("Move {}: {} is {} after its arrival on {}.", move.id, move.plan.vm.name,
            health_state_name(state), move.destination);
  if (state == Health::State::kIll) keep_quarantine(move);
  save(move);
}

// The way back stays open until a person closes it.
void HealthWatch::keep_quarantine(const Move& move) {
  auto disks = world_.journal.quarantine();
  if (!disks) {
    log::warning("Move {}: its old disks may go in a day: {}", move.id, disks.error().text());
    return;
  }
  for (auto& disk : *disks) {
    if (disk.move_id != move.id || !disk.until) continue;
    disk.until.reset();
    if (auto kept = world_.journal.add_quarantined(disk); !kept)
      log::warning("Move {}: {} may go in a day: {}", move.id, disk.kept_path, kept.error().text());
  }
}

// The move has ended, so nobody else writes its job.
void HealthWatch::save(const Move& move) {
  const auto text = world_.journal.job(journal::Side::kSource, move.id);
  auto job = text ? source_job_from_json(*text) : Result<SourceJob>(std::unexpected(text.error()));
  Status saved;
  if (job) {
    job->move.health = move.health;
    saved = world_.journal.save(journal::Side::kSource, move.id, journal::JobState::kEnded,
                                to_json(*job));
  } else {
    saved = std::unexpected(job.error());
  }
  if (!saved) log::warning("Move {}: {}", move.id, saved.error().text());
  changed_(move);
}

}  // namespace drover::move
