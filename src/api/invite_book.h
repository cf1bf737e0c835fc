// SPDX-License-Identifier: Apache-2.0
// Open invites, in memory only: nothing to steal from a disk, a restart withdraws all, and
// lifetimes run on the clock that nobody sets (CLOCK_BOOTTIME). Any thread.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "model/access.h"
#include "net/invite_code.h"

namespace drover::api {

class InviteBook {
 public:
  using Now = std::function<std::chrono::nanoseconds()>;
  static std::chrono::nanoseconds boot_time();
  explicit InviteBook(Now now = boot_time) : now_(std::move(now)) {}

  // The code. kInvalidArgument: lifetime below 10 s or above 24 h; kConflict: too many open.
  Result<std::string> add(const InviteRequest& request);
  // For TLS: the key of an open invite.
  std::optional<net::Digest> find_key(std::string_view identity);
  bool is_open(std::string_view identity);

  // One newcomer at a time: claim, then spend on success or release on failure. Nothing: not open,
  // or claimed.
  std::optional<InviteRequest> claim(std::string_view identity);
  void release(std::string_view identity);
  void spend(std::string_view identity);

 private:
  struct Open {
    net::Digest key;
    InviteRequest terms;
    std::chrono::nanoseconds ends;
    bool claimed = false;
  };
  void purge();

  const Now now_;
  std::mutex mutex_;                               // guards all below
  std::map<std::string, Open, std::less<>> open_;  // by PSK identity
};

}  // namespace drover::api
