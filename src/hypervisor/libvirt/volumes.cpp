// SPDX-License-Identifier: Apache-2.0
// Volumes of pools of block devices. A pool is refreshed before it is believed: others may have
// made or deleted volumes without libvirt.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <sstream>

#include <pugixml.hpp>

#include "base/log.h"
#include "hypervisor/libvirt/adapter.h"
#include "hypervisor/libvirt/failure.h"
#include "hypervisor/program.h"
#include "hypervisor/xml_tree.h"

namespace drover::libvirt {
namespace {

constexpr auto kPartedLimit = std::chrono::seconds(30);

struct Pool {
  PoolHandle handle;
  VolumePool facts;  // but for its volumes
};

Result<Pool> look_up_pool(virConnectPtr connection, const std::string& name) {
  PoolHandle handle(virStoragePoolLookupByName(connection, name.c_str()));
  if (!handle) return fail_libvirt("There is no pool " + name);
  const Text text(virStoragePoolGetXMLDesc(handle.get(), 0));
  if (!text) return fail_libvirt("Cannot read the pool " + name);
  ASSIGN_OR_RETURN(const auto document, xml::parse(text.get(), "pool"));
  const auto root = document.document_element();
  VolumePool facts;
  facts.name = name;
  facts.type = root.attribute("type").value();
  facts.folder = root.child("target").child("path").text().get();
  facts.device = root.child("source").child("device").attribute("path").value();
  if (!holds_volumes(facts.type)) {
    return fail(ErrorCode::kInvalidArgument, "The pool {} is of type {}: no logical or disk pool.",
                name, facts.type);
  }
  return Pool{std::move(handle), std::move(facts)};
}

Result<Pool> fresh_pool(virConnectPtr connection, const std::string& name) {
  ASSIGN_OR_RETURN(Pool pool, look_up_pool(connection, name));
  if (virStoragePoolIsActive(pool.handle.get()) != 1)
    return fail(ErrorCode::kConflict, "The pool {} is not active. Fix: virsh pool-start {}", name,
                name);
  if (virStoragePoolRefresh(pool.handle.get(), 0) != 0)
    return fail_libvirt("Cannot refresh the pool " + name);
  return pool;
}

Result<Volume> volume_of(virStorageVolPtr handle, const std::string& name) {
  const Text path(virStorageVolGetPath(handle));
  if (!path) return fail_libvirt("Cannot read the volume " + name);
  const char* const key = virStorageVolGetKey(handle);
  virStorageVolInfo info{};
  if (virStorageVolGetInfo(handle, &info) != 0)
    return fail_libvirt("Cannot read the volume " + name);
  return Volume{path.get(), key == nullptr ? "" : key, {info.capacity}};
}

std::string volume_xml(const std::string& name, ByteCount size) {
  pugi::xml_document document;
  auto volume = document.append_child("volume");
  volume.append_attribute("type") = "block";
  volume.append_child("name").text().set(name.c_str());
  for (const char* which : {"capacity", "allocation"}) {
    auto element = volume.append_child(which);
    element.append_attribute("unit") = "bytes";
    element.text().set(std::to_string(size.bytes).c_str());
  }
  std::ostringstream text;
  document.save(text, "", pugi::format_raw | pugi::format_no_declaration);
  return text.str();
}

// Of a partition whose disk's name ends with a digit: libvirt 9.0 tells parted to remove "p3", and
// parted knows it as 3. Else empty.
std::string number_of(const VolumePool& pool, const std::string& partition) {
  const std::string before = std::filesystem::path(pool.device).filename().string() + "p";
  if (pool.type != "disk" || !partition.starts_with(before)) return {};
  std::string number = partition.substr(before.size());
  return number.find_first_not_of("0123456789") == std::string::npos ? number : std::string();
}

}  // namespace

std::string pool_of_device(virConnectPtr connection, const std::string& path) {
  const VolumeHandle volume(virStorageVolLookupByPath(connection, path.c_str()));
  if (!volume) return {};
  const PoolHandle pool(virStoragePoolLookupByVolume(volume.get()));
  if (!pool) return {};
  const char* const name = virStoragePoolGetName(pool.get());
  const auto found = look_up_pool(connection, name == nullptr ? "" : name);
  return found ? found->facts.name : std::string();
}

Result<VolumePool> Adapter::volume_pool(std::string_view name) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  ASSIGN_OR_RETURN(Pool pool, fresh_pool(connection.get(), std::string(name)));
  virStoragePoolInfo info{};
  if (virStoragePoolGetInfo(pool.handle.get(), &info) != 0)
    return fail_libvirt(fmt::format("Cannot read the pool {}", name));
  pool.facts.free = {info.available};
  virStorageVolPtr* list = nullptr;
  const int count = virStoragePoolListAllVolumes(pool.handle.get(), &list, 0);
  if (count < 0) return fail_libvirt(fmt::format("Cannot list the volumes of {}", name));
  for (const auto& volume : take_list<VolumeHandle>(list, count))
    pool.facts.volumes.emplace_back(virStorageVolGetName(volume.get()));
  return std::move(pool.facts);
}

