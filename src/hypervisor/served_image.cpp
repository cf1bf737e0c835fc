// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/served_image.h"

#include <algorithm>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace drover {
namespace {

using Json = nlohmann::json;

constexpr auto kMapLimit = std::chrono::seconds(120);
// An extent takes about 120 bytes.
constexpr std::size_t kMapBytesMax = 256u << 20;

// Parts of kMirrorBytes, each once, in order: [first, end).
using Parts = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

void add_parts(const DataRange& range, Parts& parts) {
  const std::uint64_t first = range.offset / kMirrorBytes;
  const std::uint64_t end = (range.offset + range.length + kMirrorBytes - 1) / kMirrorBytes;
  if (!parts.empty() && first <= parts.back().second)
    parts.back().second = std::max(parts.back().second, end);
  else
    parts.emplace_back(first, end);
}

// Both are in order.
std::vector<DataRange> within(const std::vector<DataRange>& data, const Parts& parts) {
  std::vector<DataRange> kept;
  auto part = parts.begin();
  for (const DataRange& range : data) {
    const std::uint64_t range_end = range.offset + range.length;
    while (part != parts.end() && part->second * kMirrorBytes <= range.offset) ++part;
    for (auto at = part; at != parts.end() && at->first * kMirrorBytes < range_end; ++at) {
      const std::uint64_t from = std::max(range.offset, at->first * kMirrorBytes);
      const std::uint64_t to = std::min(range_end, at->second * kMirrorBytes);
      kept.push_back({from, to - from});
      if (range.in_file) kept.back().in_file = *range.in_file + (from - range.offset);
    }
  }
  return kept;
}

}  // namespace

Result<ImageMap> map_image(const std::string& path, const std::string& format, MapOf what) {
  const auto output =
      run_program({.arguments = {"qemu-img", "map", "-U", "--output=json", "-f", format, path},
                   .limit = kMapLimit,
                   .output_bytes_max = kMapBytesMax});
  if (!output)
    return std::unexpected(wrap(output.error(), fmt::format("Cannot read the image {}.", path)));
  const Json parsed = Json::parse(*output, nullptr, false);
  ImageMap map;
  Parts own_parts;
  try {
    for (const Json& extent : parsed) {
      DataRange range{extent.at("start").get<std::uint64_t>(),
                      extent.at("length").get<std::uint64_t>()};
      const bool top = extent.at("depth").get<int>() == 0;
      const bool own = top && extent.value("filename", path) == path;
      if (top && extent.value("present", true)) add_parts(range, own_parts);
      if (own && extent.contains("offset")) range.in_file = extent["offset"].get<std::uint64_t>();
      map.virtual_size = {range.offset + range.length};
      if (extent.at("zero").get<bool>() || !extent.at("data").get<bool>()) continue;
      map.data.push_back(range);
    }
  } catch (const Json::exception& unexpected_shape) {
    return fail(ErrorCode::kSystem, "qemu-img mapped {} in an unknown way: {}.", path,
                unexpected_shape.what());
  }
  if (!parsed.is_array())
    return fail(ErrorCode::kSystem, "qemu-img mapped {} in an unknown way.", path);
  if (what == MapOf::kOwnImage) map.data = within(map.data, own_parts);
  return map;
}

Result<ServedImage> ServedImage::start(const std::string& path, const std::string& format,
                                       std::filesystem::path socket) {
  ASSIGN_OR_RETURN(RunningProgram program,
                   RunningProgram::start(
                       {.arguments = {"qemu-nbd", "--read-only", "--shared=1", "--format=" + format,
                                      "--socket=" + socket.string(), "--", path}}));
  return ServedImage(std::move(program), std::move(socket));
}

ServedImage::~ServedImage() {
  if (!socket_.empty()) ::unlink(socket_.c_str());
}

}  // namespace drover
