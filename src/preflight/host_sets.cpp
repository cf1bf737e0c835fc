// SPDX-License-Identifier: Apache-2.0
#include "preflight/host_sets.h"

#include <algorithm>
#include <charconv>

#include <fmt/core.h>

#include "base/file.h"

namespace drover::preflight {
namespace {

constexpr unsigned kNumberMost = 4096;

// "3" or "0-3".
bool parse_range(std::string_view text, unsigned& first, unsigned& last) {
  const char* const end = text.data() + text.size();
  auto [at, failure] = std::from_chars(text.data(), end, first);
  if (failure != std::errc() || first > kNumberMost) return false;
  last = first;
  if (at == end) return true;
  if (*at != '-') return false;
  const auto second = std::from_chars(at + 1, end, last);
  return second.ec == std::errc() && second.ptr == end && last >= first && last <= kNumberMost;
}

std::optional<std::uint64_t> number_in(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() ? std::optional(value) : std::nullopt;
}

std::optional<std::uint64_t> number_of(const std::string& file) {
  const auto text = read_file(file);
  return text ? number_in(*text) : std::nullopt;
}

ByteCount usual_huge_page(const std::string& meminfo) {
  constexpr std::string_view kName = "Hugepagesize:";
  const auto text = read_file(meminfo);
  const auto at = text ? text->find(kName) : std::string::npos;
  if (at == std::string::npos) return {};
  const auto digits = text->find_first_of("0123456789", at);
  if (digits == std::string::npos) return {};
  return kib(number_in(text->substr(digits)).value_or(0));
}

}  // namespace

std::optional<std::set<unsigned>> parse_number_set(std::string_view text) {
  std::set<unsigned> numbers;
  while (!text.empty()) {
    const auto comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    while (part.ends_with('\n') || part.ends_with(' ')) part.remove_suffix(1);
    const bool out = part.starts_with('^');
    if (out) part.remove_prefix(1);
    unsigned first = 0, last = 0;
    if (!parse_range(part, first, last)) return {};
    for (unsigned number = first; number <= last; ++number) {
      if (out)
        numbers.erase(number);
      else
        numbers.insert(number);
    }
  }
  return numbers;
}

std::optional<unsigned> first_missing(std::string_view wanted, std::string_view online) {
  const auto want = parse_number_set(wanted);
  const auto have = parse_number_set(online);
  if (!want || !have || have->empty()) return {};
  for (const unsigned number : *want) {
    if (!have->contains(number)) return number;
  }
  return {};
}

bool has_any(std::string_view wanted, std::string_view online) {
  const auto want = parse_number_set(wanted);
  const auto have = parse_number_set(online);
  if (!want || !have) return false;
  return std::ranges::any_of(*want, [&](unsigned number) { return have->contains(number); });
}

std::string online_set(const std::string& file) { return read_file(file).value_or(""); }

std::optional<ByteCount> free_huge_pages(ByteCount size, const std::string& folder,
                                         const std::string& meminfo) {
  if (size.bytes == 0) size = usual_huge_page(meminfo);
  if (size.bytes == 0) return {};
  const std::string pages = fmt::format("{}/hugepages-{}kB/", folder, size.bytes / 1024);
  const auto free = number_of(pages + "free_hugepages");
  if (!free) return {};
  const std::uint64_t most = number_of(pages + "nr_overcommit_hugepages").value_or(0);
  const std::uint64_t made = number_of(pages + "surplus_hugepages").value_or(0);
  return ByteCount{(*free + (most > made ? most - made : 0)) * size.bytes};
}

}  // namespace drover::preflight