Result<std::optional<Volume>> Adapter::find_volume(std::string_view pool, const std::string& name) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  ASSIGN_OR_RETURN(const Pool found, fresh_pool(connection.get(), std::string(pool)));
  const VolumeHandle volume(virStorageVolLookupByName(found.handle.get(), name.c_str()));
  if (!volume && last_error_code() == VIR_ERR_NO_STORAGE_VOL) return std::optional<Volume>();
  if (!volume) return fail_libvirt("Cannot look for the volume " + name);
  ASSIGN_OR_RETURN(Volume facts, volume_of(volume.get(), name));
  return std::optional(std::move(facts));
}

// libvirt itself makes it exclusively. That it is there already is told apart: it is not ours. Of a
// partition that gets another number than it was asked for, libvirt says so and leaves it there.
Result<Volume> Adapter::create_volume(std::string_view pool, const std::string& name,
                                      ByteCount size) {
  ASSIGN_OR_RETURN(const VolumePool now, volume_pool(pool));
  if (std::ranges::find(now.volumes, name) != now.volumes.end())
    return fail(ErrorCode::kConflict, "The pool {} has a volume {} already.", pool, name);
  if (const std::string next = volume_name(now, "", ""); now.type == "disk" && next != name) {
    return fail(ErrorCode::kConflict,
                "The next partition of the pool {} is {}, not {}. Fix: plan the move again.", pool,
                next, name);
  }
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  ASSIGN_OR_RETURN(const Pool found, look_up_pool(connection.get(), std::string(pool)));
  const VolumeHandle volume(
      virStorageVolCreateXML(found.handle.get(), volume_xml(name, size).c_str(), 0));
  if (!volume && last_error_code() == VIR_ERR_STORAGE_VOL_EXIST)
    return fail(ErrorCode::kConflict, "The pool {} has a volume {} already.", pool, name);
  if (!volume) return fail_libvirt(fmt::format("Cannot make the volume {} in {}", name, pool));
  ASSIGN_OR_RETURN(Volume made, volume_of(volume.get(), name));
  if (made.capacity < size) {
    return fail(ErrorCode::kHypervisor,
                "libvirt made {} with {}, less than the {} it was asked for.", made.path,
                to_text(made.capacity), to_text(size));
  }
  return made;
}

Status Adapter::delete_volume(std::string_view pool, const std::string& name,
                              const std::string& key) {
  ASSIGN_OR_RETURN(const auto connection, connection_.get());
  ASSIGN_OR_RETURN(const Pool found, fresh_pool(connection.get(), std::string(pool)));
  const VolumeHandle volume(virStorageVolLookupByName(found.handle.get(), name.c_str()));
  if (!volume && last_error_code() == VIR_ERR_NO_STORAGE_VOL) return {};
  if (!volume) return fail_libvirt("Cannot look for the volume " + name);
  ASSIGN_OR_RETURN(const Volume facts, volume_of(volume.get(), name));
  if (!key.empty() && key != facts.key)
    return fail(ErrorCode::kConflict, "{} is another volume by now; it was left alone.",
                facts.path);
  if (virStorageVolDelete(volume.get(), 0) == 0) return {};
  Status refused = fail_libvirt("Cannot delete the volume " + facts.path);
  const std::string number = number_of(found.facts, name);
  if (number.empty()) return refused;
  if (auto removed =
          run_program({.arguments = {"parted", "--script", found.facts.device, "rm", number},
                       .limit = kPartedLimit});
      !removed) {
    log::warning("{}", removed.error().text());
    return refused;
  }
  (void)virStoragePoolRefresh(found.handle.get(), 0);
  return {};
}

}  // namespace drover::libvirt
