// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <nlohmann/json.hpp>

#include "hypervisor/disk_image.h"
#include "hypervisor/program.h"

namespace drover {
namespace {

using Json = nlohmann::json;

// Whoever made the layer above wrote down which format it is; else it is what it looks like.
DiskLayer read_layer(const Json& layer, const Json& above) {
  DiskLayer read;
  read.path = layer.at("filename").get<std::string>();
  read.format = above.value("backing-filename-format", layer.at("format").get<std::string>());
  read.virtual_size = {layer.at("virtual-size").get<std::uint64_t>()};
  read.allocated = {layer.value("actual-size", std::uint64_t{0})};
  read.cluster_size = {layer.value("cluster-size", std::uint64_t{0})};
  return read;
}

ImageFacts read_chain(const Json& chain) {
  const Json& top = chain.at(0);
  ImageFacts facts;
  facts.format = top.at("format").get<std::string>();
  facts.virtual_size = {top.at("virtual-size").get<std::uint64_t>()};
  facts.allocated = {top.value("actual-size", std::uint64_t{0})};
  facts.cluster_size = {top.value("cluster-size", std::uint64_t{0})};
  facts.encrypted = top.value("encrypted", false);
  if (const auto found = top.find("snapshots"); found != top.end()) {
    facts.internal_snapshots = static_cast<std::uint32_t>(found->size());
  }
  if (const auto found = top.find("format-specific");
      found != top.end() && found->contains("data")) {
    facts.data_file = found->at("data").contains("data-file");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    facts.layers.push_back(read_layer(chain[i], chain[i - 1]));
    facts.backing_chain.push_back(facts.layers.back().path);
  }
  return facts;
}

}  // namespace

ByteCount flattened(ByteCount allocated, ByteCount virtual_size,
                    std::span<const DiskLayer> layers) {
  for (const DiskLayer& layer : layers) allocated += layer.allocated;
  return layers.empty() ? allocated : std::min(allocated, virtual_size);
}

Result<ImageFacts> image_facts(const std::string& path, const std::string& format,
                               std::chrono::milliseconds limit) {
  if (!path.starts_with('/'))
    return fail(ErrorCode::kInvalidArgument, "{} is not an absolute path.", path);
  if (format.empty())
    return fail(ErrorCode::kInvalidArgument, "The format of {} is not known.", path);
  const auto output = run_program({.arguments = {"qemu-img", "info", "-U", "--output=json",
                                                 "--backing-chain", "-f", format, path},
                                   .limit = limit});
  if (!output)
    return std::unexpected(wrap(output.error(), fmt::format("Cannot read the image {}.", path)));
  const Json parsed = Json::parse(*output, nullptr, false);
  try {
    if (parsed.is_array() && !parsed.empty()) return read_chain(parsed);
  } catch (const Json::exception& unexpected_shape) {
    return fail(ErrorCode::kSystem, "qemu-img described {} in an unknown way: {}.", path,
                unexpected_shape.what());
  }
  return fail(ErrorCode::kSystem, "qemu-img described {} in an unknown way.", path);
}

}  // namespace drover
