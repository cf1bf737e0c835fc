// SPDX-License-Identifier: Apache-2.0
#include "move/retry.h"

#include <algorithm>

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::seconds kFirstWait = 5s, kLongestWait = 300s;
constexpr int kGrowth = 4;

Copied copied_of(const Move& move) {
  const Progress& progress = move.progress;
  return progress.disks.done.bytes + progress.memory.done.bytes > 0 ? Copied::kSomething
                                                                    : Copied::kNothing;
}

}  // namespace

bool is_unanswered(const Error& error) {
  return error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kTimeout;
}

bool is_passing(const Error& error, Copied copied) {
  switch (error.code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kTimeout:
      return true;
    // Only what its maker says will pass: a process that died, a switch that was refused.
    case ErrorCode::kInternal:
    case ErrorCode::kRefused:
      return error.retry != Retry::kNever;
    // Before the first byte it is the definition or the host that does not please QEMU.
    case ErrorCode::kHypervisor:
      return copied == Copied::kSomething;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kConflict:
    case ErrorCode::kPermission:
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kBlocked:
    case ErrorCode::kCancelled:
    case ErrorCode::kInDoubt:
    case ErrorCode::kProtocol:
    case ErrorCode::kPolicy:
    case ErrorCode::kNoSpace:
    case ErrorCode::kSystem:
    case ErrorCode::kCorrupt:
      break;
  }
  return false;
}

std::chrono::seconds back_off(std::size_t failed) {
  std::chrono::seconds wait = kFirstWait;
  for (std::size_t i = 1; i < failed && wait < kLongestWait; ++i) wait *= kGrowth;
  return std::min(wait, kLongestWait);
}

unsigned retries_of(const Move& move, const HostSettings& settings) {
  if (!move.plan.request.candidates.empty()) return 0;
  return move.plan.request.retries.value_or(settings.retries);
}

std::optional<std::chrono::system_clock::time_point> next_attempt(
    const Move& move, const Error& error, const HostSettings& settings,
    std::chrono::system_clock::time_point now) {
  if (move.plan.request.rehearse) return {};  // that it failed is what was asked for
  if (move.attempts.size() >= retries_of(move, settings)) return {};
  if (!is_passing(error, copied_of(move))) return {};
  return now + back_off(move.attempts.size() + 1);
}

}  // namespace drover::move
