// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu_conf.h"

#include <charconv>
#include <vector>

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

namespace drover {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// A value up to its end or a comment; quotes are taken off.
std::string value_of(std::string_view text) {
  if (text.starts_with('"')) return std::string(text.substr(1, text.find('"', 1) - 1));
  return std::string(trimmed(text.substr(0, text.find('#'))));
}

Result<uid_t> uid_of(const std::string& user) {
  uid_t uid = 0;
  const auto [end, failure] = std::from_chars(user.data(), user.data() + user.size(), uid);
  if (failure == std::errc() && end == user.data() + user.size()) return uid;
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return fail(ErrorCode::kNotFound, "There is no user {}, whom QEMU runs as by qemu.conf.", user);
  }
  return found->pw_uid;
}

Result<gid_t> gid_of(const std::string& name) {
  gid_t gid = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), gid);
  if (failure == std::errc() && end == name.data() + name.size()) return gid;
  std::vector<char> buffer(16384);
  group entry{};
  group* found = nullptr;
  if (::getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return fail(ErrorCode::kNotFound, "There is no group {}, in which QEMU runs by qemu.conf.",
                name);
  }
  return found->gr_gid;
}

bool has_name(uid_t uid) {
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  return ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr;
}

}  // namespace

QemuConf parse_qemu_conf(std::string_view text) {
  QemuConf conf;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    const auto equals = line.find('=');
    if (line.starts_with('#') || equals == std::string_view::npos) continue;
    const std::string_view key = trimmed(line.substr(0, equals));
    const std::string value = value_of(trimmed(line.substr(equals + 1)));
    // "+0" names a numeric user.
    const std::string who = value.starts_with('+') ? value.substr(1) : value;
    if (key == "user") conf.user = who;
    if (key == "group") conf.group = who;
    if (key == "migrate_tls_force") conf.tls_forced = value == "1";
    if (key == "dynamic_ownership") conf.gives_images = value != "0";
  }
  return conf;
}

QemuConf qemu_conf(const std::filesystem::path& file) {
  const auto text = read_file(file);
  return text ? parse_qemu_conf(*text) : QemuConf{};
}

Result<std::vector<std::string>> as_qemu_user(const QemuConf& conf) {
  std::vector<std::string> words{"setpriv", "--pdeathsig", "KILL", "--no-new-privs"};
  ASSIGN_OR_RETURN(const uid_t uid, uid_of(conf.user));
  if (::geteuid() == 0 && uid != 0) {
    ASSIGN_OR_RETURN(const gid_t gid, gid_of(conf.group));
    words.push_back(fmt::format("--reuid={}", uid));
    words.push_back(fmt::format("--regid={}", gid));
    words.emplace_back(has_name(uid) ? "--init-groups" : "--clear-groups");
  }
  words.emplace_back("--");
  return words;
}

Status give_folder_to_qemu(const std::filesystem::path& folder, const std::string& user) {
  ASSIGN_OR_RETURN(const uid_t uid, uid_of(user));
  if (::chown(folder.c_str(), uid, 0) != 0 || ::chmod(folder.c_str(), 0711) != 0) {
    return fail_errno(fmt::format("Cannot give {} to {}", folder.string(), user));
  }
  return {};
}

Result<bool> give_image_to_qemu(int image, const QemuConf& conf) {
  if (!conf.gives_images) return false;
  ASSIGN_OR_RETURN(const uid_t uid, uid_of(conf.user));
  struct stat found{};
  if (::fstat(image, &found) != 0) return fail_errno("Cannot look at an image");
  if (found.st_uid != 0 || uid == 0) return false;
  if (::fchown(image, uid, static_cast<gid_t>(-1)) != 0)
    return fail_errno(fmt::format("Cannot give an image to {}", conf.user));
  return true;
}

}  // namespace drover
