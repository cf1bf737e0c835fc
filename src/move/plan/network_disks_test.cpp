// SPDX-License-Identifier: Apache-2.0
#include "move/plan/network_disks.h"

#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/big_endian.h"
#include "model/network_disk.h"
#include "move/plan/network_disk_count.h"
#include "move/plan/network_marks.h"
#include "net/dial.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;
using preflight::DiskMark;
using Marks = std::vector<DiskMark>;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kBlock = 4096;

// A server of one export: fixed newstyle, GO, READ (NBD's proto.md). One connection after the
// other.
class Server {
 public:
  Server(Bytes disk, bool one_picture) : disk_(std::move(disk)), one_picture_(one_picture) {
    auto listener = net::listen_tcp({"0.0.0.0", 0});
    if (!listener) return;
    listener_ = std::move(*listener);
    port = net::local_address(listener_.get())->port;
    thread_ = std::jthread([this] { serve(); });
  }
  ~Server() { ::shutdown(listener_.get(), SHUT_RDWR); }

  std::uint16_t port = 0;
  Bytes& disk() { return disk_; }

 private:
  static bool take(int socket, std::span<std::uint8_t> bytes) {
    return ::recv(socket, bytes.data(), bytes.size(), MSG_WAITALL) ==
           static_cast<ssize_t>(bytes.size());
  }
  static void say(int socket, const Bytes& bytes) {
    static_cast<void>(::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  void serve() {
    while (true) {
      const UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!socket) return;
      talk(socket.get());
    }
  }
  void talk(int socket) {
    Bytes hello(18);
    store_be(&hello[0], std::uint64_t{0x4e42444d41474943});
    store_be(&hello[8], std::uint64_t{0x49484156454f5054});
    hello[17] = 3;
    say(socket, hello);
    Bytes go(4 + 16);
    if (!take(socket, go)) return;
    Bytes rest(load_be<std::uint32_t>(&go[16]));
    if (!take(socket, rest)) return;
    say_reply(socket, 3, information());
    say_reply(socket, 1, {});
    Bytes request(28);
    while (take(socket, request)) {
      Bytes reply(16);
      store_be(&reply[0], std::uint32_t{0x67446698});
      std::copy_n(request.begin() + 8, 8, reply.begin() + 8);
      const auto offset = load_be<std::uint64_t>(&request[16]);
      const auto bytes = load_be<std::uint32_t>(&request[24]);
      const auto from = disk_.begin() + static_cast<std::ptrdiff_t>(offset);
      reply.insert(reply.end(), from, from + bytes);
      say(socket, reply);
    }
  }
  Bytes information() const {
    Bytes data(12);
    store_be(&data[2], std::uint64_t{disk_.size()});
    store_be(&data[10], static_cast<std::uint16_t>(one_picture_ ? 0x101 : 1));
    return data;
  }
  static void say_reply(int socket, std::uint32_t type, const Bytes& data) {
    Bytes reply(20);
    store_be(&reply[0], std::uint64_t{0x0003e889045565a9});
    store_be(&reply[8], std::uint32_t{7});
    store_be(&reply[12], type);
    store_be(&reply[16], static_cast<std::uint32_t>(data.size()));
    reply.insert(reply.end(), data.begin(), data.end());
    say(socket, reply);
  }

  Bytes disk_;
  const bool one_picture_;
  UniqueFd listener_;
  std::jthread thread_;
};

// 4 MiB; every third block holds something, no two the same.
Bytes some_disk(std::uint8_t seed = 1, std::size_t step = 3) {
  Bytes disk(1024 * kBlock);
  for (std::size_t block = 0; block < 1024; block += step) {
    store_be(&disk[block * kBlock], std::uint64_t{block + 1});
    disk[block * kBlock + 9] = seed;
  }
  return disk;
}

DiskFacts disk_at(const std::string& host, std::uint16_t port) {
  DiskFacts facts;
  facts.disk.target = "vdb";
  facts.disk.kind = DiskKind::kNetwork;
  facts.disk.format = "raw";
  facts.network.protocol = "nbd";
  facts.network.host = host;
  facts.network.port = fmt::format("{}", port);
  facts.network.name = "web";
  facts.network_plain = true;
  return facts;
}

Deadline limit() { return Deadline::after(10s); }

Result<std::string> no_secrets(const SecretName&) {
  return fail(ErrorCode::kNotFound, "There are none.");
}

// An address by which this machine reaches itself and that is not its loopback.
class NetworkDiskAt : public testing::Test {
 protected:
  void SetUp() override {
    address_ = net::likely_own_address();
    if (address_.find_first_not_of("0123456789.") != std::string::npos ||
        address_.starts_with("127."))
      GTEST_SKIP() << "this machine has no address but its loopback";
  }
  Result<NetworkDisk> open(const Server& server) {
    return NetworkDisk::open(disk_at(address_, server.port), "", look_);
  }
  NetworkLook look_{no_secrets, limit()};
  std::string address_;
};

TEST_F(NetworkDiskAt, TheSameDiskAgreesAndAnotherDoesNot) {
  Server one(some_disk(), true), other(some_disk(2), true);
  auto source = open(one);
  ASSERT_TRUE(source) << source.error().text();
  EXPECT_EQ(source->name(), fmt::format("nbd://{}:{}/web", address_, one.port));
  EXPECT_EQ(source->size(), ByteCount{1024 * kBlock});
  const auto marks = source->make_marks("vdb", MarkUse::kReport, limit());
  ASSERT_TRUE(marks);
  EXPECT_EQ(marks->size(), kMarksMost);
  *source = open(other).value();
  const auto there = source->read_marks("vdb", MarkUse::kReport, *marks, limit());
  ASSERT_TRUE(there);
  EXPECT_NE(difference(*marks, *there, *marks), "");
  *source = open(one).value();
  const auto same = source->read_marks("vdb", MarkUse::kReport, *marks, limit());
  ASSERT_TRUE(same);
  EXPECT_EQ(difference(*marks, *same, *marks), "");
}

TEST_F(NetworkDiskAt, WhatADestinationTellsOfABlockIsNoProofInAReservation) {
  Server server(some_disk(), true);
  auto disk = open(server);
  ASSERT_TRUE(disk);
  const auto own = disk->make_marks("vdb", MarkUse::kReservation, limit());
  ASSERT_TRUE(own);
  const auto told = disk->read_marks("vdb", MarkUse::kReport, *own, limit());
  ASSERT_TRUE(told);
  const auto found = disk->read_marks("vdb", MarkUse::kReservation, *told, limit());
  ASSERT_TRUE(found);
  EXPECT_EQ(not_shown_by(*own, *found), "");
  EXPECT_NE(not_shown_by(*told, *found), "") << "a peer could have asked for it";
}

// Of the 16 that are drawn, none lies there by chance once in 2^48 runs.
TEST_F(NetworkDiskAt, MarksComeFromAllOverAFullDisk) {
  Server server(some_disk(1, 1), true);
  auto disk = open(server);
  ASSERT_TRUE(disk);
  const auto marks = disk->make_marks("vdb", MarkUse::kReport, limit());
  ASSERT_TRUE(marks);
  EXPECT_EQ(marks->size(), kMarksMost);
  EXPECT_TRUE(std::ranges::any_of(*marks, [](const DiskMark& mark) {
    return mark.where.start >= 128 * kBlock;
  })) << "all lie in the first eighth";
}

TEST_F(NetworkDiskAt, AnEmptyDiskProvesNothing) {
  Server server(Bytes(64 * kBlock), true);
  auto disk = open(server);
  ASSERT_TRUE(disk);
  const auto marks = disk->make_marks("vdb", MarkUse::kReport, limit());
  ASSERT_TRUE(marks);
  EXPECT_TRUE(marks->empty());
  EXPECT_NE(difference(*marks, *marks, *marks), "");
}

TEST_F(NetworkDiskAt, AServerThatPromisesNothingBetweenConnectionsIsRefused) {
  Server server(some_disk(), false);
  const auto disk = open(server);
  ASSERT_FALSE(disk);
  EXPECT_TRUE(disk.error().text().contains("--shared")) << disk.error().text();
}

TEST_F(NetworkDiskAt, AnImageThatStandsOnAnotherIsRefused) {
  Bytes image = some_disk();
  store_be(&image[0], std::uint32_t{0x514649fb});
  store_be(&image[4], std::uint32_t{3});
  store_be(&image[8], std::uint64_t{0});
  store_be(&image[72], std::uint64_t{0});
  const auto opens = [&] {
    Server server(image, true);
    DiskFacts facts = disk_at(address_, server.port);
    facts.disk.format = "qcow2";
    return static_cast<bool>(NetworkDisk::open(facts, "", look_));
  };
  EXPECT_TRUE(opens());
  store_be(&image[8], std::uint64_t{512});  // the name of its backing file
  EXPECT_FALSE(opens());
  store_be(&image[8], std::uint64_t{0});
  store_be(&image[72], std::uint64_t{4});  // its data lies in another file
  EXPECT_FALSE(opens());
}

TEST(NetworkDisk, AnAddressThatEachHostHasItselfIsRefused) {
  Server server(some_disk(), true);
  for (const char* host : {"127.0.0.1", "localhost"}) {
    NetworkLook look{no_secrets, limit()};
    const auto disk = NetworkDisk::open(disk_at(host, server.port), "", look);
    ASSERT_FALSE(disk);
    EXPECT_TRUE(disk.error().text().contains("another server on each host"));
  }
}

TEST(NetworkDisk, ManyOrTwoOfOneNameAreRefusedBeforeAServerIsSpokenTo) {
  std::vector<std::string> targets;
  while (targets.size() < kNetworkDisksMost) targets.push_back(fmt::format("vd{}", targets.size()));
  EXPECT_TRUE(check_few(targets));
  targets.back() = "vd0";
  EXPECT_FALSE(check_few(targets));
  targets.back() = "vdx";
  targets.emplace_back("vdy");
  EXPECT_FALSE(check_few(targets));
  const std::string disk =
      "<disk type='network' device='disk'><driver type='raw'/><source protocol='nbd' name='web'>"
      "<host name='127.0.0.1' port='1'/></source><target dev='vdb'/></disk>";
  const auto read = NetworkMarks::read(
      "<domain type='kvm'><name>a</name><uuid>6a0e9c1e-5f5c-4a63-9a1e-1f2d3c4b5a69</uuid>"
      "<devices>" +
          disk + disk + "</devices></domain>",
      no_secrets);
  ASSERT_EQ(read.disks.size(), 2u);
  EXPECT_TRUE(read.disks[0].trouble.contains("called vdb")) << read.disks[0].trouble;
}

Marks marks(std::initializer_list<std::uint64_t> names) {
  Marks list;
  for (const std::uint64_t name : names) list.push_back({"vdb", {list.size() * kBlock, name}});
  return list;
}

TEST(NetworkDiskProof, ABlockThatTheGuestWroteIsLeftOutAndEveryOtherMustAgree) {
  const Marks before = marks({1, 2, 3, 4, 5, 6});
  EXPECT_EQ(difference(before, before, before), "");
  EXPECT_EQ(difference(before, marks({1, 2, 3, 4, 50, 6}), marks({1, 2, 3, 4, 51, 6})), "");
  EXPECT_NE(difference(before, marks({1, 2, 3, 4, 50, 6}), before), "");
  EXPECT_NE(difference(before, marks({1, 2, 3}), before), "") << "not all were read";
  EXPECT_NE(difference(before, before, marks({1, 2, 3, 40, 50, 60})), "") << "too few stood still";
}

TEST(NetworkDiskProof, BlocksThatAreAlikeCountOnce) {
  const Marks alike = marks({7, 7, 7, 7, 7, 7});
  EXPECT_NE(difference(alike, alike, alike), "") << "so any disk might begin";
}

TEST(NetworkDiskProof, AReservationNeedsHalfOfItsMarksAndNoFewerThanFour) {
  const Marks told = marks({1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(not_shown_by(told, told), "");
  EXPECT_EQ(not_shown_by(told, marks({1, 2, 3, 4, 50, 60, 70, 80})), "");
  EXPECT_NE(not_shown_by(told, marks({1, 2, 3, 40, 50, 60, 70, 80})), "");
  const Marks more = marks({1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_NE(not_shown_by(more, marks({1, 2, 3, 4, 50, 60, 70, 80, 90})), "") << "less than half";
  EXPECT_NE(not_shown_by(marks({1, 2, 3}), marks({1, 2, 3})), "");
  EXPECT_NE(not_shown_by(marks({1, 2, 3, 3, 3}), marks({1, 2, 3, 3, 3})), "") << "alike";
  EXPECT_NE(not_shown_by({}, {}), "");
}

std::string definition(const std::string& source, const std::string& below = "") {
  return "<domain type='kvm'><name>a</name><uuid>6a0e9c1e-5f5c-4a63-9a1e-1f2d3c4b5a69</uuid>"
         "<devices><disk type='network' device='disk'><driver name='qemu' type='raw'/>" +
         source + below + "<target dev='vdb'/></disk></devices></domain>";
}

std::string uri_in(const std::string& xml) {
  const auto domain = parse_domain(xml);
  return domain && domain->disks.size() == 1 ? network_uri(domain->disks[0]) : "none";
}

DiskFacts only_disk(const std::string& xml) {
  const auto domain = parse_domain(xml);
  return domain && domain->disks.size() == 1 ? domain->disks[0] : DiskFacts{};
}

TEST(NetworkDisk, MonitorsOfAClusterNameOneDiskEach) {
  const std::string hosts = "<host name='m1'/><host name='m2' port='6790'/><host name='fd00::9'/>";
  const std::string auth = "<auth username='vms'><secret type='ceph' usage='vms key'/></auth>";
  const auto disk = only_disk(
      definition("<source protocol='rbd' name='pool/web.1'>" + hosts + auth + "</source>"));
  EXPECT_EQ(network_uris(disk),
            (std::vector<std::string>{"rbd://m1:6789/pool/web.1", "rbd://m2:6790/pool/web.1",
                                      "rbd://[fd00::9]:6789/pool/web.1"}));
  EXPECT_EQ(disk.network.user, "vms");
  EXPECT_EQ(disk.network.secret.type, "ceph");
  EXPECT_EQ(disk.network.secret.usage, "vms key");

  std::vector<std::string> rules{"rbd://m1", "rbd://m2:6790"};
  EXPECT_FALSE(admits_servers_of(rules, disk)) << "any of them may be asked";
  rules.emplace_back("rbd://[fd00::9]:6789/pool/web.1");
  EXPECT_TRUE(admits_servers_of(rules, disk));

  const auto elsewhere = only_disk(
      definition("<source protocol='rbd' name='pool/web.1'>" + hosts + "</source>", auth));
  EXPECT_TRUE(same_network_disk(disk, elsewhere)) << "libvirt takes <auth> in either place";
  DiskFacts another = disk;
  another.network.secret.usage = "other";
  EXPECT_FALSE(same_network_disk(disk, another));
  another = disk;
  another.network.further.pop_back();
  EXPECT_FALSE(same_network_disk(disk, another));
}

TEST(NetworkDisk, OnlyAPlainExportHasAName) {
  const std::string host = "<host name='storage1' port='10810'/>";
  EXPECT_EQ(uri_in(definition("<source protocol='nbd' name='web'>" + host + "</source>")),
            "nbd://storage1:10810/web");
  EXPECT_EQ(uri_in(definition("<source protocol='nbd' tls='no'><host name='fd00::9' "
                              "transport='tcp'/></source>")),
            "nbd://[fd00::9]:10809/");
  EXPECT_EQ(uri_in(definition("<source protocol='iscsi' name='iqn.2026-11.example:vms/12'><host "
                              "name='storage1'/></source>")),
            "iscsi://storage1:3260/iqn.2026-11.example:vms/12");
  EXPECT_EQ(
      uri_in(definition("<source protocol='gluster' name='vms/a/web.img'>" + host + "</source>")),
      "gluster://storage1:10810/vms/a/web.img");
  const std::string names[] = {"iqn.a",     "iqn.a/",  "iqn.a/x",   "iqn.a/01",   "/1",
                               "iqn.a/1/2", "iqn a/1", "iqn.a/256", "iqn.a/65537"};
  for (const std::string& name : names) {
    const std::string source = "<source protocol='iscsi' name='" + name + "'>";
    EXPECT_EQ(uri_in(definition(source + host + "</source>")), "") << name;
  }
  for (const std::string name :
       {"vms", "vms/", "/a", "vms/../a", "vms/a/./b", "vms//a", "v,s/a", "vms/a,b"}) {
    const std::string source = "<source protocol='gluster' name='" + name + "'>";
    EXPECT_EQ(uri_in(definition(source + host + "</source>")), "") << name;
  }
  const std::string auth = "<auth username='a'><secret type='ceph' uuid='b'/></auth>";
  for (const std::string& source : {
           "<source protocol='iscsi' name='iqn.a/1'>" + host + "<initiator/></source>",
           "<source protocol='gluster' name='vms/a'>" + host + auth + "</source>",
           "<source protocol='rbd' name='web'>" + host + "</source>",
           "<source protocol='rbd' name='pool/space/web'>" + host + "</source>",
           "<source protocol='rbd' name='pool/web@then'>" + host + "</source>",
           "<source protocol='rbd' name='pool/web'>" + host + "<host name='a/b'/></source>",
           "<source protocol='rbd' name='pool/web'>" + host + "<auth username='a'/></source>",
           "<source protocol='rbd' name='pool/web'>" + host + auth + auth + "</source>",
           "<source protocol='rbd' name='pool/web'>" + host +
               "<auth username=''><secret type='ceph' uuid='b'/></auth></source>",
           "<source protocol='rbd' name='pool/web'>" + host +
               "<auth username='a'><secret type='iscsi' uuid='b'/></auth></source>",
           "<source protocol='rbd' name='pool/web'>" + host +
               "<auth username='a'><secret type='ceph' uuid='b' usage='c'/></auth></source>",
           "<source protocol='rbd' name='pool/web'>" + host + "<snapshot name='a'/></source>",
           "<source protocol='rbd' name='pool/web'>" + host + "<config file='/a'/></source>",
           std::string("<source protocol='rbd' name='pool/web'/>"),
           "<source protocol='iscsi' name='iqn.a/1'>" + host + host + "</source>",
           "<source protocol='nbd' name='web'>" + host + auth + "</source>",
           "<source protocol='nbd' name='web' tls='yes'>" + host + "</source>",
           "<source protocol='nbd' name='web'>" + host + host + "</source>",
           "<source protocol='nbd' name='web'>" + host + "<auth username='a'/></source>",
           std::string("<source protocol='nbd'><host transport='unix' socket='/a'/></source>"),
           std::string("<source protocol='nbd'><host name='a/b'/></source>"),
           std::string("<source protocol='nbd'><host name='a' port='x'/></source>"),
           std::string("<source protocol='nbd'/>"),
       })
    EXPECT_EQ(uri_in(definition(source)), "") << source;
  EXPECT_EQ(uri_in(definition("<source protocol='nbd' name='web'>" + host + "</source>", auth)),
            "");
  const std::string image = "<source protocol='rbd' name='pool/web'>" + host;
  EXPECT_NE(uri_in(definition(image + "</source>", auth)), "");
  EXPECT_EQ(uri_in(definition(image + auth + "</source>", auth)), "")
      << "libvirt takes one of them";
  EXPECT_EQ(uri_in(definition("<source protocol='nbd' name='web'>" + host + "</source>",
                              "<backingStore type='file'><source file='/b'/></backingStore>")),
            "");
}

}  // namespace
}  // namespace drover::move
