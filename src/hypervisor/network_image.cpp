// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/network_image.h"

#include <utility>

#include <stdlib.h>

#include "base/memory_file.h"
#include "hypervisor/qemu_conf.h"

namespace drover {
namespace {

// A comma ends a value; two are one.
std::string value(std::string_view text) {
  std::string escaped;
  for (const char c : text) escaped.append(c == ',' ? 2 : 1, c);
  return escaped;
}

// droverd's own, and each host's in the lab.
constexpr const char* kRunFolder = "/run/drover";
constexpr std::string_view kFolderPrefix = "disk-";

Result<std::filesystem::path> make_folder_for(const std::string& user) {
  const bool daemon = std::filesystem::is_directory(kRunFolder);
  std::string folder = fmt::format("{}/{}XXXXXX", daemon ? kRunFolder : "/tmp",
                                   daemon ? kFolderPrefix : "drover-disk-");
  if (::mkdtemp(folder.data()) == nullptr) return fail_errno("Cannot make a folder in /run/drover");
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
    // As QEMU names itself (its block/iscsi.c).
    const std::string initiator =
        "iqn.2008-11.org.linux-kvm" + (source.vm_uuid.empty() ? "" : ":" + value(source.vm_uuid));
    std::string options = fmt::format(
        "driver=iscsi,transport=tcp,portal={}{}{}:{},target={},lun={},initiator-name={}",
        six ? "[" : "", source.host, six ? "]" : "", source.port, first, second, initiator);
    if (!source.user.empty())
      options += fmt::format(",user={},password-secret={}", value(source.user), kImageSecret);
    return options;
  }
  if (source.protocol == "rbd") {
    std::string options =
        fmt::format("driver=rbd,pool={},image={},server.0.host={},server.0.port={}", first, second,
                    source.host, source.port);
    if (!source.user.empty()) {
      options += fmt::format(
          ",user={},key-secret={},auth-client-required.0=cephx,auth-client-required.1=none",
          value(source.user), kImageSecret);
    }
    return options;
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
  const QemuConf conf = qemu_conf();
  ASSIGN_OR_RETURN(auto words, as_qemu_user(conf));
  UniqueFd secret;
  if (!source.secret.empty()) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(source.secret.data());
    ASSIGN_OR_RETURN(secret, memory_file("drover-secret", {bytes, source.secret.size()}));
  }
  ASSIGN_OR_RETURN(auto folder, make_folder_for(conf.user));
  // None of its clients' caches: what another host wrote is what counts.
  words.insert(words.end(),
               {"qemu-nbd", "--read-only", "--shared=1", "--cache=none",
                "--socket=" + (folder / "disk.sock").string(), "--image-opts", options});
  if (secret.valid()) {
    words.insert(words.end(),
                 {"--object", fmt::format("secret,id={},file=/proc/self/fd/3", kImageSecret)});
  }
  auto program = RunningProgram::start(
      {.arguments = std::move(words), .name = "qemu-nbd", .descriptor = secret.get()},
      RunningProgram::Complaints::kKeep);
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

void NetworkImage::remove_left() {
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(kRunFolder, ignored)) {
    if (entry.path().filename().string().starts_with(kFolderPrefix))
      std::filesystem::remove_all(entry.path(), ignored);
  }
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
