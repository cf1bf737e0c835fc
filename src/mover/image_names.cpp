// SPDX-License-Identifier: Apache-2.0
#include "mover/image_names.h"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include <sys/resource.h>

#include "mover/limits.h"

namespace drover::mover {
namespace {

constexpr std::size_t kStepBytes = 1u << 20;
constexpr std::size_t kIndexBytes = 16u << 20;  // names 1.3 million blocks, 5 GiB
constexpr int kNiceness = 5;                    // QEMU writes the images: it comes first

}  // namespace

ImageNames::ImageNames(const content::ContentKey& key, std::vector<UniqueFd> images)
    : files_(std::move(images)), namer_(key), index_(kIndexBytes) {
  while (files_.has(static_cast<std::uint8_t>(images_.size()))) images_.push_back({});
  thread_ = std::jthread([this](const std::stop_token& stop) { name_all(stop); });
}

bool ImageNames::read(const content::Name& name,
                      std::span<std::uint8_t, content::kBlockBytes> out) {
  std::optional<content::DiskBlock> at;
  {
    const std::lock_guard lock(mutex_);
    at = index_.find(name);
  }
  return at && files_.read_at(at->disk, at->block * content::kBlockBytes, out) == out.size();
}

void ImageNames::name_all(const std::stop_token& stop) {
  ::setpriority(PRIO_PROCESS, 0, kNiceness);  // of this thread alone
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  while (!stop.stop_requested()) {
    for (std::size_t i = 0; i < images_.size(); ++i) look_at(static_cast<std::uint8_t>(i), stop);
    never.wait_for(lock, stop, kImageInterval, [] { return false; });
  }
}

// Up to where the data ended at the look before. What is rewritten behind that is not looked at
// again: its old name then is a hint that leads to nothing.
void ImageNames::look_at(std::uint8_t file, const std::stop_token& stop) {
  Image& image = images_[file];
  const std::uint64_t until = image.end;
  for (std::uint64_t from = image.named; auto extent = files_.next_extent(file, from);) {
    from = extent->end;
    image.end = extent->end;
    extent->end = std::min(extent->end, until);
    if (extent->begin < extent->end) name_extent(file, *extent, stop);
  }
  image.named = std::max(image.named, until);
}

void ImageNames::name_extent(std::uint8_t file, const HeldFiles::Extent& extent,
                             const std::stop_token& stop) {
  std::vector<std::uint8_t> buffer(kStepBytes);
  std::uint64_t at = extent.begin / content::kBlockBytes * content::kBlockBytes;
  while (at < extent.end && !stop.stop_requested()) {
    const auto step = std::span(buffer).first(std::min<std::uint64_t>(extent.end - at, kStepBytes));
    const std::size_t read = files_.read_at(file, at, step);
    name_step(file, at / content::kBlockBytes, step.first(read));
    if (read < step.size()) return;
    at += read;
  }
}

void ImageNames::name_step(std::uint8_t file, std::uint64_t block,
                           std::span<const std::uint8_t> bytes) {
  std::vector<std::pair<content::DiskBlock, content::Name>> found;
  for (; bytes.size() >= content::kBlockBytes && block < content::DiskIndex::kBlockMax; ++block) {
    const auto content = bytes.first<content::kBlockBytes>();
    if (!content::is_zero(content))
      found.push_back({{.disk = file, .block = block}, namer_.name(content)});
    bytes = bytes.subspan(content::kBlockBytes);
  }
  const std::lock_guard lock(mutex_);
  for (const auto& [at, name] : found) index_.put(at, name);
}

}  // namespace drover::mover
