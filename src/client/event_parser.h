// SPDX-License-Identifier: Apache-2.0
// Server-sent events out of a stream of bytes, however they are cut. One thread.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "client/api_client.h"

namespace drover::client {

class EventParser {
 public:
  static constexpr std::size_t kEventBytesMax = 8 * 1024 * 1024;
  explicit EventParser(std::function<bool(const StreamEvent&)> on_event)
      : on_event_(std::move(on_event)) {}
  // False: `on_event` returned false, or an event is too large (too_large() says so).
  bool take(std::string_view bytes);
  bool too_large() const { return too_large_; }

 private:
  bool line(std::string_view text);

  std::function<bool(const StreamEvent&)> on_event_;
  std::string partial_;
  StreamEvent event_;
  bool has_data_ = false;
  bool too_large_ = false;
};

}  // namespace drover::client
