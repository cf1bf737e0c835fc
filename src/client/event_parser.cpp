// SPDX-License-Identifier: Apache-2.0
#include "client/event_parser.h"

namespace drover::client {

bool EventParser::take(std::string_view bytes) {
  while (true) {
    const std::size_t end = bytes.find('\n');
    partial_ += bytes.substr(0, end);
    if (partial_.size() + event_.body.size() > kEventBytesMax) {
      too_large_ = true;
      return false;
    }
    if (end == std::string_view::npos) return true;
    bytes.remove_prefix(end + 1);
    if (partial_.ends_with('\r')) partial_.pop_back();
    const bool more = line(partial_);
    partial_.clear();
    if (!more) return false;
  }
}

bool EventParser::line(std::string_view text) {
  if (text.empty()) {
    const StreamEvent event = std::exchange(event_, {});
    return !std::exchange(has_data_, false) || on_event_(event);
  }
  const std::size_t colon = text.find(':');
  const std::string_view field = text.substr(0, colon);
  std::string_view value =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") event_.name = value;
  if (field == "data") {
    if (has_data_) event_.body += '\n';
    event_.body += value;
    has_data_ = true;
  }
  return true;  // comments and other fields say nothing here
}

}  // namespace drover::client
