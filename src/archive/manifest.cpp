// SPDX-License-Identifier: Apache-2.0
#include "archive/manifest.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "archive/checkpoint_json.h"
#include "archive/file_copy.h"
#include "json/encode.h"
#include "net/digest.h"

namespace drover::archive {
namespace {

using Json = nlohmann::json;
using json::Fields;
using json::Unknown;

constexpr std::string_view kFormat = "drover-export";
constexpr std::size_t kFileNameMax = 128;
constexpr std::size_t kTargetMax = 16;  // "vda"
constexpr std::string_view kCheckpointMemory = "checkpoint-memory.";
constexpr std::size_t kNumberMax = 3;  // digits
constexpr const char* kHint =
    "It was changed or damaged since it was written, or is not one. Take the folder from where it "
    "was exported once more; or, if you trust the files as they are, remove drover-export.json: "
    "they are then imported without being verified.";

std::unexpected<Error> bad(std::string what) {
  return fail(ErrorCode::kCorrupt, "The manifest cannot be used: {}. {}", what, kHint);
}

constexpr unsigned kLayersMost = 64;  // as QEMU opens no longer chains of ours

bool is_target(std::string_view text) {
  return !text.empty() && text.size() <= kTargetMax && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
  });
}

bool is_disk(const ArchiveItem& item) { return !item.format.empty(); }

Status check_item(const ArchiveItem& item) {
  if (!is_plain_file_name(item.file) || item.file == kManifestName)
    return bad(fmt::format("\"{}\" is no name of a file in the folder", item.file));
  if (!is_hash(item.hash)) return bad(fmt::format("{} has no hash", item.file));
  if (is_disk(item)) {
    if (item.format != "raw" && item.format != "qcow2")
      return bad(fmt::format("{} has the unknown format {}", item.file, item.format));
    if (!image_name(item.item)) return bad(fmt::format("\"{}\" is no name of a disk", item.item));
    return {};
  }
  if (is_checkpoint_memory(item.item)) return {};
  for (const std::string_view known :
       {kDefinitionItem, kNvramItem, kTpmItem, kMemoryItem, kMemoryDefinitionItem}) {
    if (item.item == known) return {};
  }
  return bad(fmt::format("it has the unknown item \"{}\"", item.item));
}

// A layer is below another image, and only a qcow2 has one below it.
Status check_layer(const Manifest& manifest, const ArchiveItem& item) {
  const auto name = image_name(item.item);
  if (!is_disk(item) || !name || name->layer == 0) return {};
  const ArchiveItem* const above = find_item(manifest, image_item(name->target, name->layer - 1));
  if (above == nullptr || above->format != "qcow2")
    return bad(fmt::format("nothing is based on {}", item.item));
  return {};
}

Status check(const Manifest& manifest) {
  if (manifest.items.size() > kItemsMax)
    return bad(fmt::format("it has more than {} items", kItemsMax));
  std::set<std::string_view> items, files;
  for (const ArchiveItem& item : manifest.items) {
    RETURN_IF_ERROR(check_item(item));
    if (!items.insert(item.item).second) return bad(fmt::format("it names {} twice", item.item));
    if (!files.insert(item.file).second) return bad(fmt::format("it names {} twice", item.file));
  }
  if (!items.contains(kDefinitionItem)) return bad("it names no definition");
  if (items.contains(kMemoryItem) != items.contains(kMemoryDefinitionItem))
    return bad("it names a memory without its definition, or the other way round");
  for (const ArchiveItem& item : manifest.items) RETURN_IF_ERROR(check_layer(manifest, item));
  if (manifest.checkpoints.size() > kCheckpointsMax)
    return bad(fmt::format("it has more than {} checkpoints", kCheckpointsMax));
  return {};
}

unsigned version_of(const Manifest& manifest) {
  const bool memory = std::ranges::any_of(
      manifest.items, [](const ArchiveItem& item) { return is_memory(item.item); });
  if (memory) return 3;
  const bool plain = manifest.checkpoints.empty() &&
                     std::ranges::none_of(manifest.items, [](const ArchiveItem& item) {
                       const auto name = image_name(item.item);
                       return item.item == kTpmItem || (is_disk(item) && name && name->layer != 0);
                     });
  return plain ? 1 : 2;
}

std::string checksum(Json tree) {
  tree.erase("checksum");
  return net::sha256_hex(json::dump(tree));
}

}  // namespace

bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > kFileNameMax || name.front() == '.') return false;
  return std::ranges::all_of(name, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("._-+").contains(c);
  });
}

