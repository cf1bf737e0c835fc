// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/backing_chain.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/big_endian.h"
#include "base/unique_fd.h"

namespace drover {
namespace {

// docs/interop/qcow2.txt of QEMU: magic, version, where the backing file's name lies, its length.
constexpr std::uint32_t kMagic = 0x514649fb;
constexpr std::size_t kHeaderBytes = 20;
constexpr std::uint32_t kNameBytesMax = 1023;

std::optional<std::string> backing_name(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat found{};
  if (!file || ::fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode)) return {};
  std::array<std::uint8_t, kHeaderBytes> header{};
  if (::pread(file.get(), header.data(), header.size(), 0) != static_cast<ssize_t>(kHeaderBytes))
    return {};
  if (load_be<std::uint32_t>(header.data()) != kMagic) return {};
  const auto offset = load_be<std::uint64_t>(header.data() + 8);
  const auto size = load_be<std::uint32_t>(header.data() + 16);
  if (offset == 0 || size == 0 || size > kNameBytesMax || offset > (1u << 30)) return {};
  std::string name(size, '\0');
  if (::pread(file.get(), name.data(), size, static_cast<off_t>(offset)) !=
      static_cast<ssize_t>(size))
    return {};
  return name;
}

}  // namespace

std::vector<std::string> backing_chain_of(const std::string& path, const std::string& format) {
  std::vector<std::string> chain;
  if (format != "qcow2") return chain;
  std::string above = path;
  while (chain.size() < kBackingChainMax) {
    auto name = backing_name(above);
    if (!name) break;
    if (name->starts_with("file:")) name->erase(0, 5);
    const std::filesystem::path named(*name);
    // A relative name is meant from where the image lies that says it.
    if (!named.is_absolute() && name->find(':') != std::string::npos) break;
    const auto whole =
        named.is_absolute() ? named : std::filesystem::path(above).parent_path() / named;
    above = whole.lexically_normal().string();
    chain.push_back(above);
  }
  return chain;
}

}  // namespace drover
