// SPDX-License-Identifier: Apache-2.0
#include "api/invite_book.h"

#include <ctime>

namespace drover::api {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kOpenMax = 16;

}  // namespace

std::chrono::nanoseconds InviteBook::boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

void InviteBook::purge() {
  const auto now = now_();
  std::erase_if(
      open_, [&](const auto& entry) { return entry.second.ends <= now && !entry.second.claimed; });
}

Result<std::string> InviteBook::add(const InviteRequest& request) {
  if (request.valid < 10s || request.valid > 24h) {
    return fail(ErrorCode::kInvalidArgument, "An invite is valid for 10 seconds to 24 hours.");
  }
  const std::string code = net::make_invite_code();
  ASSIGN_OR_RETURN(const net::InviteSecret secret, net::read_invite_code(code));
  const std::lock_guard lock(mutex_);
  purge();
  if (open_.size() >= kOpenMax) {
    return fail(ErrorCode::kConflict,
                "{} invites are open already. Use one, or wait until they expire.", kOpenMax);
  }
  open_[secret.identity] = {secret.key, request, now_() + request.valid};
  return code;
}

std::optional<net::Digest> InviteBook::find_key(std::string_view identity) {
  const std::lock_guard lock(mutex_);
  purge();
  const auto found = open_.find(identity);
  return found == open_.end() ? std::nullopt : std::optional(found->second.key);
}

bool InviteBook::is_open(std::string_view identity) { return find_key(identity).has_value(); }

std::optional<InviteRequest> InviteBook::claim(std::string_view identity) {
  const std::lock_guard lock(mutex_);
  purge();
  const auto found = open_.find(identity);
  if (found == open_.end() || found->second.claimed) return std::nullopt;
  found->second.claimed = true;
  return found->second.terms;
}

void InviteBook::release(std::string_view identity) {
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(identity);
  if (found != open_.end()) found->second.claimed = false;
}

void InviteBook::spend(std::string_view identity) {
  const std::lock_guard lock(mutex_);
  const auto found = open_.find(identity);
  if (found != open_.end()) open_.erase(found);
}

}  // namespace drover::api
