// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/served_image.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace drover {
namespace {

using Json = nlohmann::json;

constexpr auto kMapLimit = std::chrono::seconds(120);
// An extent takes about 120 bytes.
constexpr std::size_t kMapBytesMax = 256u << 20;

}  // namespace

Result<ImageMap> map_image(const std::string& path, const std::string& format) {
  const auto output =
      run_program({.arguments = {"qemu-img", "map", "-U", "--output=json", "-f", format, path},
                   .limit = kMapLimit,
                   .output_bytes_max = kMapBytesMax});
  if (!output)
    return std::unexpected(wrap(output.error(), fmt::format("Cannot read the image {}.", path)));
  const Json parsed = Json::parse(*output, nullptr, false);
  ImageMap map;
  try {
    for (const Json& extent : parsed) {
      DataRange range{extent.at("start").get<std::uint64_t>(),
                      extent.at("length").get<std::uint64_t>()};
      const bool own = extent.at("depth").get<int>() == 0 && extent.value("filename", path) == path;
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
