// SPDX-License-Identifier: Apache-2.0
// Candidates; the best host stands in best.cpp.
#include "place/placer.h"

#include <algorithm>

#include "base/log.h"

namespace drover::place {
namespace {

using namespace std::chrono_literals;

// A failure that is older when droverd starts is left to its user.
constexpr auto kContinueWithin = 10min;

bool is_blocked(const Plan& plan) {
  return std::ranges::any_of(plan.findings, [](const Finding& finding) {
    return finding.level == FindingLevel::kBlocker;
  });
}

std::string blockers_text(const Plan& plan) {
  std::string text;
  for (const Finding& finding : plan.findings) {
    if (finding.level != FindingLevel::kBlocker) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : " ", finding.code, finding.what);
  }
  return text;
}

// The request with its first candidate as the destination, and the former one passed over.
MoveRequest next_of(MoveRequest request, const std::string& why) {
  request.passed.push_back(fmt::format("{}: {}", request.destination, why));
  request.destination = request.candidates.front();
  request.candidates.erase(request.candidates.begin());
  return request;
}

bool has_next(const Move& move) {
  return move.state == MoveState::kFailed && move.runner == Runner::kSource && !move.cancel_asked &&
         !move.plan.request.candidates.empty();
}

}  // namespace

Result<Plan> Placer::plan(const MoveRequest& asked) {
  MoveRequest request = asked;
  std::optional<Plan> blocked;
  while (true) {
    auto plan = plans_.plan(request);
    if (plan && !is_blocked(*plan)) return plan;
    if (asked.candidates.empty()) return plan;
    if (plan && !blocked) blocked = *plan;
    // What is wrong with the request is wrong for every host.
    const bool hopeless = !plan && plan.error().code == ErrorCode::kConflict;
    if (!request.candidates.empty() && !hopeless) {
      request = next_of(std::move(request), plan ? blockers_text(*plan) : plan.error().text());
      continue;
    }
    if (blocked) return *blocked;
    Error error = std::move(plan).error();
    if (hopeless) return std::unexpected(std::move(error));
    error.causes.insert(error.causes.begin(), error.message);
    error.causes.insert(error.causes.begin(), request.passed.begin(), request.passed.end());
    error.message =
        fmt::format("None of the {} candidates takes {}.", asked.candidates.size() + 1, asked.vm);
    return std::unexpected(std::move(error));
  }
}

Result<Move> Placer::start(const MoveRequest& asked) {
  if (asked.candidates.empty()) return plans_.start(asked);
  ASSIGN_OR_RETURN(const Plan found, plan(asked));
  MoveRequest request = found.request;
  request.vm = found.vm.uuid;
  return plans_.start(request);
}

void Placer::recover() {
  const std::vector<Move> moves = plans_.moves();
  const auto since = std::chrono::system_clock::now() - kContinueWithin;
  for (const Move& move : moves) {
    if (!has_next(move) || !move.ended_at || *move.ended_at < since) continue;
    const bool later = std::ranges::any_of(moves, [&](const Move& other) {
      return other.id != move.id && other.plan.vm.uuid == move.plan.vm.uuid &&
             other.started_at >= move.started_at;
    });
    if (!later) take(move);
  }
  worker_ = std::jthread([this](std::stop_token stop) { work(std::move(stop)); });
}

void Placer::stop() {
  worker_.request_stop();
  if (worker_.joinable()) worker_.join();
}

void Placer::take(const Move& move) {
  if (!has_next(move)) return;
  const std::lock_guard lock(mutex_);
  failed_.push_back(move);
  changed_.notify_all();
}

void Placer::work(std::stop_token stop) {
  while (true) {
    Move failed;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [&] { return !failed_.empty(); });
      if (stop.stop_requested()) return;
      failed = std::move(failed_.front());
      failed_.erase(failed_.begin());
    }
    go_on(failed);
  }
}

// Its user accepted the list, so that one was passed over needs no second yes.
void Placer::go_on(const Move& failed) {
  MoveRequest request =
      next_of(failed.plan.request, failed.error ? failed.error->text() : failed.explanation);
  request.vm = failed.plan.vm.uuid;
  request.continues = failed.id;
  request.accept_notes = true;
  // A restart may have seen the same failure twice.
  const auto moves = plans_.moves();
  if (std::ranges::any_of(moves,
                          [&](const Move& one) { return one.plan.request.continues == failed.id; }))
    return;
  const auto move = start(request);
  if (move) {
    log::info("Move {} of {} failed; move {} goes on to {}.", failed.id, failed.plan.vm.name,
              move->id, move->destination);
  } else {
    log::warning("Move {} of {} failed, and no other candidate takes the VM: {}", failed.id,
                 failed.plan.vm.name, move.error().text());
  }
}

}  // namespace drover::place
