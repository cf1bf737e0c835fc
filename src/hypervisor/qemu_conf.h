// SPDX-License-Identifier: Apache-2.0
// The settings of libvirt's QEMU driver on this host that matter to a move. Any thread.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace drover {

struct QemuConf {
  std::string user = "libvirt-qemu", group = "libvirt-qemu";  // QEMU's; Debian's defaults
  bool tls_forced = false;   // libvirt refuses moves that do not use its own TLS
  bool gives_images = true;  // dynamic_ownership: libvirt makes that user their owner
};

QemuConf parse_qemu_conf(std::string_view text);
// The defaults where the file cannot be read.
QemuConf qemu_conf(const std::filesystem::path& file = "/etc/libvirt/qemu.conf");

// Words to put before a program's: setpriv(1) and its options, for QEMU's user, in its groups, and
// an end with the thread that starts it. kNotFound: there is no such user or group.
Result<std::vector<std::string>> as_qemu_user(const QemuConf& conf);

// Makes QEMU's user the owner of a folder in which QEMU creates sockets: nobody else but root may
// create or list there. Safe to run twice. kNotFound: there is no such user.
Status give_folder_to_qemu(const std::filesystem::path& folder, const std::string& user);

// An image that a running QEMU of this host uses, and that libvirt of another host has given back
// to root: makes QEMU's user its owner again. True: that was needed. `image`: open in any way but
// O_PATH.
Result<bool> give_image_to_qemu(int image, const QemuConf& conf);

}  // namespace drover
