// SPDX-License-Identifier: Apache-2.0
#include "move/queue/host_load.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "base/file.h"

namespace drover::move {
namespace {

constexpr std::uint64_t kSectorBytes = 512;  // of /proc/diskstats, whatever the device has

std::vector<std::string_view> words_of(std::string_view line) {
  constexpr std::string_view kBlank = " \t:";
  std::vector<std::string_view> words;
  for (std::size_t at = line.find_first_not_of(kBlank); at != std::string_view::npos;
       at = line.find_first_not_of(kBlank, at)) {
    const std::size_t end = std::min(line.find_first_of(kBlank, at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

std::uint64_t number_in(const std::vector<std::string_view>& words, std::size_t index) {
  std::uint64_t value = 0;
  if (index < words.size())
    std::from_chars(words[index].data(), words[index].data() + words[index].size(), value);
  return value;
}

template <typename Use>
void each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    use(words_of(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

HostLoad parse_host_load(std::string_view stat, std::string_view net_dev,
                         std::string_view diskstats) {
  HostLoad load;
  // cpu user nice system idle iowait irq softirq steal …
  each_line(stat, [&](const auto& words) {
    if (words.empty() || words[0] != "cpu") return;
    load.idle_ticks = number_in(words, 4) + number_in(words, 5);
    for (const std::size_t busy : {1u, 2u, 3u, 6u, 7u, 8u})
      load.busy_ticks += number_in(words, busy);
  });
  // device: received bytes, 7 more, sent bytes, …; two lines of headings
  each_line(net_dev, [&](const auto& words) {
    if (words.size() < 17 || words[0] == "lo") return;
    load.network_bytes += number_in(words, 1) + number_in(words, 9);
  });
  // major minor device reads merged sectors-read ms writes merged sectors-written …
  each_line(diskstats, [&](const auto& words) {
    if (words.size() < 11) return;
    load.disk_bytes += (number_in(words, 5) + number_in(words, 9)) * kSectorBytes;
  });
  return load;
}

Result<HostLoad> read_host_load() {
  ASSIGN_OR_RETURN(const std::string stat, read_file("/proc/stat"));
  ASSIGN_OR_RETURN(const std::string net_dev, read_file("/proc/net/dev"));
  // Not every container shows it; then nothing is known of disks.
  const auto diskstats = read_file("/proc/diskstats");
  return parse_host_load(stat, net_dev, diskstats ? *diskstats : std::string());
}

}  // namespace drover::move
