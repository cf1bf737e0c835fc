// SPDX-License-Identifier: Apache-2.0
#include "archive/file_use.h"

#include <algorithm>
#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/unique_fd.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/domain_xml.h"

namespace drover::archive {
namespace {

// Where an image cannot be read, nobody knows what it is built on. One that is missing is built on
// nothing.
Status check_readable(const std::string& path) {
  if (!path.starts_with('/')) return {};
  const UniqueFd image(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (image || errno == ENOENT || errno == ENOTDIR) return {};
  return fail_errno("Cannot see what " + path + " is built on");
}

Status add_disk(const Disk& disk, std::vector<std::string>& files) {
  if (disk.path.empty()) return {};
  files.push_back(disk.path);
  const auto below =
      disk.backing_chain.empty() ? backing_chain_of(disk.path, disk.format) : disk.backing_chain;
  files.insert(files.end(), below.begin(), below.end());
  if (disk.format != "qcow2" && disk.format != "qed" && disk.format != "vmdk") return {};
  RETURN_IF_ERROR(check_readable(disk.path));
  for (const std::string& layer : below) RETURN_IF_ERROR(check_readable(layer));
  return {};
}

// Of a VM that runs, what it will have at its next boot is another definition.
Status add_next_boot(Hypervisor& hypervisor, const Vm& vm, std::vector<std::string>& files) {
  const auto xml = hypervisor.definition(vm.uuid, DefinitionKind::kPersistent);
  if (!xml && xml.error().code == ErrorCode::kNotFound) return {};
  if (!xml) return std::unexpected(xml.error());
  const auto domain = parse_domain(*xml);
  if (!domain) {
    return std::unexpected(wrap(
        domain.error(), fmt::format("What {} uses at its next boot cannot be read.", vm.name)));
  }
  files.push_back(domain->vm.nvram_path);
  Status all;
  for (const DiskFacts& facts : domain->disks) {
    if (const Status added = add_disk(facts.disk, files); !added) all = added;
  }
  return all;
}

bool same_file(const struct stat& meant, const std::string& path) {
  struct stat found{};
  return path.starts_with('/') && ::stat(path.c_str(), &found) == 0 &&
         found.st_dev == meant.st_dev && found.st_ino == meant.st_ino;
}

}  // namespace

Result<std::string> user_of(Hypervisor& hypervisor, const std::string& path) {
  struct stat meant{};
  const bool there = ::stat(path.c_str(), &meant) == 0;
  ASSIGN_OR_RETURN(const std::vector<Vm> vms, hypervisor.list_vms());
  Status all;  // of them could be looked at
  for (const Vm& vm : vms) {
    std::vector<std::string> files{vm.nvram_path};
    for (const Disk& disk : vm.disks) {
      if (const Status added = add_disk(disk, files); !added) all = added;
    }
    if (vm.persistent && vm.state != VmState::kOff) {
      if (const Status added = add_next_boot(hypervisor, vm, files); !added) all = added;
    }
    const auto is_it = [&](const std::string& file) {
      return file == path || (there && same_file(meant, file));
    };
    if (std::ranges::any_of(files, is_it)) return vm.name;
  }
  if (!all) return std::unexpected(all.error());
  return std::string();
}

}  // namespace drover::archive
