// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/device_changes.h"

#include <gtest/gtest.h>

namespace drover {
namespace {

std::string domain(const std::string& devices) {
  return "<domain type='kvm'><name>web01</name><devices><emulator>/bin/qemu</emulator>" + devices +
         "</devices></domain>";
}

std::string card(const char* mac, const char* bridge = "br0") {
  return std::string("<interface type='bridge'><mac address='") + mac + "'/><source bridge='" +
         bridge + "'/></interface>";
}

const char* const kFirst = "52:54:00:00:00:01";
const char* const kSecond = "52:54:00:00:00:02";

TEST(DeviceChanges, NameWhatWasPluggedAndTakenOut) {
  const auto changes =
      device_changes(domain(card(kFirst)),
                     domain(card(kSecond) + "<hostdev mode='subsystem' type='usb'><source>"
                                            "<address bus='1' device='4'/></source></hostdev>"));
  EXPECT_EQ(changes,
            (std::vector<std::string>{"The device interface bridge 52:54:00:00:00:01 is gone.",
                                      "The device hostdev usb 1 4 is new.",
                                      "The device interface bridge 52:54:00:00:00:02 is new."}));
}

TEST(DeviceChanges, NameWhatIsOtherwiseNow) {
  EXPECT_EQ(
      device_changes(domain(card(kFirst)), domain(card(kFirst, "br1"))),
      std::vector<std::string>{"The device interface bridge 52:54:00:00:00:01 is not as it was."});
}

TEST(DeviceChanges, AreNotWhatChangesByItself) {
  const auto agent = [](const char* state) {
    return domain(std::string("<channel type='unix'><target type='virtio' "
                              "name='org.qemu.guest_agent.0' state='") +
                  state + "'/><alias name='" + state + "'/></channel>");
  };
  EXPECT_TRUE(device_changes(agent("connected"), agent("disconnected")).empty());
  const auto memory = [](const char* used) {
    return domain(std::string("<memory model='virtio-mem'><target><size>8</size><current>") + used +
                  "</current></target></memory>");
  };
  EXPECT_TRUE(device_changes(memory("1"), memory("5")).empty());
  const std::string disk = "<disk type='file'><target dev='vda'/></disk>";
  EXPECT_TRUE(device_changes(domain(""), domain(disk)).empty()) << "disks are compared as such";
}

TEST(DeviceChanges, SayNothingOfWhatCannotBeRead) {
  EXPECT_TRUE(device_changes("", domain(card(kFirst))).empty());
  EXPECT_TRUE(device_changes(domain(card(kFirst)), "<domain").empty());
}

TEST(DeviceChanges, TellTwinsApart) {
  const std::string rng =
      "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>";
  EXPECT_EQ(device_changes(domain(rng), domain(rng + rng)),
            std::vector<std::string>{"The device rng virtio (2) is new."});
}

}  // namespace
}  // namespace drover
