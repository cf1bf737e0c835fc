// SPDX-License-Identifier: Apache-2.0
// Disks of a QEMU without a guest (qemu-storage-daemon), watched, written and read.
#include "move/live/live_disks.h"

#include <cstdlib>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "base/file.h"
#include "gate/write_watch.h"
#include "hypervisor/fake/fake.h"
#include "hypervisor/program.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using content::kBlockBytes;

constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
constexpr const char* kMove = "k3f9x2qa";
constexpr std::uint64_t kDiskBytes = 8 << 20;

class LiveDisksTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::system("command -v qemu-storage-daemon qemu-img qemu-io >/dev/null") != 0)
      GTEST_SKIP() << "qemu-storage-daemon is not here";
    ASSERT_TRUE(make_folder(folder_, 0700));
    run(fmt::format("qemu-img create -q -f {} {} {}", GetParam(), image_, kDiskBytes));
    run(fmt::format("qemu-io -f {} -c 'write -q -P 7 1M 64k' {}", GetParam(), image_));
    run(
        fmt::format("qemu-storage-daemon --daemonize --pidfile {0}/pid"
                    " --blockdev driver=file,node-name=file,filename={1}"
                    " --blockdev driver={2},node-name=libvirt-1-format,file=file"
                    " --chardev socket,id=c,path={0}/qmp,server=on,wait=off --monitor c",
                    folder_.string(), image_, GetParam()));
    monitor_ = *net::connect_unix(folder_ / "qmp", net::SocketKind::kStream, Deadline::after(5s));
    (void)line();
    qmp(R"({"execute":"qmp_capabilities"})");
    hypervisor_.qemu = [this](const std::string& command) { return answer(command); };
    ASSERT_TRUE(hypervisor_.define(fmt::format(
        "<domain type='kvm'><name>web01</name><uuid>{}</uuid><memory unit='MiB'>64</memory>"
        "<vcpu>1</vcpu><os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os></domain>",
        kUuid)));
    ASSERT_TRUE(hypervisor_.start(kUuid));
  }
  void TearDown() override {
    if (monitor_) qmp(R"({"execute":"quit"})");
    // The last thing that it removes of its own.
    for (int i = 0; i < 100 && std::filesystem::exists(folder_ / "pid"); ++i)
      std::this_thread::sleep_for(50ms);
    std::filesystem::remove_all(folder_);
  }

  static void run(const std::string& command) { ASSERT_EQ(std::system(command.c_str()), 0); }
  std::string line() {
    std::string text;
    char c = 0;
    while (::recv(monitor_.get(), &c, 1, 0) == 1 && c != '\n') text += c;
    return text;
  }
  // Its answer; events are passed over.
  std::string qmp(const std::string& command) {
    const std::string sent = command + "\n";
    (void)!::send(monitor_.get(), sent.data(), sent.size(), MSG_NOSIGNAL);
    for (std::string text = line(); !text.empty(); text = line())
      if (text.find("\"event\"") == std::string::npos) return text;
    return "";
  }
  // A storage daemon has no drives: the node stands for one.
  std::string answer(const std::string& command) {
    if (command.find("\"query-block\"") == std::string::npos) return qmp(command);
    const Json nodes = Json::parse(qmp(R"({"execute":"query-named-block-nodes"})"))["return"];
    Json drives = Json::array();
    for (const Json& node : nodes) {
      if (node["node-name"] != "libvirt-1-format") continue;
      drives.push_back(
          {{"qdev", "/machine/peripheral/virtio-disk0/virtio-backend"}, {"inserted", node}});
    }
    return Json{{"return", drives}}.dump();
  }
  void watch() {
    const auto command = gate::begin_watch_command(answer(gate::list_disks_command()), kMove);
    ASSERT_TRUE(command);
    ASSERT_TRUE(gate::check_answer(qmp(*command)));
  }
  // What a guest does: through an export of its own, which is not ours.
  void guest_writes(const char* what) {
    const auto at = folder_ / "guest";
    ASSERT_TRUE(gate::check_answer(qmp(fmt::format(
        R"({{"execute":"nbd-server-start","arguments":{{"addr":{{"type":"unix","data":{{"path":"{}"}}}}}}}})",
        at.string()))));
    ASSERT_TRUE(gate::check_answer(
        qmp(R"({"execute":"block-export-add","arguments":{"type":"nbd","id":"guest",)"
            R"("node-name":"libvirt-1-format","name":"guest","writable":true}})")));
    run(fmt::format("qemu-io -f raw -c '{}' 'nbd+unix:///guest?socket={}'", what, at.string()));
    ASSERT_TRUE(gate::check_answer(
        qmp(R"({"execute":"block-export-del","arguments":{"id":"guest","mode":"hard"}})")));
    ASSERT_TRUE(gate::check_answer(qmp(R"({"execute":"nbd-server-stop"})")));
  }
  Result<std::unique_ptr<LiveDisks>> open() {
    return LiveDisks::open(hypervisor_, kUuid, kMove, folder_ / "nbd");
  }
  std::size_t left_in_qemu() {
    const Json nodes = Json::parse(qmp(R"({"execute":"query-named-block-nodes"})"))["return"];
    std::size_t found = Json::parse(qmp(R"({"execute":"query-block-exports"})"))["return"].size();
    for (const Json& node : nodes)
      if (node.contains("dirty-bitmaps")) found += node["dirty-bitmaps"].size();
    return found;
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-live-" + random_name(8));
  const std::string image_ = folder_ / "disk";
  UniqueFd monitor_;
  fake::FakeHypervisor hypervisor_{{}};
};

