// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/image_server.h"

#include <chrono>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/deadline.h"
#include "hypervisor/file_identity.h"
#include "hypervisor/program.h"
#include "hypervisor/qemu_conf.h"
#include "hypervisor/volume_pool.h"

namespace drover {
namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kLook = 50ms;
constexpr auto kStartLimit = 10s;
constexpr auto kEndLimit = 30s;  // it writes what it holds before it goes
constexpr std::size_t kConnectionsMax = 100;

Status give(const ServedDisk& disk, const QemuConf& conf) {
  // A logical volume's path is a link.
  const int follow = disk.volume ? 0 : O_NOFOLLOW;
  const UniqueFd image(::open(disk.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | follow));
  if (!image) return fail_errno("Cannot open " + disk.path);
  ASSIGN_OR_RETURN(const SeenFile seen, see_file_behind(image.get(), disk.path));
  if (!disk.volume && (!seen.regular || seen.identity != disk.identity))
    return fail(ErrorCode::kConflict, "{} is another file by now.", disk.path);
  RETURN_IF_ERROR(give_image_to_qemu(image.get(), conf));
  return {};
}

std::vector<std::string> server_words(const std::vector<ServedDisk>& disks,
                                      const std::filesystem::path& socket) {
  std::vector<std::string> words{"qemu-storage-daemon"};
  int number = 0;
  for (const ServedDisk& disk : disks) {
    const std::string node = fmt::format("disk{}", number++);
    const char* const discard = disk.allocation == Allocation::kFull ? "ignore" : "unmap";
    Json blockdev{
        {"driver", disk.format},
        {"node-name", node},
        {"discard", discard},
        {"file",
         {{"driver", storage_driver(disk.path)}, {"filename", disk.path}, {"discard", discard}}}};
    if (disk.allocation == Allocation::kThin) blockdev["detect-zeroes"] = "unmap";
    if (disk.volume) blockdev["size"] = disk.volume->bytes;
    words.insert(words.end(), {"--blockdev", blockdev.dump()});
  }
  const Json server{{"addr", {{"type", "unix"}, {"path", socket.string()}}},
                    {"max-connections", kConnectionsMax}};
  words.insert(words.end(), {"--nbd-server", server.dump()});
  number = 0;
  for (const ServedDisk& disk : disks) {
    const std::string node = fmt::format("disk{}", number++);
    const Json served{{"type", "nbd"},
                      {"id", "of-" + node},
                      {"node-name", node},
                      {"name", disk.name},
                      {"writable", true}};
    words.insert(words.end(), {"--export", served.dump()});
  }
  return words;
}

}  // namespace

Result<std::unique_ptr<ImageServer>> ImageServer::start(const std::vector<ServedDisk>& disks,
                                                        std::filesystem::path socket) {
  const QemuConf conf = qemu_conf();
  ASSIGN_OR_RETURN(auto words, as_qemu_user(conf));
  for (const ServedDisk& disk : disks) RETURN_IF_ERROR(give(disk, conf));
  const auto server = server_words(disks, socket);
  words.insert(words.end(), server.begin(), server.end());
  std::unique_ptr<ImageServer> made(new ImageServer(std::move(socket)));
  made->keeper_ = std::jthread(
      [served = made.get(), words](const std::stop_token& stop) { served->keep(stop, words); });
  std::unique_lock lock(made->mutex_);
  made->changed_.wait(lock, [&] { return made->begun_ || made->ended_; });
  lock.unlock();
  RETURN_IF_ERROR(made->await_socket());
  return made;
}

Status ImageServer::await_socket() {
  for (const Deadline limit = Deadline::after(kStartLimit); !limit.expired();) {
    if (::access(socket_.c_str(), F_OK) == 0) return {};
    {
      const std::lock_guard lock(mutex_);
      if (ended_ && !*ended_) return *ended_;
    }
    std::this_thread::sleep_for(kLook / 5);
  }
  return fail(ErrorCode::kTimeout, "The server of images does not answer.");
}

// The program dies with the thread that started it, whose only work this is.
void ImageServer::keep(const std::stop_token& stop, const std::vector<std::string>& arguments) {
  auto running = RunningProgram::start({.arguments = arguments, .name = "qemu-storage-daemon"},
                                       RunningProgram::Complaints::kKeep);
  const auto tell = [&](bool begun, std::optional<Status> ended) {
    const std::lock_guard lock(mutex_);
    begun_ = begun;
    ended_ = std::move(ended);
    changed_.notify_all();
  };
  if (!running) return tell(false, std::unexpected(running.error()));
  tell(true, std::nullopt);
  while (!stop.stop_requested() && !running->ended()) std::this_thread::sleep_for(kLook);
  const bool by_itself = running->ended();
  if (!by_itself) running->ask_to_end();
  for (const Deadline limit = Deadline::after(kEndLimit); !running->ended() && !limit.expired();)
    std::this_thread::sleep_for(kLook / 5);
  if (by_itself)
    return tell(true, fail(ErrorCode::kSystem, "{}",
                           running->result() ? "The server of images ended."
                                             : running->result().error().text()));
  if (!running->ended())
    return tell(true, fail(ErrorCode::kSystem, "The server of images does not end."));
  tell(true, running->result());
}

bool ImageServer::alive() {
  const std::lock_guard lock(mutex_);
  return !ended_;
}

Status ImageServer::stop() {
  keeper_.request_stop();
  if (keeper_.joinable()) keeper_.join();
  ::unlink(socket_.c_str());
  const std::lock_guard lock(mutex_);
  return ended_.value_or(Status{});
}

ImageServer::~ImageServer() { (void)stop(); }

}  // namespace drover
