// SPDX-License-Identifier: Apache-2.0
// Both gates, real processes, between two libvirtds that are not: the whole conversation, and every
// way it can break.
#include <csignal>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "gate/gate_pair_test_support.h"
#include "net/control_message.h"

namespace drover::gate {
namespace {

using namespace std::chrono_literals;
using gate::testing::AnsweringLibvirt;
using gate::testing::call;
using gate::testing::CallingLibvirt;
using gate::testing::finish_call;
using gate::testing::GatePair;
using gate::testing::kPatience;

Deadline soon() { return Deadline::after(kPatience); }

class GatePairTest : public ::testing::Test {
 protected:
  GatePair pair_;
  CallingLibvirt libvirt_{pair_.folder / "rpc"};

  void say_farewell() {
    EXPECT_EQ(libvirt_.ask(call(kUnregisterCloseCallback, 11)), "reply361");
    EXPECT_EQ(libvirt_.ask(call(kConnectClose, 12)), "reply2");
    libvirt_.close();
  }
};

TEST_F(GatePairTest, CarriesAWholeMove) {
  pair_.prepare(libvirt_);
  ASSERT_TRUE(
      net::send_packet(pair_.source_mover.get(), R"({"event":"memory_opened"})", {}, soon()));
  EXPECT_TRUE(pair_.source_says("switching"));
  EXPECT_EQ(pair_.source_record(), "switching");
  EXPECT_FALSE(pair_.fenced());
  EXPECT_EQ(libvirt_.ask(finish_call(false)), "reply306");
  EXPECT_EQ(decode_finish_reply(libvirt_.last.payload())->domain_id, 7);
  EXPECT_TRUE(pair_.fenced());
  EXPECT_EQ(pair_.source_record(), "released");
  EXPECT_EQ(pair_.decision(), "accepted");
  EXPECT_EQ(pair_.outcome(), "ok 7");
  say_farewell();
  EXPECT_TRUE(pair_.source_says("ended=runs"));
  EXPECT_TRUE(pair_.destination_says("ended=runs"));
  EXPECT_TRUE(pair_.source_says("gone"));
  EXPECT_TRUE(pair_.destination_says("gone"));
}

TEST_F(GatePairTest, TellsTheMoverInOrder) {
  pair_.prepare(libvirt_);
  EXPECT_EQ(libvirt_.ask(finish_call(false)), "reply306");
  say_farewell();
  for (const char* news : {"standstill", "finish_forwarded", "settled"}) {
    const auto packet = net::receive_packet(pair_.source_mover.get(), soon());
    ASSERT_TRUE(packet && *packet);
    EXPECT_EQ(*net::text_member(*net::parse_message((*packet)->text), "event"), news);
  }
}

TEST_F(GatePairTest, AnswersPingsOnBothSidesItself) {
  pair_.road.lose_to_destination = true;
  EXPECT_EQ(libvirt_.ask(gate::testing::ping()), "pong");
}

TEST_F(GatePairTest, CancelledFinishPassesWithItsError) {
  pair_.prepare(libvirt_);
  EXPECT_EQ(libvirt_.ask(finish_call(true)), "error306");
  EXPECT_EQ(pair_.source_record(), "kept");
  EXPECT_EQ(pair_.decision(), "refused");
  EXPECT_FALSE(pair_.fenced());
  say_farewell();
  EXPECT_TRUE(pair_.source_says("ended=aborted"));
  EXPECT_TRUE(pair_.destination_says("ended=aborted"));
}

TEST_F(GatePairTest, LostReplyIsHeldUntilItIsDelivered) {
  pair_.prepare(libvirt_);
  pair_.destination_libvirt->finish = AnsweringLibvirt::Finish::kHold;
  libvirt_.send(finish_call(false));
  ASSERT_TRUE(pair_.destination_libvirt->saw("finish0"));
  pair_.road.cut();
  pair_.destination_libvirt->release_finish();
  EXPECT_TRUE(pair_.source_says("in_doubt"));
  EXPECT_TRUE(pair_.destination_says("finish_replied"));
  EXPECT_EQ(pair_.outcome(), "ok 7");
  EXPECT_EQ(libvirt_.ask(gate::testing::ping()), "pong") << "libvirtd must wait";
  EXPECT_EQ(libvirt_.answer(100ms), "");
  EXPECT_TRUE(pair_.fenced());
  EXPECT_EQ(pair_.source_record(), "switching");
  EXPECT_EQ(pair_.source->stop(soon()).error().code, ErrorCode::kConflict);
  EXPECT_EQ(*pair_.destination->refuse(soon()), Decision::kAccepted);
  EXPECT_EQ(pair_.destination->status(soon())->outcome->domain_id, 7);
  ASSERT_TRUE(pair_.source->deliver_runs(7, soon()));
  EXPECT_EQ(libvirt_.answer(), "reply306");
  EXPECT_EQ(decode_finish_reply(libvirt_.last.payload())->domain_id, 7);
  EXPECT_EQ(pair_.source_record(), "released");
  say_farewell();
  EXPECT_TRUE(pair_.source_says("ended=runs"));
  EXPECT_TRUE(pair_.destination->stop(soon()));
  EXPECT_TRUE(pair_.destination_says("ended=runs"));
}

TEST_F(GatePairTest, LostRequestIsProvenNotRun) {
  pair_.prepare(libvirt_);
  pair_.road.lose_to_destination = true;
  libvirt_.send(finish_call(false));
  EXPECT_TRUE(pair_.source_says("finish_seen"));
  pair_.road.cut();
  EXPECT_TRUE(pair_.source_says("in_doubt"));
  EXPECT_TRUE(pair_.destination_says("ended=aborted"));
  EXPECT_EQ(pair_.decision(), "refused");
  EXPECT_TRUE(pair_.fenced());
  ASSERT_TRUE(pair_.source->deliver_not_run("the destination refused", soon()));
  EXPECT_EQ(libvirt_.answer(), "error306");
  EXPECT_FALSE(pair_.fenced());
  EXPECT_EQ(pair_.source_record(), "kept");
  say_farewell();
  EXPECT_TRUE(pair_.source_says("ended=not_run"));
}

TEST_F(GatePairTest, ErrorAnswerIsHeldUntilTheTruthIsKnown) {
  pair_.prepare(libvirt_);
  pair_.destination_libvirt->finish = AnsweringLibvirt::Finish::kError;
  libvirt_.send(finish_call(false));
  EXPECT_TRUE(pair_.source_says("in_doubt"));
  EXPECT_EQ(libvirt_.answer(100ms), "");
  EXPECT_EQ(pair_.outcome(), "error no luck");
  EXPECT_TRUE(pair_.fenced());
  const auto status = pair_.source->status(soon());
  ASSERT_TRUE(status);
  EXPECT_TRUE(status->in_doubt);
  EXPECT_EQ(status->record, "switching");
  ASSERT_TRUE(pair_.source->deliver_not_run("no luck", soon()));
  EXPECT_EQ(libvirt_.answer(), "error306");
}

TEST_F(GatePairTest, TakenBackBeforeFinishIsNeverForwarded) {
  pair_.prepare(libvirt_);
  pair_.road.lose_to_source = true;  // the source has not heard of it yet
  EXPECT_EQ(*pair_.destination->refuse(soon()), Decision::kRefused);
  EXPECT_TRUE(pair_.destination_libvirt->saw("closed"));
  pair_.road.lose_to_source = false;
  libvirt_.send(finish_call(false));
  EXPECT_EQ(libvirt_.answer(), "error306") << "the repeated note is proof";
  EXPECT_EQ(pair_.source_record(), "kept");
  EXPECT_FALSE(pair_.fenced());
}

TEST_F(GatePairTest, RefusalByTheRecordAloneIsAProof) {
  pair_.prepare(libvirt_);
  // A recovering daemon decides without the gate.
  const auto records = RecordFolder::open(pair_.folder / "destination", "1");
  ASSERT_EQ(*records->decide({gate::testing::kVmUuid, "k3f9x2qa"}, Decision::kRefused),
            Decision::kRefused);
  EXPECT_EQ(libvirt_.ask(finish_call(false)), "error306");
  EXPECT_EQ(pair_.source_record(), "kept");
  EXPECT_FALSE(pair_.fenced());
  EXPECT_TRUE(pair_.destination_libvirt->saw("closed"));
}

TEST_F(GatePairTest, BreakBeforeFinishLeavesTheVmAtTheSource) {
  pair_.prepare(libvirt_);
  pair_.road.cut();
  EXPECT_EQ(libvirt_.answer(), "") << "libvirtd sees its connection end";
  EXPECT_TRUE(pair_.source_says("ended=aborted"));
  EXPECT_EQ(pair_.source_record(), "kept");
  EXPECT_TRUE(pair_.destination_libvirt->saw("closed"));
  EXPECT_TRUE(pair_.destination_says("ended=aborted"));
  EXPECT_EQ(pair_.decision(), "refused");
}

TEST_F(GatePairTest, DeathOfTheSourcesLibvirtBeforeFinishEndsBoth) {
  pair_.prepare(libvirt_);
  libvirt_.close();
  EXPECT_TRUE(pair_.source_says("ended=aborted"));
  EXPECT_TRUE(pair_.destination_says("ended=aborted"));
  EXPECT_EQ(pair_.decision(), "refused");
}

TEST_F(GatePairTest, DeathOfTheDestinationsLibvirtAfterFinishIsInDoubt) {
  pair_.prepare(libvirt_);
  pair_.destination_libvirt->finish = AnsweringLibvirt::Finish::kClose;
  libvirt_.send(finish_call(false));
  EXPECT_TRUE(pair_.source_says("in_doubt"));
  EXPECT_TRUE(pair_.fenced());
  EXPECT_EQ(pair_.outcome(), "none");
  EXPECT_TRUE(pair_.destination->status(soon())->in_doubt);
}

TEST_F(GatePairTest, DeathOfTheDestinationsGateAfterFinishIsInDoubt) {
  pair_.prepare(libvirt_);
  pair_.destination_libvirt->finish = AnsweringLibvirt::Finish::kHold;
  libvirt_.send(finish_call(false));
  ASSERT_TRUE(pair_.destination_libvirt->saw("finish0"));
  pair_.kill_destination_gate();
  EXPECT_TRUE(pair_.source_says("in_doubt"));
  EXPECT_EQ(libvirt_.ask(gate::testing::ping()), "pong");
  EXPECT_TRUE(pair_.fenced());
  EXPECT_EQ(pair_.decision(), "accepted");
}

TEST_F(GatePairTest, DeathOfTheSourcesGateLeavesTheFence) {
  pair_.prepare(libvirt_);
  pair_.destination_libvirt->finish = AnsweringLibvirt::Finish::kHold;
  libvirt_.send(finish_call(false));
  ASSERT_TRUE(pair_.destination_libvirt->saw("finish0"));
  pair_.kill_source_gate();
  EXPECT_EQ(libvirt_.answer(), "");
  EXPECT_TRUE(pair_.fenced()) << "the description has another holder";
  pair_.destination_libvirt->release_finish();
  EXPECT_TRUE(pair_.destination_says("finish_replied"));
  EXPECT_EQ(pair_.outcome(), "ok 7");
  EXPECT_EQ(pair_.source_record(), "switching");
}

TEST_F(GatePairTest, ForeignDefinitionNeverReachesLibvirt) {
  EXPECT_EQ(libvirt_.ask(call(kAuthList, 0)), "reply66");
  PrepareCall prepare;
  prepare.params = {{"destination_xml", std::string("<domain/>")},
                    {"migrate_uri", std::string("unix:///mem")}};
  EXPECT_EQ(libvirt_.ask(call(kMigratePrepare, 9, encode(prepare))), "error303");
  EXPECT_NE(decode_error(libvirt_.last.payload())
                ->message.find("Drover's gate on host2: this is refused"),
            std::string::npos);
  EXPECT_TRUE(pair_.destination_says("policy_refused"));
  say_farewell();
  EXPECT_TRUE(pair_.source_says("ended=aborted"));
  EXPECT_TRUE(pair_.destination_libvirt->saw("closed"));
}

TEST_F(GatePairTest, OpensQemusSocketsForTheMover) {
  const auto memory = net::listen_unix(pair_.folder / "mem", net::SocketKind::kStream, 0600);
  const auto open = R"({"do":"open","kind":"memory","stream":3})";
  const auto ask = [&] {
    EXPECT_TRUE(net::send_packet(pair_.destination_mover.get(), open, {}, soon()));
    return std::move(**net::receive_packet(pair_.destination_mover.get(), soon()));
  };
  EXPECT_FALSE(*net::flag_member(*net::parse_message(ask().text), "ok")) << "not prepared yet";
  pair_.prepare(libvirt_);
  const auto granted = ask();
  EXPECT_TRUE(*net::flag_member(*net::parse_message(granted.text), "ok"));
  ASSERT_EQ(granted.descriptors.size(), 1u);
  auto accepted = net::accept_one(memory->get(), soon());
  ASSERT_TRUE(accepted);
  EXPECT_EQ(::write(granted.descriptors[0].get(), "x", 1), 1);
}

TEST_F(GatePairTest, ConnectsTheMoverToTheDisksForReading) {
  const auto disks = net::listen_unix(pair_.folder / "nbd", net::SocketKind::kStream, 0600);
  const auto open = R"({"do":"open","kind":"read-back","stream":2147483648})";
  const auto ask = [&] {
    EXPECT_TRUE(net::send_packet(pair_.destination_mover.get(), open, {}, soon()));
    return std::move(**net::receive_packet(pair_.destination_mover.get(), soon()));
  };
  EXPECT_FALSE(*net::flag_member(*net::parse_message(ask().text), "ok")) << "not prepared yet";
  pair_.prepare(libvirt_);
  EXPECT_EQ(ask().descriptors.size(), 1u);
  EXPECT_TRUE(net::accept_one(disks->get(), soon()));
}

TEST_F(GatePairTest, ServesADaemonThatComesBack) {
  pair_.prepare(libvirt_);
  const auto again = GateProcess::attach(pair_.folder / "source.sock", {}, soon());
  ASSERT_TRUE(again);
  const auto status = (*again)->status(soon());
  ASSERT_TRUE(status) << status.error().text();
  EXPECT_EQ(status->state, "relaying");
  EXPECT_EQ(status->record, "held");
  EXPECT_TRUE(status->libvirt_connected);
  EXPECT_TRUE((*again)->stop(soon()));
  EXPECT_EQ(libvirt_.answer(), "");
}

}  // namespace
}  // namespace drover::gate
