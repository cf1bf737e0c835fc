// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/backing_chain.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "hypervisor/program.h"
#include "hypervisor/qcow2_head.h"

namespace drover {
namespace {

constexpr std::size_t kHeadBytes = 512;
constexpr std::size_t kNamesMax = 256;  // that one image may have of parts of it
constexpr std::size_t kDescriptionMax = 64u << 10;
constexpr std::uint32_t kNameBytesMax = 1023;
constexpr std::string_view kQedMagic("QED\0", 4),
    kVmdkMagic = "KDMV", kVmdkText = "# Disk DescriptorFile";

// What an image says that it needs: further parts of itself, and what it is built on.
struct Needs {
  std::vector<std::string> parts;
  std::string below;  // empty: nothing
};

std::string read_at(int file, std::uint64_t at, std::size_t most) {
  std::string bytes(most, '\0');
  const ssize_t n = ::pread(file, bytes.data(), most, static_cast<off_t>(at));
  bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return bytes;
}

// Little-endian; nothing behind the end.
std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) {
    if (at + i >= bytes.size()) return 0;
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  }
  return value;
}

// docs/interop/qed_spec.txt of QEMU: the feature that it is built on another, where the name lies.
Needs needs_of_qed(int file, std::string_view head) {
  const std::uint64_t offset = number_at(head, 56, 4), size = number_at(head, 60, 4);
  if ((number_at(head, 16, 8) & 1) == 0 || size == 0 || size > kNameBytesMax) return {};
  return {{}, read_at(file, offset, size)};
}

std::string quoted_in(std::string_view line) {
  const auto begin = line.find('"');
  const auto end = begin == line.npos ? line.npos : line.find('"', begin + 1);
  return end == line.npos ? std::string() : std::string(line.substr(begin + 1, end - begin - 1));
}

// A text: its own, or within the first part.
Needs needs_of_vmdk(std::string_view text) {
  Needs needs;
  while (!text.empty() && needs.parts.size() < kNamesMax) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.starts_with("parentFileNameHint")) needs.below = quoted_in(line);
    const bool part = line.starts_with("RW ") || line.starts_with("RDONLY ");
    if (auto name = part ? quoted_in(line) : std::string(); !name.empty())
      needs.parts.push_back(std::move(name));
  }
  return needs;
}

std::optional<Needs> needs_of(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat found{};
  if (!file || ::fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode)) return {};
  const std::string head = read_at(file.get(), 0, kHeadBytes);
  if (head.starts_with(kQedMagic)) return needs_of_qed(file.get(), head);
  if (head.starts_with(kVmdkText)) return needs_of_vmdk(read_at(file.get(), 0, kDescriptionMax));
  if (head.starts_with(kVmdkMagic)) {
    const std::uint64_t at = number_at(head, 28, 8) * 512;
    return needs_of_vmdk(at == 0 ? std::string() : read_at(file.get(), at, kDescriptionMax));
  }
  auto qcow2 = read_qcow2_head(file.get());
  if (!qcow2) return {};
  Needs needs{{}, std::move(qcow2->backing)};
  if (!qcow2->data_file.empty()) needs.parts.push_back(std::move(qcow2->data_file));
  return needs;
}

// Each file name in what QEMU calls a "json:" name, in the order in which they stand there.
void names_in(const nlohmann::json& value, int depth, std::vector<std::string>& names) {
  constexpr int kDepthMax = 16;
  if (depth > kDepthMax || names.size() >= kNamesMax || !value.is_structured()) return;
  for (const auto& [key, member] : value.items()) {
    const bool is_name = key == "filename" || key.ends_with(".filename");
    if (is_name && member.is_string())
      names.push_back(member.get<std::string>());
    else
      names_in(member, depth + 1, names);
  }
}

std::vector<std::string> local_names(std::string name) {
  std::vector<std::string> names;
  if (name.starts_with("json:")) {
    names_in(nlohmann::json::parse(name.substr(5), nullptr, false), 0, names);
  } else if (!name.empty()) {
    if (name.starts_with("file:")) name.erase(0, 5);
    names.push_back(std::move(name));
  }
  return names;
}

// A relative name is meant from where the image lies that says it. Nothing: it is no local file.
std::optional<std::string> whole_path(const std::string& name, const std::string& above) {
  const std::filesystem::path named(name);
  if (!named.is_absolute() && name.find(':') != std::string::npos) return {};
  const auto whole =
      named.is_absolute() ? named : std::filesystem::path(above).parent_path() / named;
  return whole.lexically_normal().string();
}

}  // namespace

std::vector<std::string> backing_chain_of(const std::string& path, const std::string& format) {
  std::vector<std::string> chain;
  if (format != "qcow2" && format != "qed" && format != "vmdk") return chain;
  std::string above = path;
  while (chain.size() < kBackingChainMax) {
    const auto needs = needs_of(above);
    if (!needs) break;
    for (const std::string& name : needs->parts) {
      const auto part = whole_path(name, above);
      if (part && *part != above && chain.size() < kBackingChainMax) chain.push_back(*part);
    }
    std::optional<std::string> below;
    for (const std::string& name : local_names(needs->below)) {
      const auto one = whole_path(name, above);
      if (!one || chain.size() == kBackingChainMax) continue;
      chain.push_back(*one);
      if (!below) below = one;
    }
    if (!below) break;
    above = *below;
  }
  return chain;
}

std::optional<std::string> backing_name_of(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file) return {};
  auto head = read_qcow2_head(file.get());
  if (!head || head->backing.empty()) return {};
  return std::move(head->backing);
}

std::string backing_name_at(const std::string& name, const std::string& at,
                            const std::string& below) {
  const bool by_protocol = name.starts_with("file:");
  const std::filesystem::path said(by_protocol ? name.substr(5) : name);
  if (said.is_absolute()) return below;
  return std::filesystem::path(below)
      .lexically_relative(std::filesystem::path(at).parent_path())
      .string();
}

Status write_backing_name(int image, const std::string& path, const std::string& name,
                          const std::string& format_below) {
  const auto done = run_program({.arguments = {"qemu-img", "rebase", "-q", "-u", "-f", "qcow2",
                                               "-F", format_below, "-b", name, "/proc/self/fd/3"},
                                 .descriptor = image,
                                 .limit = std::chrono::seconds(30)});
  if (!done) {
    return std::unexpected(
        wrap(done.error(), fmt::format("Cannot say in {} that it is built on {}.", path, name)));
  }
  if (::fsync(image) != 0) return fail_errno("Cannot sync " + path);
  return {};
}

Status set_backing_name(const std::string& path, const FileIdentity& identity,
                        const std::string& name, const std::string& format_below) {
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return fail_errno("Cannot open " + path);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(file.get(), path));
  if (seen.identity != identity)
    return fail(ErrorCode::kConflict, "{} is another file by now.", path);
  return write_backing_name(file.get(), path, name, format_below);
}

}  // namespace drover
