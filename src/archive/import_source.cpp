// SPDX-License-Identifier: Apache-2.0
#include "archive/import_source.h"

#include <algorithm>
#include <filesystem>

#include <sys/stat.h>
#include <unistd.h>

#include "archive/file_copy.h"
#include "hypervisor/domain_xml.h"
#include "hypervisor/tpm_state.h"

namespace drover::archive {
namespace {

// kPolicy: longer than any such file is.
Result<ByteCount> size_of(const UniqueFd& file, const std::string& name, bool is_large) {
  struct stat found{};
  if (::fstat(file.get(), &found) != 0) return fail_errno("Cannot look at " + name);
  const ByteCount size{static_cast<std::uint64_t>(found.st_size)};
  const ByteCount most{is_large ? kFileMost : kStateMost};
  if (size <= most) return size;
  return fail(ErrorCode::kPolicy, "{} has {}; {} are the most that is taken.", name, to_text(size),
              to_text(most));
}

// A file that the manifest names: there, plain, and of its size. Its hash is for later: it is read
// once, when it is used.
Status take_item(ImportSource& source, const ArchiveItem& item) {
  const auto file = source.folder.file(item.file);
  if (!file && file.error().code == ErrorCode::kNotFound) {
    source.damaged.push_back(fmt::format("{} is missing.", item.file));
    return {};
  }
  if (!file) return std::unexpected(file.error());
  const bool is_large = !item.format.empty() || is_memory(item.item);
  ASSIGN_OR_RETURN(const ByteCount size, size_of(*file, item.file, is_large));
  if (size != item.size) {
    source.damaged.push_back(fmt::format("{} has {} bytes; the manifest says {}.", item.file,
                                         size.bytes, item.size.bytes));
  }
  source.items.push_back(item);
  source.items.back().path.clear();
  if (!item.path.empty()) source.former_paths[item.item] = item.path;
  return {};
}

// Bounded: it may be any file, of any length.
Result<std::string> read_definition(const ImportSource& source, const ArchiveItem& item) {
  ASSIGN_OR_RETURN(std::string text, source.folder.text(item.file, kDefinitionBytesMax));
  if (hash_of(text) == item.hash) return text;
  return fail(ErrorCode::kCorrupt,
              "{}/{} is not the definition that was exported. Take the folder from where it was "
              "exported once more; or, if you have changed it yourself, remove {}: the files are "
              "then imported without being verified.",
              source.folder.path(), item.file, kManifestName);
}

Status read_with_manifest(ImportSource& source, const std::string& text) {
  ASSIGN_OR_RETURN(source.manifest, read_manifest(text));
  const ArchiveItem* const definition = find_item(*source.manifest, kDefinitionItem);
  DROVER_CHECK(definition != nullptr);
  ASSIGN_OR_RETURN(source.definition, read_definition(source, *definition));
  for (const ArchiveItem& item : source.manifest->items) {
    if (item.item == kMemoryDefinitionItem) {
      ASSIGN_OR_RETURN(source.memory_definition, read_definition(source, item));
    } else if (item.item != kDefinitionItem) {
      RETURN_IF_ERROR(take_item(source, item));
    }
  }
  return {};
}

// The one file that libvirt's definition of a VM is in.
Result<std::string> find_definition(const ExportFolder& folder) {
  std::vector<std::string> found;
  std::string content;
  for (const std::string& name : folder.names()) {
    if (!name.ends_with(".xml")) continue;
    const auto text = folder.text(name, kDefinitionBytesMax);
    if (!text || !parse_domain(*text)) continue;
    found.push_back(name);
    content = *text;
  }
  if (found.size() == 1) return content;
  if (found.empty()) {
    return fail(ErrorCode::kNotFound,
                "There is nothing to import in {}: neither {} nor a libvirt definition (*.xml).",
                folder.path(), kManifestName);
  }
  return fail(ErrorCode::kInvalidArgument,
              "There is more than one definition in {}: {} and {}. Leave one of them there.",
              folder.path(), found[0], found[1]);
}

// Under the name that the definition has, or as an export names it.
std::string find_image(const std::vector<std::string>& names, const Disk& disk) {
  const std::string own = std::filesystem::path(disk.path).filename().string();
  const std::string exported = disk.target + (disk.format == "raw" ? ".img" : "." + disk.format);
  for (const std::string& wanted : {own, exported}) {
    if (!wanted.empty() && std::ranges::find(names, wanted) != names.end()) return wanted;
  }
  return {};
}

Status read_without_manifest(ImportSource& source) {
  ASSIGN_OR_RETURN(source.definition, find_definition(source.folder));
  ASSIGN_OR_RETURN(const DomainFacts domain, parse_domain(source.definition));
  const std::vector<std::string> names = source.folder.names();
  const auto take = [&](std::string item, const std::string& name,
                        const std::string& format) -> Status {
    ASSIGN_OR_RETURN(const UniqueFd file, source.folder.file(name));
    ASSIGN_OR_RETURN(const ByteCount size, size_of(file, name, !format.empty()));
    source.items.push_back({std::move(item), name, "", format, {}, size, ""});
    return {};
  };
  for (const DiskFacts& facts : domain.disks) {
    const Disk& disk = facts.disk;
    if (disk.device != DiskDevice::kDisk || disk.read_only || disk.shareable) continue;
    if (disk.kind == DiskKind::kNetwork || disk.kind == DiskKind::kOther) continue;
    const std::string name = find_image(names, disk);
    if (name.empty()) {
      source.damaged.push_back(
          fmt::format("There is no image of {} ({}).", disk.target, disk.path));
      continue;
    }
    RETURN_IF_ERROR(take(disk.target, name, disk.format));
  }
  const std::string nvram = std::filesystem::path(domain.vm.nvram_path).filename().string();
  for (const std::string& name : {nvram, std::string("nvram.fd")}) {
    if (nvram.empty() || std::ranges::find(names, name) == names.end()) continue;
    RETURN_IF_ERROR(take(std::string(kNvramItem), name, ""));
    break;
  }
  for (const std::string& name : names) {
    if (!keeps_tpm_state(source.definition) || tpm_state_place("", "", name).empty()) continue;
    return take(std::string(kTpmItem), name, "");
  }
  return {};
}

}  // namespace

Result<ImportSource> read_import(const std::string& path, std::span<const std::string> allowed) {
  ASSIGN_OR_RETURN(ExportFolder folder, ExportFolder::open(path, allowed));
  ImportSource source{std::move(folder), std::nullopt, {}, {}, {}, {}, {}};
  const auto manifest = source.folder.text(std::string(kManifestName), kManifestBytesMax);
  if (manifest) {
    RETURN_IF_ERROR(read_with_manifest(source, *manifest));
  } else if (manifest.error().code == ErrorCode::kNotFound) {
    RETURN_IF_ERROR(read_without_manifest(source));
  } else {
    return std::unexpected(manifest.error());
  }
  return source;
}

}  // namespace drover::archive