std::string checkpoint_memory_item(unsigned number) {
  return fmt::format("{}{}", kCheckpointMemory, number);
}

bool is_checkpoint_memory(std::string_view item) {
  if (!item.starts_with(kCheckpointMemory)) return false;
  item.remove_prefix(kCheckpointMemory.size());
  return !item.empty() && item.size() <= kNumberMax &&
         std::ranges::all_of(item, [](char c) { return c >= '0' && c <= '9'; });
}

bool is_memory(std::string_view item) { return item == kMemoryItem || is_checkpoint_memory(item); }

std::string image_item(std::string_view target, unsigned layer) {
  return layer == 0 ? std::string(target) : fmt::format("{}.{}", target, layer);
}

std::optional<ImageName> image_name(std::string_view item) {
  const std::size_t dot = item.find('.');
  const std::string_view target = item.substr(0, dot);
  if (!is_target(target)) return std::nullopt;
  if (dot == std::string_view::npos) return ImageName{std::string(target), 0};
  const std::string_view digits = item.substr(dot + 1);
  unsigned layer = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), layer);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (!whole || layer == 0 || layer > kLayersMost || digits.front() == '0') return std::nullopt;
  return ImageName{std::string(target), layer};
}

const ArchiveItem* item_below(std::span<const ArchiveItem> items, std::string_view item) {
  const auto name = image_name(item);
  if (!name) return nullptr;
  const std::string below = image_item(name->target, name->layer + 1);
  const auto found = std::ranges::find(items, below, &ArchiveItem::item);
  return found == items.end() ? nullptr : &*found;
}

std::string manifest_text(const Manifest& manifest) {
  Json tree{{"format", kFormat},
            {"version", version_of(manifest)},
            {"vm_name", manifest.vm_name},
            {"vm_uuid", manifest.vm_uuid},
            {"running", manifest.running},
            {"host", manifest.host},
            {"drover_version", manifest.drover_version},
            {"libvirt_version", manifest.libvirt_version},
            {"qemu_version", manifest.qemu_version},
            {"made_at", json::time_text(manifest.made_at)},
            {"items", json::encode(manifest.items)}};
  if (!manifest.checkpoints.empty())
    tree["checkpoints"] = checkpoints_to_json(manifest.checkpoints);
  tree["checksum"] = checksum(tree);
  return tree.dump(2) + "\n";
}

Result<Manifest> read_manifest(std::string_view text) {
  if (text.size() > kManifestBytesMax) return bad("it is too large");
  const auto parsed = json::parse(text);
  if (!parsed) return bad(parsed.error().text());
  const Json& tree = *parsed;
  if (!tree.is_object() || tree.value("format", Json()) != Json(kFormat))
    return bad("it is not of the format drover-export");
  const auto version = tree.value("version", Json());
  if (version.is_number_unsigned() && version.get<std::uint64_t>() > kManifestVersion) {
    return fail(ErrorCode::kCorrupt,
                "The manifest has version {}; this Drover knows {}. Fix: import it with a newer "
                "Drover.",
                version.get<std::uint64_t>(), kManifestVersion);
  }
  if (tree.value("checksum", Json()) != Json(checksum(tree))) return bad("its checksum is wrong");
  Manifest manifest;
  std::string format, sum;
  unsigned number = 0;
  Json checkpoints = Json::array();
  const Status read = Fields(tree, "", Unknown::kIgnore)
                          .need("format", format)
                          .need("version", number)
                          .need("vm_name", manifest.vm_name)
                          .need("vm_uuid", manifest.vm_uuid)
                          .need("running", manifest.running)
                          .need("host", manifest.host)
                          .need("drover_version", manifest.drover_version)
                          .need("libvirt_version", manifest.libvirt_version)
                          .need("qemu_version", manifest.qemu_version)
                          .need("made_at", manifest.made_at)
                          .need("items", manifest.items)
                          .may("checkpoints", checkpoints)
                          .need("checksum", sum)
                          .finish();
  if (!read) return bad(read.error().text());
  auto texts = checkpoints_from_json(checkpoints);
  if (!texts) return bad(texts.error().text());
  manifest.checkpoints = std::move(*texts);
  RETURN_IF_ERROR(check(manifest));
  return manifest;
}

const ArchiveItem* find_item(const Manifest& manifest, std::string_view item) {
  const auto found = std::ranges::find(manifest.items, item, &ArchiveItem::item);
  return found == manifest.items.end() ? nullptr : &*found;
}

}  // namespace drover::archive
