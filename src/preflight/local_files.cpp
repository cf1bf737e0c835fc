// SPDX-License-Identifier: Apache-2.0
#include "preflight/local_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "hypervisor/allowed_folder.h"

namespace drover::preflight {
namespace {

struct Account {
  uid_t user = 0;
  std::vector<gid_t> groups;
};

std::optional<Account> account(const std::string& name) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  uid_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error == std::errc() && end == name.data() + name.size()) {
    (void)::getpwuid_r(number, &entry, buffer.data(), buffer.size(), &found);
    if (found == nullptr) return Account{number, {}};
  } else {
    (void)::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  }
  if (found == nullptr) return {};
  int count = 64;
  std::vector<gid_t> groups(static_cast<std::size_t>(count));
  if (::getgrouplist(found->pw_name, found->pw_gid, groups.data(), &count) >= 0) {
    groups.resize(static_cast<std::size_t>(count));
  }
  return Account{found->pw_uid, std::move(groups)};
}

bool may_enter(const std::string& folder, const Account& who) {
  struct stat found{};
  if (::stat(folder.c_str(), &found) != 0) return true;  // said elsewhere
  // An access list may say otherwise than the mode; libvirt or the start of QEMU has the last word
  // then.
  if (::getxattr(folder.c_str(), "system.posix_acl_access", nullptr, 0) > 0) return true;
  if (found.st_uid == who.user) return (found.st_mode & S_IXUSR) != 0;
  if (std::find(who.groups.begin(), who.groups.end(), found.st_gid) != who.groups.end()) {
    return (found.st_mode & S_IXGRP) != 0;
  }
  return (found.st_mode & S_IXOTH) != 0;
}

// QEMU opens its images by path, so its user must be able to enter each folder on the way.
std::string first_closed(const std::string& path, const std::string& user) {
  const auto who = account(user);
  if (!who || who->user == 0) return {};
  std::string way;
  for (const auto& part : std::filesystem::path(path)) {
    way = (std::filesystem::path(way) / part).string();
    if (!may_enter(way, *who)) return way;
  }
  return {};
}

}  // namespace

FolderFacts look_at_folder(const std::string& path, std::span<const std::string> allowed,
                           const std::string& user) {
  FolderFacts facts;
  facts.path = path;
  facts.allowed = is_allowed(path, allowed);
  if (!facts.allowed) return facts;
  const auto folder = open_allowed_folder(path, allowed);
  if (!folder) {
    facts.through_link = folder.error().code == ErrorCode::kPermission;
    return facts;
  }
  facts.exists = true;
  struct stat found{};
  struct statvfs space{};
  if (::fstat(folder->get(), &found) == 0) facts.file_system = found.st_dev;
  if (::fstatvfs(folder->get(), &space) == 0) {
    facts.free = {static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize};
    facts.read_only = (space.f_flag & ST_RDONLY) != 0;
  }
  facts.closed_at = first_closed(path, user);
  return facts;
}

bool keeps_room(const std::string& folder, std::span<const std::string> allowed) {
  const auto opened = open_allowed_folder(folder, allowed);
  if (!opened) return true;
  const UniqueFd file(::openat(opened->get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  constexpr off_t kTried = 4096;
  return !file || ::fallocate(file.get(), FALLOC_FL_KEEP_SIZE, 0, kTried) == 0 ||
         errno != EOPNOTSUPP;
}

bool path_taken(const std::string& path) {
  struct stat found{};
  return ::lstat(path.c_str(), &found) == 0;
}

bool file_readable(const std::string& path) {
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 && !S_ISDIR(found.st_mode) &&
         ::access(path.c_str(), R_OK) == 0;
}

bool network_device_exists(const std::string& name) { return ::if_nametoindex(name.c_str()) != 0; }

std::vector<std::string> local_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return addresses;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, ::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = {};
    const int family = entry->ifa_addr->sa_family;
    const void* address = nullptr;
    if (family == AF_INET)
      address = &reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr;
    if (family == AF_INET6)
      address = &reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
    if (address != nullptr && ::inet_ntop(family, address, text, sizeof text) != nullptr)
      addresses.emplace_back(text);
  }
  return addresses;
}

}  // namespace drover::preflight
