// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <sys/stat.h>

#include "hypervisor/fake/fake.h"

namespace drover::fake {
namespace {

std::optional<Volume> volume_at(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) != 0) return {};
  return Volume{path, std::to_string(found.st_ino), {static_cast<std::uint64_t>(found.st_size)}};
}

}  // namespace

Result<const VolumePool*> FakeHypervisor::pool_named(std::string_view name) const {
  RETURN_IF_ERROR(answering());
  const auto found = std::ranges::find(volume_pools, name, &VolumePool::name);
  if (found == volume_pools.end())
    return fail(ErrorCode::kNotFound, "There is no pool {} here.", name);
  return &*found;
}

Result<VolumePool> FakeHypervisor::volume_pool(std::string_view name) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const VolumePool* const found, pool_named(name));
  VolumePool pool = *found;
  for (const auto& entry : std::filesystem::directory_iterator(pool.folder))
    pool.volumes.push_back(entry.path().filename().string());
  return pool;
}

Result<std::optional<Volume>> FakeHypervisor::find_volume(std::string_view pool,
                                                          const std::string& name) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const VolumePool* const found, pool_named(pool));
  return volume_at(found->folder + "/" + name);
}

Result<Volume> FakeHypervisor::create_volume(std::string_view pool, const std::string& name,
                                             ByteCount size) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const VolumePool* const found, pool_named(pool));
  if (at_create_volume) RETURN_IF_ERROR(at_create_volume());
  const std::string path = found->folder + "/" + name;
  if (volume_at(path))
    return fail(ErrorCode::kConflict, "The pool {} has a volume {} already.", pool, name);
  std::ofstream(path).close();
  std::filesystem::resize_file(path, size.bytes);
  return *volume_at(path);
}

Status FakeHypervisor::delete_volume(std::string_view pool, const std::string& name,
                                     const std::string& key) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const VolumePool* const found, pool_named(pool));
  const auto there = volume_at(found->folder + "/" + name);
  if (!there) return {};
  if (!key.empty() && key != there->key)
    return fail(ErrorCode::kConflict, "{} is another volume by now; it was left alone.",
                there->path);
  std::filesystem::remove(there->path);
  return {};
}

}  // namespace drover::fake
