// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/network_image.h"

#include <utility>

#include <stdlib.h>

#include "hypervisor/qemu_conf.h"
#include "hypervisor/qemu_user.h"

namespace drover {
namespace {

// A comma ends a value; two are one.
std::string value(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped.append(c == ',' ? 2 : 1, c);
  return escaped;
}

Result<std::filesystem::path> make_folder_for(const std::string& user) {
  std::string folder = "/run/drover/disk-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {  // droverd has another folder
    folder = "/run/drover-disk-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) return fail_errno("Cannot make a folder in /run");
  }
  if (auto given = give_folder_to_qemu(folder, user); !given) {
    std::filesystem::remove(folder);
    return std::unexpected(std::move(given).error());
  }
  return folder;
}

}  // namespace

std::string image_options(const NetworkImageSource& source) {
  const std::size_t slash = source.name.find('/');
  if (slash == std::string::npos) return {};
  const std::string first = value(source.name.substr(0, slash));
  const std::string second = value(source.name.substr(slash + 1));
  if (source.protocol == "iscsi") {
    const bool six = source.host.find(':') != std::string::npos;
    return fmt::format("driver=iscsi,transport=tcp,portal={}{}{}:{},target={},lun={}",
                       six ? "[" : "", source.host, six ? "]" : "", source.port, first, second);
  }
  if (source.protocol == "gluster") {
    return fmt::format(
        "driver=gluster,volume={},path={},server.0.type=inet,server.0.host={},server.0.port={}",
        first, second, source.host, source.port);
  }
  return {};
}

Result<NetworkImage> NetworkImage::start(const NetworkImageSource& source) {
  const std::string options = image_options(source);
  if (options.empty())
    return fail(ErrorCode::kInvalidArgument, "{} is no network disk of a driver.", source.name);
  const std::string user = qemu_conf().user;
  ASSIGN_OR_RETURN(auto words, as_qemu_user(user));
  ASSIGN_OR_RETURN(auto folder, make_folder_for(user));
  // None of its clients' caches: what another host wrote is what counts.
  words.insert(words.end(),
               {"qemu-nbd", "--read-only", "--shared=1", "--cache=none",
                "--socket=" + (folder / "disk.sock").string(), "--image-opts", options});
  auto program =
      RunningProgram::start({.arguments = std::move(words)}, RunningProgram::Complaints::kKeep);
  if (!program) {
    std::filesystem::remove(folder);
    return std::unexpected(program.error());
  }
  return NetworkImage(std::move(*program), std::move(folder));
}

NetworkImage::NetworkImage(NetworkImage&& other) noexcept
    : program_(std::move(other.program_)), folder_(std::exchange(other.folder_, {})) {}

NetworkImage::~NetworkImage() { remove_socket(); }

void NetworkImage::remove_socket() {
  if (folder_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove(socket(), ignored);
  std::filesystem::remove(folder_, ignored);
  folder_.clear();
}

Error NetworkImage::complaint() const {
  const Status result = program_.result();
  if (result) return {ErrorCode::kSystem, Retry::kNever, "qemu-nbd ended.", {}};
  Error error = result.error();
  if (error.text().contains("Unknown driver")) {
    error.causes.emplace_back(
        "QEMU's driver is not installed here. Fix: apt-get install qemu-block-extra");
  }
  return error;
}

}  // namespace drover
