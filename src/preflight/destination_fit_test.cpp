// SPDX-License-Identifier: Apache-2.0
// Whether a guest finds its network, and what it asks for by number, on the destination.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "base/random.h"
#include "preflight/destination_view.h"
#include "preflight/host_sets.h"

namespace drover::preflight {
namespace {

constexpr const char* kMac = "52:54:00:aa:00:01";

class Fit : public testing::Test {
 protected:
  Fit() {
    proposal_.source.name = "host1";
    proposal_.source.networks.links = {{"lan", 1500, 0, ""}};
    view_.host.name = "host2";
    view_.host.networks.bridges = {"lan", "br1"};
    view_.host.networks.links = {{"lan", 1500, 0, ""}, {"br1", 1500, 0, "prod"}};
    view_.live.vm.name = "web01";
    view_.live.interfaces = {{kMac, "bridge", "lan", "", false}};
    view_.interfaces_there = view_.live.interfaces;
  }
  std::vector<Finding> check(void (*one)(const DestinationView&, Findings&)) {
    Findings findings;
    one(view_, findings);
    return findings.take();
  }
  // The one finding of a check.
  Finding only(void (*one)(const DestinationView&, Findings&), const std::string& code) {
    const auto list = check(one);
    EXPECT_EQ(list.size(), 1u);
    if (list.size() != 1) return {};
    EXPECT_EQ(list[0].code, code);
    EXPECT_FALSE(list[0].fixes.empty());
    EXPECT_TRUE(list[0].what.ends_with('.')) << list[0].what;
    return list[0];
  }

