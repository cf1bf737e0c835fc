// SPDX-License-Identifier: Apache-2.0
#include "journal/host_book.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "journal/settings_change.h"
#include "model/network_disk.h"

namespace drover::journal {
namespace {

using Op = SettingChange::Op;

Peer peer_named(std::string_view name, char key = 'a') {
  return {std::string(name), "10.0.0.2", 7430, 7431, std::string(64, key), {}, PeerState::kPaired};
}

class HostBookTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    reopen();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void reopen() {
    book_.reset();
    database_.reset();
    database_ = *Database::open(folder_ / "drover.db");
    book_ = *HostBook::open(*database_);
  }

  const std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("drover-" + random_name(8));
  std::unique_ptr<Database> database_;
  std::unique_ptr<HostBook> book_;
};

TEST_F(HostBookTest, PeersSurviveARestart) {
  Peer peer = peer_named("host2");
  peer.state = PeerState::kWaiting;
  ASSERT_TRUE(book_->put_peer(peer, std::string(64, 'b')));
  reopen();
  EXPECT_EQ(book_->introduced_by("host2"), std::string(64, 'b'));
  EXPECT_EQ(book_->find_peer_by_key(peer.public_key)->state, PeerState::kWaiting);
  ASSERT_TRUE(book_->approve_peer("host2"));
  EXPECT_EQ(book_->approve_peer("host2").error().code, ErrorCode::kConflict);
  ASSERT_TRUE(book_->set_rights("host2", {true, false, true, false}));
  reopen();
  EXPECT_EQ(book_->find_peer("host2")->state, PeerState::kPaired);
  EXPECT_TRUE(book_->find_peer("host2")->rights.command);
  ASSERT_TRUE(book_->remove_peer("host2"));
  reopen();
  EXPECT_TRUE(book_->peers().empty());
}

TEST_F(HostBookTest, OneNameIsOneKey) {
  ASSERT_TRUE(book_->put_peer(peer_named("host2", 'a')));
  const auto conflict = book_->put_peer(peer_named("host2", 'b'));
  EXPECT_EQ(conflict.error().code, ErrorCode::kConflict);
  EXPECT_NE(conflict.error().message.find("--name"), std::string::npos);
}

TEST_F(HostBookTest, PairingTheSameKeyAgainReplacesTheEntry) {
  ASSERT_TRUE(book_->put_peer(peer_named("host2", 'a')));
  ASSERT_TRUE(book_->put_peer(peer_named("other", 'a')));
  reopen();
  ASSERT_EQ(book_->peers().size(), 1u);
  EXPECT_EQ(book_->peers()[0].name, "other");
}

TEST_F(HostBookTest, RefusesNamesKeysAndPortsThatAreNone) {
  for (const auto* name : {"", "-a", "a b", "a/b", "a@b", ".."})
    EXPECT_FALSE(book_->put_peer(peer_named(name)));
  EXPECT_FALSE(book_->put_peer(peer_named("host2", 'z')));
  Peer peer = peer_named("host2");
  peer.api_port = 0;
  EXPECT_FALSE(book_->put_peer(peer));
  EXPECT_EQ(book_->find_peer("x").error().code, ErrorCode::kNotFound);
}

TEST_F(HostBookTest, TokensAreFoundBySecretUntilRemoved) {
  const auto token = book_->add_token("ci", "secret");
  ASSERT_TRUE(token);
  EXPECT_EQ(book_->add_token("ci", "other").error().code, ErrorCode::kConflict);
  reopen();
  EXPECT_EQ(book_->find_token("secret")->name, "ci");
  EXPECT_FALSE(book_->find_token("Secret"));
  ASSERT_TRUE(book_->remove_token(token->id));
  EXPECT_FALSE(book_->find_token("secret"));
  reopen();
  EXPECT_FALSE(book_->find_token("secret"));
}

TEST_F(HostBookTest, TheFileHoldsNoTokenInTheClear) {
  ASSERT_TRUE(book_->add_token("ci", "a-very-secret-token"));
  auto statement = database_->prepare("SELECT hash FROM tokens");
  ASSERT_TRUE(statement->step());
  EXPECT_EQ(statement->text(0).find("secret"), std::string::npos);
}

TEST_F(HostBookTest, SettingsChangeTogetherOrNotAtAll) {
  EXPECT_FALSE(book_->settings().incoming) << "moves are off until pairing or a user turns them on";
  const auto changed = book_->change_settings({{"incoming", Op::kSet, "on"},
                                               {"allowed_folders", Op::kAdd, "/srv/a,/srv/b"},
                                               {"allowed-folders", Op::kRemove, "/srv/a"}});
  ASSERT_TRUE(changed) << changed.error().text();
  EXPECT_FALSE(book_->change_settings({{"outgoing", Op::kSet, "on"}, {"colour", Op::kSet, "red"}}));
  reopen();
  EXPECT_TRUE(book_->settings().incoming);
  EXPECT_FALSE(book_->settings().outgoing);
  EXPECT_EQ(book_->settings().allowed_folders,
            (std::vector<std::string>{"/var/lib/libvirt/images", "/srv/b"}));
}

TEST(SettingsChange, RefusesWhatCannotBeMeant) {
  HostSettings settings;
  const std::vector<SettingChange> wrong = {
      {"colour", Op::kSet, "red"},
      {"incoming", Op::kSet, "maybe"},
      {"incoming", Op::kAdd, "on"},
      {"allowed-folders", Op::kSet, ""},
      {"allowed-folders", Op::kAdd, "srv"},
      {"allowed-folders", Op::kAdd, "/srv/../etc"},
      {"allowed-folders", Op::kAdd, "/srv/"},
      {"allowed-folders", Op::kAdd, "/"},
      {"allowed-folders", Op::kAdd, "/a//b"},
      {"allowed-folders", Op::kAdd, "/a/./b"},
      {"allowed-folders", Op::kRemove, "/srv"},
      {"allowed-folders", Op::kRemove, "/var/lib/libvirt/images"},
      {"default-folder", Op::kAdd, "/srv"},
      {"default-folder", Op::kSet, "relative"},
      {"performance", Op::kSet, "fast"},
      {"performance", Op::kAdd, "direct"},
      {"live-moves", Op::kSet, "0"},
      {"live-moves", Op::kSet, "1000000"},
      {"live-moves", Op::kSet, "automatic"},
      {"storage-moves", Op::kAdd, "2"},
      {"bandwidth", Op::kSet, "100 Mbit"},
      {"bandwidth", Op::kSet, "100"},
      {"bandwidth", Op::kRemove, "100M"},
      {"convergence", Op::kSet, "hope"},
      {"convergence", Op::kSet, "pause:0"},
      {"convergence", Op::kAdd, "wait"},
      {"networks", Op::kSet, ""},
      {"networks", Op::kSet, "10.77.1.2/24"},
      {"networks", Op::kAdd, "any"},
      {"networks", Op::kRemove, "10.77.1.0/24"},
      {"groups", Op::kSet, ""},
      {"groups", Op::kSet, "web,,db"},
      {"groups", Op::kSet, "Web"},
      {"groups", Op::kSet, "-web"},
      {"groups", Op::kSet, "web,off"},
      {"groups", Op::kSet, std::string(33, 'a')},
      {"groups", Op::kAdd, "off"},
      {"groups", Op::kRemove, "web"},
      {"network-disks", Op::kSet, ""},
      {"network-disks", Op::kSet, "storage1"},
      {"network-disks", Op::kSet, "nbd://"},
      {"network-disks", Op::kSet, "nbd://storage1/web"},
      {"network-disks", Op::kSet, "nbd://storage1:web"},
      {"network-disks", Op::kSet, "nbd://[fd00::9"},
      {"network-disks", Op::kSet, "nbd://fd00::9:10809"},
      {"network-disks", Op::kSet, "rbd://storage1:6789/pool"},
      {"network-disks", Op::kSet, "rbd://storage1:6789/pool/a@b"},
      {"network-disks", Op::kSet, "iscsi://storage1:3260/iqn.2026-11.example:vms"},
      {"network-disks", Op::kSet, "iscsi://storage1:3260/iqn.2026-11.example:vms/01"},
      {"network-disks", Op::kSet, "gluster://storage1:24007/vms"},
      {"network-disks", Op::kSet, "gluster://storage1:24007/vms/../web"},
      {"network-disks", Op::kAdd, "off"},
      {"network-disks", Op::kRemove, "nbd://storage1"},
      {"residue-max", Op::kSet, "much"},
      {"residue-max", Op::kAdd, "1G"},
      {"residue-age", Op::kSet, "24"},
      {"residue-age", Op::kSet, "0h"},
      {"residue-age", Op::kSet, "721h"},
      {"residue-age", Op::kSet, "99999999999h"},
      {"space-reserve", Op::kAdd, "1G"},
      {"space-reserve", Op::kSet, "some"},
      {"space-patience", Op::kSet, "10"},
      {"space-patience", Op::kSet, "0s"},
      {"space-patience", Op::kSet, "25h"},
      {"space-patience", Op::kSet, "2000000000h"},
      {"retries", Op::kSet, "21"},
      {"retries", Op::kSet, "-1"},
      {"retries", Op::kSet, ""},
      {"retries", Op::kAdd, "1"},
      {"health-watch", Op::kSet, "60"},
      {"health-watch", Op::kSet, "3601s"},
      {"health-watch", Op::kSet, "for ever"}};
  for (const auto& change : wrong) {
    EXPECT_EQ(apply(change, settings).error().code, ErrorCode::kInvalidArgument)
        << change.key << " " << change.value;
  }
}

TEST(SettingsChange, Convergence) {
  HostSettings settings;
  EXPECT_EQ(convergence_text(settings.convergence), "pause:5");
  ASSERT_TRUE(apply({"convergence", Op::kSet, "give-up:90"}, settings));
  EXPECT_EQ(settings.convergence.policy, ConvergencePolicy::kGiveUp);
  EXPECT_EQ(settings.convergence.limit, std::chrono::seconds(90));
}

TEST(SettingsChange, PerformanceAndBandwidth) {
  HostSettings settings;
  ASSERT_TRUE(apply({"performance", Op::kSet, "multilink"}, settings));
  EXPECT_EQ(settings.performance, Performance::kMultilink);
  EXPECT_EQ(settings.live_moves, MoveLimit{2});
  ASSERT_TRUE(apply({"live_moves", Op::kSet, "7"}, settings));
  ASSERT_TRUE(apply({"storage-moves", Op::kSet, "unlimited"}, settings));
  EXPECT_EQ(settings.live_moves.count, 7u);
  EXPECT_TRUE(settings.storage_moves.unlimited());
  ASSERT_TRUE(apply({"bandwidth", Op::kSet, "100M"}, settings));
  EXPECT_EQ(settings.bandwidth.value, 100u << 20);
  ASSERT_TRUE(apply({"bandwidth", Op::kSet, "off"}, settings));
  EXPECT_EQ(settings.bandwidth.value, 0u);
}

TEST(SettingsChange, NetworksKeepTheirOrderAndNeverRunOut) {
  HostSettings settings;
  ASSERT_TRUE(apply({"networks", Op::kSet, "10.77.1.0/24,10.77.0.0/24"}, settings));
  ASSERT_TRUE(apply({"networks", Op::kAdd, "10.77.1.0/24,fd00::/64"}, settings));
  EXPECT_EQ(settings.networks,
            (std::vector<std::string>{"10.77.1.0/24", "10.77.0.0/24", "fd00::/64"}));
  ASSERT_TRUE(apply({"networks", Op::kRemove, "10.77.1.0/24,fd00::/64"}, settings));
  EXPECT_FALSE(apply({"networks", Op::kRemove, "10.77.0.0/24"}, settings))
      << "an empty list would allow all of them";
  EXPECT_EQ(settings.networks, std::vector<std::string>{"10.77.0.0/24"});
  ASSERT_TRUE(apply({"networks", Op::kSet, "any"}, settings));
  EXPECT_TRUE(settings.networks.empty());

  ASSERT_TRUE(apply({"groups", Op::kSet, "web,db,web"}, settings));
  ASSERT_TRUE(apply({"groups", Op::kAdd, "db,a_1-b"}, settings));
  EXPECT_EQ(settings.groups, (std::vector<std::string>{"web", "db", "a_1-b"}));
  ASSERT_TRUE(apply({"groups", Op::kRemove, "db"}, settings));
  EXPECT_EQ(settings.groups, (std::vector<std::string>{"web", "a_1-b"}));
  ASSERT_TRUE(apply({"groups", Op::kSet, "off"}, settings));
  EXPECT_TRUE(settings.groups.empty());

  ASSERT_TRUE(
      apply({"network-disks", Op::kSet, "nbd://storage1,nbd://[fd00::9]:10810/a/b"}, settings));
  ASSERT_TRUE(apply({"network-disks", Op::kAdd, "nbd://10.0.0.9:10809,nbd://storage1"}, settings));
  EXPECT_EQ(settings.network_disks,
            (std::vector<std::string>{"nbd://storage1", "nbd://[fd00::9]:10810/a/b",
                                      "nbd://10.0.0.9:10809"}));
  const auto uri = [](std::string_view host, std::string_view port, std::string_view name) {
    return network_disk_uri("nbd", host, port, name);
  };
  EXPECT_TRUE(admits_network_disk(settings.network_disks, uri("storage1", "", "web")));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, uri("storage11", "", "web")));
  EXPECT_TRUE(admits_network_disk(settings.network_disks, uri("fd00::9", "10810", "a/b")));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, uri("fd00::9", "10810", "a/b/c")));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, uri("fd00::9", "10810", "a")));
  EXPECT_TRUE(admits_network_disk(settings.network_disks, uri("10.0.0.9", "", "")));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, uri("10.0.0.9", "108090", "")));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, uri("10.0.0.9", "10810", "")));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, uri("storage1/x", "", "")));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, ""));
  ASSERT_TRUE(apply({"network-disks", Op::kRemove, "nbd://storage1"}, settings));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, uri("storage1", "", "web")));
  ASSERT_TRUE(
      apply({"network-disks", Op::kSet, "iscsi://storage1,gluster://storage1:24007/vms/a/web.img"},
            settings));
  EXPECT_FALSE(admits_network_disk(settings.network_disks, uri("storage1", "", "web")));
  EXPECT_TRUE(admits_network_disk(settings.network_disks,
                                  network_disk_uri("iscsi", "storage1", "", "iqn.a:b/1")));
  EXPECT_TRUE(admits_network_disk(settings.network_disks,
                                  network_disk_uri("gluster", "storage1", "", "vms/a/web.img")));
  EXPECT_FALSE(admits_network_disk(settings.network_disks,
                                   network_disk_uri("gluster", "storage1", "", "vms/a/web")));
  ASSERT_TRUE(apply({"network-disks", Op::kSet, "off"}, settings));
  EXPECT_TRUE(settings.network_disks.empty());

  ASSERT_TRUE(apply({"residue-max", Op::kSet, "512M"}, settings));
  EXPECT_EQ(settings.residue_max, mib(512));
  ASSERT_TRUE(apply({"residue-max", Op::kSet, "off"}, settings));
  EXPECT_EQ(settings.residue_max, ByteCount{});
  ASSERT_TRUE(apply({"retries", Op::kSet, "0"}, settings));
  EXPECT_EQ(settings.retries, 0u);
  ASSERT_TRUE(apply({"health-watch", Op::kSet, "off"}, settings));
  EXPECT_EQ(settings.health_watch, std::chrono::seconds(0));
  ASSERT_TRUE(apply({"health_watch", Op::kSet, "90s"}, settings));
  EXPECT_EQ(settings.health_watch, std::chrono::seconds(90));
  ASSERT_TRUE(apply({"residue-age", Op::kSet, "3h"}, settings));
  EXPECT_EQ(settings.residue_age, std::chrono::hours(3));
  ASSERT_TRUE(apply({"space-reserve", Op::kSet, "1G"}, settings));
  EXPECT_EQ(settings.space_reserve, gib(1));
  ASSERT_TRUE(apply({"space-patience", Op::kSet, "2h"}, settings));
  EXPECT_EQ(settings.space_patience, std::chrono::hours(2));
}

TEST(SettingsChange, DefaultFolderMustBeAllowed) {
  HostSettings settings;
  ASSERT_TRUE(apply({"default-folder", Op::kSet, "/srv"}, settings));
  EXPECT_FALSE(check_settings(settings));
  ASSERT_TRUE(apply({"default-folder", Op::kSet, "/var/lib/libvirt/images/moved"}, settings));
  EXPECT_TRUE(check_settings(settings));
  ASSERT_TRUE(apply({"default-folder", Op::kSet, "/var/lib/libvirt/images2"}, settings));
  EXPECT_FALSE(check_settings(settings)) << "a prefix of the name is not the folder";
}

}  // namespace
}  // namespace drover::journal
