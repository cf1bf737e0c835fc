// SPDX-License-Identifier: Apache-2.0
// What a destination promises to a move: a place among its moves, the addresses of its networks,
// and a group.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "move/destination/destination_fixture.h"
#include "net/dial.h"

namespace drover::move {
namespace {

class DestinationReservation : public DestinationFixture {
 protected:
  void prepare(std::vector<NetworkPair> networks = {}) {
    reserve_and_prepare(request_with(std::move(networks)));
  }
  ReserveRequest request_with(std::vector<NetworkPair> networks) const {
    ReserveRequest request = reservation();
    request.plan.networks = std::move(networks);
    request.plan.request.group = group_;
    return request;
  }
  // A link of the move comes to this address of ours.
  void link_comes_to(const std::string& address, std::uint16_t number) {
    const UniqueFd door = std::move(*net::listen_tcp({address, 0}));
    const UniqueFd far = std::move(*net::dial_tcp(*net::local_address(door.get()), soon()));
    side_->take_link(kMove, number, UniqueFd(::accept(door.get(), nullptr, nullptr)));
  }
  static Deadline soon() { return Deadline::after(std::chrono::seconds(30)); }

  std::string group_;  // of request_with()
};

// A place is given for a minute, kept from prepare on, and free when the move is undone.
TEST_F(DestinationReservation, GivesAsManyPlacesAsItsSettingAllows) {
  const auto admitted = [&](const char* move, bool give_back = false) {
    const auto text = side_->handle("host1", verb::kAdmit, to_json(AdmitRequest{move, give_back}));
    EXPECT_TRUE(text) << text.error().text();
    const auto reply = admit_reply_from_json(*text);
    EXPECT_EQ(reply->granted, reply->text.empty()) << reply->text;
    return reply->granted;
  };
  ASSERT_TRUE(admitted(kMove));
  EXPECT_TRUE(admitted(kMove)) << "it has one";
  EXPECT_TRUE(admitted("aaaaaaaa"));
  EXPECT_FALSE(admitted("bbbbbbbb")) << "live-moves is 2";
  EXPECT_TRUE(admitted("bbbbbbbb", true)) << "it needs none any more";
  EXPECT_TRUE(admitted("aaaaaaaa", true));
  prepare();
  EXPECT_TRUE(admitted(kMove, true)) << "and changes nothing: the move is there";
  EXPECT_EQ(slots_.used(), 1u);
  EXPECT_TRUE(admitted("cccccccc"));
  EXPECT_FALSE(admitted("dddddddd"));
  ASSERT_TRUE(call(verb::kUndo));
  EXPECT_TRUE(admitted("dddddddd"));
  EXPECT_EQ(side_->handle("host1", verb::kAdmit, to_json(AdmitRequest{"../x", false})).error().code,
            ErrorCode::kProtocol);
}

// Its reservation failed, or was never asked for: the source undoes all the same.
TEST_F(DestinationReservation, GivesThePlaceOfAMoveThatCameNoFurtherBackWithItsUndo) {
  ASSERT_TRUE(side_->handle("host1", verb::kAdmit, to_json(AdmitRequest{"aaaaaaaa", false})));
  ASSERT_EQ(slots_.used(), 1u);
  const auto undone = side_->handle("host1", verb::kUndo, to_json(MoveName{"aaaaaaaa"}));
  EXPECT_EQ(undone.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(slots_.used(), 0u);
}

TEST_F(DestinationReservation, HoldsNoPlaceForWhatHasCome) {
  prepare();
  accept();
  ASSERT_TRUE(call(verb::kLook));
  EXPECT_EQ(slots_.used(), 1u) << "nobody knows yet whether it runs";
  guest_runs();
  ASSERT_TRUE(call(verb::kLook));
  EXPECT_EQ(slots_.used(), 0u);
  DestinationSide again(*world_, [] { return std::vector<Vm>{}; });
  ASSERT_TRUE(again.recover());
  EXPECT_EQ(slots_.used(), 0u) << "nor after a restart";
}

// The plan shows whose a disk is; what a definition names beside it must be nobody's.
TEST_F(DestinationReservation, TakesNoDiskOfAnotherVmUnderAnotherName) {
  const std::string path = (folder_ / "other.img").string();
  ASSERT_TRUE(
      book_->change_settings({{"allowed-folders", SettingChange::Op::kAdd, folder_.string()}}));
  const auto with_disk = [&](std::string definition, const std::string& device) {
    const std::string disk = fmt::format(
        "<devices><disk type='file' device='{}'><driver name='qemu' type='raw'/>"
        "<source file='{}'/><target dev='sda' bus='sata'/><readonly/></disk></devices>",
        device, path);
    definition.insert(definition.find("</domain>"), disk);
    return definition;
  };
  const std::string other = definition_of("00000000-0000-0000-0000-000000000001", "other");
  ASSERT_TRUE(hypervisor_.define(with_disk(other, "disk")));
  const auto refused = reserve(reservation(with_disk(kDefinition, "cdrom")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPolicy);
  EXPECT_TRUE(refused.error().text().contains("which is a disk of other"))
      << refused.error().text();
  // A disc with a copy: the same file could be a layer of the disk at PREPARE.
  std::string copied = with_disk(kDefinition, "cdrom");
  copied.replace(copied.find("<source file='" + path), path.size() + 17,
                 fmt::format("<source file='{}'/><mirror type='file' job='copy'><format "
                             "type='qcow2'/><source file='{}'/></mirror>",
                             (folder_ / "disc.iso").string(), path));
  const auto as_copy = reserve(reservation(copied));
  ASSERT_FALSE(as_copy);
  EXPECT_TRUE(as_copy.error().text().contains("which is a disk of other"))
      << as_copy.error().text();
  ASSERT_TRUE(hypervisor_.define(with_disk(other, "cdrom")));
  const auto shared = reserve(reservation(with_disk(kDefinition, "cdrom")));
  EXPECT_TRUE(shared) << "discs are everybody's: " << shared.error().text();
}

TEST_F(DestinationReservation, ReservesOnlyWhatItsNetworksAllow) {
  ASSERT_TRUE(book_->change_settings({{"networks", SettingChange::Op::kSet, "10.77.1.0/24"}}));
  const auto way = [](const char* network, const char* to) {
    return std::vector<NetworkPair>{{network, "10.77.1.1", to}};
  };
  // A network's name proves nothing: the address counts.
  for (const auto& refused : {way("10.77.0.0/24", "10.77.0.2"), way("10.77.1.0/24", "10.77.0.2"),
                              way("any", "10.77.1.2"), way("10.77.1.0/24", "host2")}) {
    const auto reserved = reserve(request_with(refused));
    ASSERT_FALSE(reserved);
    EXPECT_EQ(reserved.error().code, ErrorCode::kPolicy);
  }
  EXPECT_TRUE(reserve(request_with(way("10.77.0.0/16", "10.77.1.2"))));
  EXPECT_TRUE(side_->admits("10.77.1.2"));
  EXPECT_FALSE(side_->admits("10.77.0.2"));
}

TEST_F(DestinationReservation, TakesLinksOnlyAtThePlansAddresses) {
  prepare({{"127.0.0.2/31", "127.0.0.9", "127.0.0.2"}});
  link_comes_to("127.0.0.1", 1);
  EXPECT_TRUE(carriage_.state.links.empty());
  link_comes_to("127.0.0.2", 2);
  EXPECT_EQ(carriage_.state.links, std::vector<std::uint16_t>{2});
}

TEST_F(DestinationReservation, TheWayOfThePairingMayLeadToAnyAddress) {
  prepare({{"any", "", "127.0.0.1"}});
  link_comes_to("127.0.0.3", 1);
  EXPECT_EQ(carriage_.state.links, std::vector<std::uint16_t>{1});
}

TEST_F(DestinationReservation, AVmIsOfItsGroupOnceItCameAndIsSettled) {
  group_ = "web";
  prepare();
  ASSERT_TRUE(records_->decide(kKey, gate::Decision::kAccepted));
  EXPECT_TRUE(journal_->group_members("web")->empty());
  ASSERT_TRUE(settle());
  EXPECT_EQ(*journal_->group_members("web"), std::vector<std::string>{kUuid});
  side_->take_vm_event({VmEvent::Kind::kUndefined, kUuid, "web01", false});
  EXPECT_TRUE(journal_->group_members("web")->empty());
}

// A peer must not put a VM into a group that it never brought.
TEST_F(DestinationReservation, WhoNeverCameIsOfNoGroup) {
  group_ = "web";
  prepare();
  (void)settle();
  EXPECT_TRUE(journal_->group_members("web")->empty());
}

TEST_F(DestinationReservation, NoPeerGivesAGroupAnyNameItLikes) {
  group_ = "../web";
  EXPECT_EQ(reserve(request_with({})).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace drover::move