TEST_P(LiveDisksTest, ReadsAndTellsWhatTheGuestWrote) {
  watch();
  guest_writes("write -q -P 9 2M 4k");
  auto disks = open();
  ASSERT_TRUE(disks) << disks.error().text();
  ASSERT_TRUE((*disks)->find("virtio-disk0"));
  const auto names = (*disks)->names("virtio-disk0", 0, kDiskBytes / kBlockBytes);
  ASSERT_TRUE(names) << names.error().text();
  const content::Namer namer{content::ContentKey{}};
  const std::vector<std::uint8_t> sevens(kBlockBytes, 7), nines(kBlockBytes, 9);
  EXPECT_EQ(names->at(0), content::kZeroName);
  EXPECT_EQ(names->at(256), namer.name(std::span(sevens).first<kBlockBytes>()));
  EXPECT_EQ(names->at(512), namer.name(std::span(nines).first<kBlockBytes>()));
  for (int again = 0; again < 3; ++again) {
    const auto written = (*disks)->written("virtio-disk0", 0, kDiskBytes / kBlockBytes);
    ASSERT_TRUE(written) << written.error().text();
    EXPECT_EQ(*written, (std::vector<mover::DirtyRange>{{2 << 20, 4096}}));
  }
  disks->reset();
  EXPECT_EQ(left_in_qemu(), 1u) << "the watch goes on";
  EXPECT_TRUE(end_watch(hypervisor_, kUuid, kMove));
  EXPECT_EQ(left_in_qemu(), 0u);
  EXPECT_TRUE(end_watch(hypervisor_, kUuid, kMove)) << "twice";
}

// As a droverd that was killed leaves it.
TEST_P(LiveDisksTest, TakesOverWhatAnEarlierOneLeft) {
  watch();
  auto earlier = open();
  ASSERT_TRUE(earlier && (*earlier)->find("virtio-disk0"));
  ASSERT_TRUE((*earlier)->names("virtio-disk0", 0, 1));
  auto later = open();
  ASSERT_TRUE(later) << later.error().text();
  ASSERT_TRUE((*later)->find("virtio-disk0"));
  EXPECT_TRUE((*later)->names("virtio-disk0", 0, 16));
  EXPECT_FALSE((*earlier)->names("virtio-disk0", 0, 16)) << "its server has ended";
}

TEST_P(LiveDisksTest, SaysThatNothingIsWatched) {
  auto disks = open();
  ASSERT_TRUE(disks);
  const auto found = (*disks)->find("virtio-disk0");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE((*disks)->find("virtio-disk7"));
}

TEST_P(LiveDisksTest, LeavesSomebodyElsesServerAlone) {
  watch();
  ASSERT_TRUE(gate::check_answer(qmp(fmt::format(
      R"({{"execute":"nbd-server-start","arguments":{{"addr":{{"type":"unix","data":{{"path":"{}"}}}}}}}})",
      (folder_ / "backup").string()))));
  ASSERT_TRUE(gate::check_answer(
      qmp(R"({"execute":"block-export-add","arguments":{"type":"nbd","id":"libvirt-nbd-vda",)"
          R"("node-name":"libvirt-1-format","name":"vda"}})")));
  const auto disks = open();
  ASSERT_FALSE(disks);
  EXPECT_EQ(disks.error().code, ErrorCode::kConflict);
  EXPECT_TRUE(end_watch(hypervisor_, kUuid, kMove));
  EXPECT_EQ(left_in_qemu(), 1u) << "the backup's export";
}

TEST_P(LiveDisksTest, BelievesNoStrangeAnswer) {
  for (const char* strange : {"", "[]", R"({"return":7})", R"({"return":[7,{"inserted":7}]})",
                              R"({"return":[{"id":7,"dirty-bitmaps":7}]})"}) {
    hypervisor_.qemu = [&](const std::string&) { return std::string(strange); };
    auto disks = open();
    if (disks) {
      EXPECT_FALSE((*disks)->find("virtio-disk0")) << strange;
    }
    (void)end_watch(hypervisor_, kUuid, kMove);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, LiveDisksTest, testing::Values("qcow2", "raw"));

}  // namespace
}  // namespace drover::move
