// SPDX-License-Identifier: Apache-2.0
#include "net/http/request_reader.h"

#include <algorithm>
#include <array>

#include "net/http/http_message.h"

namespace drover::net {
namespace {

constexpr std::size_t kRequestLineMax = 4096;
constexpr std::string_view kEnd = "\r\n\r\n";

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }

}  // namespace

bool RequestReader::fill(Deadline deadline) {
  std::array<char, 8192> chunk;
  const auto n = stream_.read(chunk, deadline);
  if (!n || *n == 0) return false;
  buffer_.append(chunk.data(), *n);
  return true;
}

RequestReader::Head RequestReader::next() {
  buffer_.erase(0, at_);
  at_ = 0;
  if (buffer_.empty() && !fill(Deadline::after(limits_.idle))) return Head::kClosed;
  const Deadline deadline = Deadline::after(limits_.head);
  while (true) {
    // A method is upper-case; anything else is not worth waiting for its end.
    if (!is_upper(buffer_.front())) return Head::kNonsense;
    const std::size_t end = buffer_.find(kEnd);
    if (end != std::string::npos && end <= kHeadBytesMax) {
      body_left_ = kBodyBytesMax + 1024;
      body_deadline_ = Deadline::after(limits_.body);
      return judge(std::string_view(buffer_).substr(0, end + 2));
    }
    if (buffer_.size() > kHeadBytesMax) return Head::kTooLarge;
    if (!fill(deadline)) return Head::kClosed;
  }
}

RequestReader::Head RequestReader::judge(std::string_view head) {
  const std::size_t line = head.find("\r\n");
  if (line > kRequestLineMax) return Head::kTooLarge;
  if (head.substr(0, line).find(" HTTP/1.") == std::string_view::npos) return Head::kNonsense;
  constexpr std::string_view kRange = "\nrange:";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  if (std::ranges::search(head, kRange, same).begin() != head.end()) return Head::kRange;
  return Head::kReady;
}

std::size_t RequestReader::read(std::span<char> into) {
  if (at_ < buffer_.size()) {
    const std::size_t n = std::min(into.size(), buffer_.size() - at_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(at_), n, into.begin());
    at_ += n;
    return n;
  }
  const auto n = stream_.read(into.first(std::min(into.size(), body_left_)), body_deadline_);
  if (!n) return 0;
  body_left_ -= *n;
  return *n;
}

bool RequestReader::write(std::string_view bytes) {
  return stream_.write(bytes, Deadline::after(limits_.write)).has_value();
}

}  // namespace drover::net
