// SPDX-License-Identifier: Apache-2.0
// What droverd is told by /etc/drover/droverd.toml. Every member has a sane default; there need be
// no file at all.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/error.h"
#include "base/log.h"

namespace drover::droverd {

struct Config {
  std::string name;               // empty: the machine's host name
  std::string listen_address;     // empty: every address
  std::string advertise_address;  // what invites tell others; empty: found by the API
  std::uint16_t api_port = 7430;
  std::uint16_t mover_port = 7431;
  std::string libvirt_uri = "qemu:///system";
  std::filesystem::path libvirt_socket;  // empty: libvirtd's or virtqemud's, whichever is there
  std::filesystem::path state_folder = "/var/lib/drover";
  std::filesystem::path run_folder = "/run/drover";
  std::filesystem::path socket_folder = "/run/libvirt/drover";
  std::filesystem::path program_folder;  // of drover-gate and drover-mover; empty: beside droverd,
                                         // or /usr/libexec/drover
  std::chrono::milliseconds patience{120'000};
  std::chrono::milliseconds pause_budget{5'000};
  bool keep_residue_disks = false;  // keep-residue = "disks"; else "off"
  log::Level log_level = log::Level::kInfo;
};

// A file that is not there gives the defaults when `must_exist` is false. Unknown keys are refused
// by name.
Result<Config> read_config(const std::filesystem::path& path, bool must_exist);

}  // namespace drover::droverd
