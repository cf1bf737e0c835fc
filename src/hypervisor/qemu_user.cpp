// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/qemu_user.h"

#include <array>

#include <pwd.h>
#include <unistd.h>

namespace drover {

Result<std::vector<std::string>> as_qemu_user(const std::string& user) {
  std::vector<std::string> words{"setpriv", "--pdeathsig", "KILL", "--no-new-privs"};
  if (::geteuid() == 0 && user != "root") {
    passwd found{};
    passwd* result = nullptr;
    std::array<char, 4096> room{};
    if (::getpwnam_r(user.c_str(), &found, room.data(), room.size(), &result) != 0 ||
        result == nullptr) {
      return fail(ErrorCode::kNotFound,
                  "There is no user {}, whom qemu.conf names: QEMU cannot run here.", user);
    }
    words.push_back("--reuid=" + std::to_string(found.pw_uid));
    words.push_back("--regid=" + std::to_string(found.pw_gid));
    words.emplace_back("--clear-groups");
  }
  words.emplace_back("--");
  return words;
}

}  // namespace drover