  Proposal proposal_;
  DestinationView view_{proposal_};
};

TEST_F(Fit, SeesThatTheSubnetOfTheGuestIsNotOnTheBridge) {
  proposal_.guest_addresses = {{"52:54:00:AA:00:01", "10.1.0.7", 24}};
  view_.host.networks.addresses = {{"10.1.0.1", 24, "lan", true}};
  EXPECT_TRUE(check(check_guest_subnets).empty()) << "it is";
  view_.host.networks.addresses = {{"10.2.0.1", 24, "lan", true}};
  const Finding absent = only(check_guest_subnets, "GUEST_SUBNET_ABSENT");
  EXPECT_EQ(absent.level, FindingLevel::kWarning);
  EXPECT_TRUE(absent.fixes.at(0).starts_with("--network 52:54:00:aa:00:01=")) << absent.fixes[0];
  view_.host.networks.addresses.push_back({"10.1.0.2", 24, "br1", true});
  EXPECT_TRUE(only(check_guest_subnets, "GUEST_SUBNET_ABSENT")
                  .fixes.at(0)
                  .starts_with("--network 52:54:00:aa:00:01=prod: br1 has an address"));
}

TEST_F(Fit, SaysNothingOfABridgeThatShowsNoSubnet) {
  proposal_.guest_addresses = {{kMac, "10.1.0.7", 24}, {kMac, "fd00::7", 64}};
  EXPECT_TRUE(check(check_guest_subnets).empty());
  view_.host.networks.addresses = {{"10.1.0.1", 24, "lan", true},
                                   {"192.168.1.1", 24, "eth0", false}};
  EXPECT_TRUE(check(check_guest_subnets).empty()) << "no IPv6 address there: nothing is known";
  proposal_.guest_addresses = {{kMac, "fd00::7", 64}};
  view_.host.networks.addresses.push_back({"fd01::1", 64, "lan", true});
  EXPECT_TRUE(only(check_guest_subnets, "GUEST_SUBNET_ABSENT").what.contains("fd00::7"));
}

TEST_F(Fit, TakesACardForRightThatHasOneRightAddress) {
  proposal_.guest_addresses = {{kMac, "192.168.5.7", 24}, {kMac, "10.1.0.7", 24}};
  view_.host.networks.addresses = {{"10.1.0.1", 24, "lan", true}};
  EXPECT_TRUE(check(check_guest_subnets).empty()) << "the other one is a VLAN within the guest";
  view_.host.networks.addresses = {{"10.1.0.1", 24, "eth0", false}};
  EXPECT_TRUE(check(check_guest_subnets).empty()) << "a device of the host's own is no evidence";
}

TEST_F(Fit, KnowsTheBridgeOfANetwork) {
  view_.live.interfaces[0].type = "network";
  view_.live.interfaces[0].source = "prod";
  proposal_.guest_addresses = {{kMac, "10.1.0.7", 24}};
  view_.host.networks.addresses = {{"10.2.0.1", 24, "br1", true}};
  only(check_guest_subnets, "GUEST_SUBNET_ABSENT");
}

TEST_F(Fit, ComparesTheSizeOfPackets) {
  EXPECT_TRUE(check(check_mtu).empty());
  proposal_.source.networks.links = {{"lan", 9000, 0, ""}};
  const Finding smaller = only(check_mtu, "MTU_SMALLER");
  EXPECT_EQ(smaller.level, FindingLevel::kWarning);
  EXPECT_TRUE(smaller.what.contains("up to 1500 bytes")) << smaller.what;
  view_.host.networks.links[0].mtu = 9000;
  EXPECT_TRUE(check(check_mtu).empty());
}

TEST_F(Fit, FindsAnotherVmOfTheSameMac) {
  view_.macs_here = {{"52:54:00:aa:00:02", "db01"}};
  EXPECT_TRUE(check(check_macs).empty());
  view_.macs_here = {{kMac, "db01"}};
  EXPECT_TRUE(only(check_macs, "MAC_TAKEN").what.starts_with("db01 on host2"));
}

TEST_F(Fit, TellsOfAMapToNothing) {
  proposal_.request.interfaces = {{"lan", "nowhere"}};
  EXPECT_EQ(only(check_interface_map, "NETWORK_MAP_UNKNOWN").level, FindingLevel::kBlocker);
  EXPECT_TRUE(check(check_networks).empty()) << "it is said once";
}

TEST_F(Fit, CountsHugePages) {
  EXPECT_TRUE(check(check_huge_pages).empty());
  view_.live.huge_pages = true;
  view_.live.vm.memory = gib(1);
  EXPECT_EQ(only(check_huge_pages, "HUGE_PAGES").level, FindingLevel::kBlocker);
  view_.huge_pages_free = mib(512);
  EXPECT_TRUE(only(check_huge_pages, "HUGE_PAGES").what.contains("512"));
  view_.huge_pages_free = gib(1);
  EXPECT_TRUE(check(check_huge_pages).empty());
}

TEST_F(Fit, ComparesNodesAndProcessorsByNumber) {
  view_.live.numa_nodes = {"0-1"};
  view_.live.cpu_sets = {"0-3", "^2,4-5"};
  EXPECT_TRUE(check(check_numa).empty()) << "the kernel says nothing";
  view_.nodes_online = "0-1\n";
  view_.cpus_online = "0-7\n";
  EXPECT_TRUE(check(check_numa).empty());
  EXPECT_TRUE(check(check_pinning).empty());
  view_.nodes_online = "0\n";
  view_.cpus_online = "0-3\n";
  EXPECT_TRUE(only(check_numa, "NUMA_PLACEMENT").what.contains("no node 1"));
  EXPECT_TRUE(only(check_pinning, "CPU_PINNING").what.contains("no processor 4"));
  EXPECT_EQ(only(check_pinning, "CPU_PINNING").level, FindingLevel::kBlocker);
  view_.live.cpu_sets = {"2-5"};
  EXPECT_EQ(only(check_pinning, "CPU_PINNING").level, FindingLevel::kWarning);
}

TEST_F(Fit, AsksForSecretsByUuidOrUsage) {
  view_.live.secrets = {"11111111-2222-4333-8444-555555555555", "ceph-web"};
  EXPECT_TRUE(check(check_secrets).empty()) << "they could not be listed";
  view_.secrets = {"11111111-2222-4333-8444-555555555555"};
  EXPECT_EQ(only(check_secrets, "SECRET_MISSING").object, "ceph-web");
}

TEST_F(Fit, KnowsWhenLibvirtHandsNoImageOver) {
  view_.gives_images = false;
  view_.qemu_user = "libvirt-qemu";
  EXPECT_TRUE(check(check_image_owner).empty()) << "nothing is copied";
  view_.placements.emplace_back();
  EXPECT_EQ(only(check_image_owner, "IMAGES_NOT_GIVEN").level, FindingLevel::kBlocker);
  view_.qemu_user = "root";
  EXPECT_TRUE(check(check_image_owner).empty());
}

TEST(NumberSet, ReadsWhatKernelAndLibvirtWrite) {
  EXPECT_EQ(parse_number_set("0-3,^2,8\n"), (std::set<unsigned>{0, 1, 3, 8}));
  EXPECT_EQ(parse_number_set(""), std::set<unsigned>{});
  for (const char* none : {"a", "3-1", "1-", "0-99999999", "1,,2", "-1"})
    EXPECT_FALSE(parse_number_set(none)) << none;
  EXPECT_EQ(first_missing("0-4", "0-3"), 4u);
  EXPECT_FALSE(first_missing("x", "0-3"));
}

TEST(HugePages, AreReadFromTheKernelsFiles) {
  const auto folder = std::filesystem::temp_directory_path() / ("drover-huge-" + random_name(8));
  std::filesystem::create_directories(folder / "hugepages-2048kB");
  std::ofstream(folder / "hugepages-2048kB/free_hugepages") << "3\n";
  std::ofstream(folder / "meminfo") << "MemTotal: 1 kB\nHugepagesize:       2048 kB\n";
  const std::string meminfo = (folder / "meminfo").string();
  EXPECT_EQ(free_huge_pages({}, folder.string(), meminfo), mib(6));
  EXPECT_EQ(free_huge_pages(mib(2), folder.string(), meminfo), mib(6));
  EXPECT_FALSE(free_huge_pages(gib(1), folder.string(), meminfo));
  std::ofstream(folder / "hugepages-2048kB/nr_overcommit_hugepages") << "5\n";
  std::ofstream(folder / "hugepages-2048kB/surplus_hugepages") << "1\n";
  EXPECT_EQ(free_huge_pages({}, folder.string(), meminfo), mib(14)) << "four more on demand";
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace drover::preflight
