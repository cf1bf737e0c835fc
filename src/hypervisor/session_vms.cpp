// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/session_vms.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>
#include <tuple>

#include "base/file.h"

namespace drover {
namespace {

namespace fs = std::filesystem;

constexpr unsigned kFirstUser = 1000;  // below are programs' own users; Debian's rule
constexpr unsigned kNobody = 65534;
constexpr std::size_t kVmsMost = 500;
constexpr std::string_view kEnd = ".xml";

struct User {
  std::string name, home;
  unsigned id = 0;
};

// name:password:id:group:comment:home:shell
std::vector<User> users_of(const fs::path& passwd) {
  std::vector<User> users;
  std::istringstream lines(read_file(passwd).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> parts;
    std::istringstream rest(line);
    for (std::string part; std::getline(rest, part, ':');) parts.push_back(part);
    if (parts.size() < 6 || parts[5].empty() || parts[5].front() != '/') continue;
    User user{parts[0], parts[5], 0};
    const char* const end = parts[2].data() + parts[2].size();
    if (std::from_chars(parts[2].data(), end, user.id).ptr != end) continue;
    if (user.id == 0 || (user.id >= kFirstUser && user.id != kNobody))
      users.push_back(std::move(user));
  }
  return users;
}

// libvirt names files by their VM; links belong to autostart and are not followed.
std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  auto entry = fs::directory_iterator(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string file = entry->path().filename().string();
    if (file.size() > kEnd.size() && file.ends_with(kEnd) && entry->is_regular_file(error))
      names.insert(file.substr(0, file.size() - kEnd.size()));
    if (names.size() >= kVmsMost) break;
  }
  return names;
}

}  // namespace

std::vector<SessionVm> session_vms(const fs::path& passwd, const fs::path& run_root) {
  std::vector<SessionVm> found;
  for (const User& user : users_of(passwd)) {
    const auto defined = names_in(fs::path(user.home) / ".config/libvirt/qemu");
    const auto running = names_in(run_root / std::to_string(user.id) / "libvirt/qemu/run");
    std::set<std::string> names = defined;
    names.insert(running.begin(), running.end());
    for (const auto& name : names) {
      if (found.size() == kVmsMost) return found;
      found.push_back({"", name, user.name, running.contains(name)});
    }
  }
  std::ranges::sort(found, [](const SessionVm& a, const SessionVm& b) {
    return std::tie(a.user, a.name) < std::tie(b.user, b.name);
  });
  return found;
}

}  // namespace drover
