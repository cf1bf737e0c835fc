// SPDX-License-Identifier: Apache-2.0
// The table of docs/gate.md, "Destination": every state against every input.
#include "gate/destination_machine.h"

#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "gate/machine_test_support.h"
#include "gate/write_watch.h"
#include "gate/xdr.h"

namespace drover::gate {
namespace {

using namespace testing;  // NOLINT: the support header's, not GoogleTest's

const Status kBad = fail(ErrorCode::kPolicy, "not allowed");
const Result<Decision> kUnknown = fail(ErrorCode::kSystem, "disk full");

DestinationMachine idle() {
  return DestinationMachine("host2",
                            {[](const PrepareCall& c) { return c.flags == 99 ? kBad : Status{}; },
                             [](const FinishCall& c) { return c.flags == 99 ? kBad : Status{}; }});
}

DestinationMachine relaying() {
  DestinationMachine machine = idle();
  machine.peer_packet(call(kAuthList, 0));
  machine.libvirt_connected({});
  machine.libvirt_packet(make_reply({.procedure = kAuthList, .serial = 0}, {}));
  return machine;
}

DestinationMachine prepared() {
  DestinationMachine machine = relaying();
  machine.peer_packet(prepare_call());
  machine.libvirt_packet(prepare_reply());
  return machine;
}

DestinationMachine finishing() {
  DestinationMachine machine = prepared();
  machine.peer_packet(finish_call(false));
  machine.decided(Decision::kAccepted);
  return machine;
}

constexpr std::uint32_t kOwn = 0x44520001;
const std::string kDisks =
    R"({"return":[{"inserted":{"ro":false,"node-name":"libvirt-1-format"}}]})";

RpcPacket monitor_reply(const std::string& text) {
  XdrWriter out;
  out.bytes(text);
  return make_reply({.program = kProgramQemu, .procedure = kMonitorCommand, .serial = kOwn},
                    out.out());
}

RpcPacket resumed() { return make_reply({.procedure = kDomainResume, .serial = kOwn}, {}); }

// FINISH came as `flags` say.
DestinationMachine told_to_watch(std::uint32_t flags = 0) {
  DestinationMachine machine(
      "host2",
      {[](const PrepareCall&) { return Status{}; }, [](const FinishCall&) { return Status{}; }},
      "k3f9x2qa");
  machine.peer_packet(call(kAuthList, 0));
  machine.libvirt_connected({});
  machine.peer_packet(prepare_call());
  machine.libvirt_packet(prepare_reply());
  FinishCall finish;
  finish.flags = flags;
  machine.peer_packet(call(kMigrateFinish, 10, encode(finish)));
  return machine;
}

DestinationMachine watching() {
  DestinationMachine machine = told_to_watch();
  machine.decided(Decision::kAccepted);
  machine.libvirt_packet(finish_reply());
  return machine;
}

DestinationMachine cancelling() {
  DestinationMachine machine = prepared();
  machine.peer_packet(finish_call(true));
  machine.decided(Decision::kRefused);
  return machine;
}

DestinationMachine answered() {
  DestinationMachine machine = finishing();
  machine.libvirt_packet(finish_reply());
  return machine;
}

DestinationMachine answered_badly() {
  DestinationMachine machine = finishing();
  machine.libvirt_packet(error_reply(kMigrateFinish, 10));
  return machine;
}

DestinationMachine refused() {
  DestinationMachine machine = prepared();
  machine.refuse();
  machine.decided(Decision::kRefused);
  return machine;
}

DestinationMachine ended() {
  DestinationMachine machine = refused();
  machine.road_closed("cut");
  machine.decided(Decision::kRefused);
  return machine;
}

using MakeMachine = std::function<DestinationMachine()>;
const std::map<std::string, MakeMachine> kStates{
    {"idle", idle},         {"relaying", relaying},
    {"prepared", prepared}, {"finishing", finishing},
    {"watching", watching}, {"cancelling", cancelling},
    {"answered", answered}, {"answered badly", answered_badly},
    {"refused", refused},   {"ended", ended}};

using Input = std::function<std::string(DestinationMachine&)>;
const std::map<std::string, Input> kInputs{
    {"allowed call", [](auto& m) { return words(m.peer_packet(call(kAuthList, 20))); }},
    {"foreign call", [](auto& m) { return words(m.peer_packet(call(17, 20))); }},
    {"stream",
     [](auto& m) {
       return words(m.peer_packet(make_packet({.procedure = 304, .type = RpcType::kStream}, {})));
     }},
    {"FINISH(0)", [](auto& m) { return words(m.peer_packet(finish_call(false, 20))); }},
    {"note closed", [](auto& m) { return words(m.peer_note({NoteKind::kClosed, "bye"})); }},
    {"road closed", [](auto& m) { return words(m.road_closed("cut")); }},
    {"libvirt pings", [](auto& m) { return words(m.libvirt_packet(ping())); }},
    {"FINISH reply", [](auto& m) { return words(m.libvirt_packet(finish_reply())); }},
    {"FINISH error",
     [](auto& m) { return words(m.libvirt_packet(error_reply(kMigrateFinish, 10))); }},
    {"libvirt closed", [](auto& m) { return words(m.libvirt_closed("gone")); }},
    {"refuse", [](auto& m) { return words(m.refuse()); }},
    {"stop", [](auto& m) { return words(m.stop()); }},
    {"may open", [](auto& m) { return std::string(m.may_open_streams() ? "yes" : "no"); }},
};

const std::string kForeign = "peer:error17 event:policy_refused";
const std::string kGiveUp = "close refused?";
const std::string kEnd = "close mover:settled event:ended=";

const std::map<std::string, std::map<std::string, std::string>> kTable{
    {"idle",
     {{"allowed call", "connect?"},
      {"foreign call", kForeign},
      {"stream", kGiveUp},
      {"FINISH(0)", "connect?"},
      {"note closed", kGiveUp},
      {"road closed", kGiveUp},
      {"libvirt pings", "libvirt:pong"},
      {"refuse", kGiveUp},
      {"stop", kGiveUp},
      {"may open", "no"}}},
    {"relaying",
     {{"allowed call", "libvirt:call66"},
      {"foreign call", kForeign},
      {"stream", kGiveUp},
      {"FINISH(0)", "peer:error306 event:policy_refused"},
      {"note closed", kGiveUp},
      {"road closed", kGiveUp},
      {"libvirt pings", "libvirt:pong"},
      {"libvirt closed", kGiveUp},
      {"refuse", kGiveUp},
      {"stop", kGiveUp},
      {"may open", "no"}}},
    {"prepared",
     {{"allowed call", "libvirt:call66"},
      {"foreign call", kForeign},
      {"stream", kGiveUp},
      {"FINISH(0)", "accepted?"},
      {"note closed", kGiveUp},
      {"road closed", kGiveUp},
      {"libvirt pings", "libvirt:pong"},
      {"libvirt closed", kGiveUp},
      {"refuse", kGiveUp},
      {"stop", kGiveUp},
      {"may open", "yes"}}},
    {"finishing",
     {{"allowed call", "peer:error66"},
      {"foreign call", kForeign},
      {"FINISH(0)", "peer:error306"},
      {"libvirt pings", "libvirt:pong"},
      {"FINISH reply", "outcome:ok peer:reply306 event:finish_replied"},
      {"FINISH error", "outcome:error peer:error306 event:finish_replied"},
      {"libvirt closed", "note:libvirt_closed event:finish_replied"},
      {"stop", "CONFLICT"},
      {"may open", "no"}}},
    {"watching",
     {{"allowed call", "peer:error66"},
      {"foreign call", kForeign},
      {"FINISH(0)", "peer:error306"},
      {"libvirt pings", "libvirt:pong"},
      {"libvirt closed", "note:libvirt_closed event:finish_replied"},
      {"stop", "CONFLICT"},
      {"may open", "no"}}},
    {"cancelling",
     {{"allowed call", "peer:error66"},
      {"foreign call", kForeign},
      {"stream", kGiveUp},
      {"FINISH(0)", "peer:error306"},
      {"note closed", kGiveUp},
      {"road closed", kGiveUp},
      {"libvirt pings", "libvirt:pong"},
      {"FINISH reply", "peer:reply306 event:finish_replied"},
      {"FINISH error", "peer:error306 event:finish_replied"},
      {"libvirt closed", kGiveUp},
      {"refuse", kGiveUp},
      {"stop", kGiveUp},
      {"may open", "no"}}},
    {"answered",
     {{"allowed call", "peer:error66"},
      {"foreign call", kForeign},
      {"FINISH(0)", "peer:error306"},
      {"note closed", kEnd + "runs exit"},
      {"libvirt pings", "libvirt:pong"},
      {"stop", kEnd + "runs exit"},
      {"may open", "no"}}},
    {"answered badly",
     {{"allowed call", "peer:error66"},
      {"foreign call", kForeign},
      {"FINISH(0)", "peer:error306"},
      {"libvirt pings", "libvirt:pong"},
      {"stop", kEnd + "in_doubt exit"},
      {"may open", "no"}}},
    {"refused",
     {{"allowed call", "peer:error66"},
      {"foreign call", kForeign},
      {"stream", kGiveUp},
      {"FINISH(0)", "refused?"},
      {"note closed", kGiveUp},
      {"road closed", kGiveUp},
      {"libvirt pings", "libvirt:pong"},
      {"refuse", "refused?"},
      {"stop", kEnd + "aborted exit"},
      {"may open", "no"}}},
    {"ended", {{"foreign call", kForeign}, {"libvirt pings", "libvirt:pong"}, {"may open", "no"}}},
};

TEST(DestinationMachine, DoesInEveryStateWhatTheTableSays) {
  for (const auto& [state, make] : kStates) {
    for (const auto& [input, give] : kInputs) {
      DestinationMachine machine = make();
      const auto& row = kTable.at(state);
      const auto cell = row.find(input);
      EXPECT_EQ(give(machine), cell == row.end() ? "" : cell->second) << state << ", " << input;
    }
  }
}

TEST(DestinationMachine, ForwardsFinishOnlyWhenAccepted) {
  DestinationMachine machine = prepared();
  machine.peer_packet(finish_call(false));
  EXPECT_EQ(words(machine.decided(Decision::kAccepted)),
            "mover:finish_forwarded libvirt:call306 event:finish_seen");
  machine = prepared();
  machine.peer_packet(finish_call(false));
  EXPECT_EQ(words(machine.decided(Decision::kRefused)), "close note:refused");
  machine = prepared();
  machine.peer_packet(finish_call(false));
  EXPECT_EQ(words(machine.decided(kUnknown)), "close note:undecided");
  EXPECT_EQ(words(machine.refuse()), "refused?");
  EXPECT_EQ(words(machine.decided(Decision::kAccepted)), "note:undecided")
      << "it was written after all, and its write reported an error";
  EXPECT_EQ(words(machine.decided(Decision::kRefused)), "note:refused");
}

TEST(DestinationMachine, RecordsTheRefusalBeforeItForwardsACancel) {
  for (const auto& decision : {Result<Decision>(Decision::kRefused), kUnknown}) {
    DestinationMachine machine = prepared();
    EXPECT_EQ(words(machine.peer_packet(finish_call(true))), "refused?");
    EXPECT_EQ(words(machine.decided(decision)), "event:finish_seen libvirt:call306");
  }
}

TEST(DestinationMachine, RefusesDefinitionsWithoutTellingLibvirt) {
  PrepareCall prepare;
  prepare.flags = 99;
  DestinationMachine machine = relaying();
  EXPECT_EQ(words(machine.peer_packet(call(kMigratePrepare, 1, encode(prepare)))),
            "peer:error303 event:policy_refused");
  EXPECT_EQ(words(machine.peer_packet(call(kMigratePrepare, 1, {1, 2, 3, 4}))),
            "peer:error303 event:policy_refused")
      << "malformed";
  FinishCall finish;
  finish.flags = 99;
  machine = prepared();
  EXPECT_EQ(words(machine.peer_packet(call(kMigrateFinish, 10, encode(finish)))),
            "event:policy_refused close refused?");
  EXPECT_EQ(words(machine.decided(Decision::kRefused)), "note:refused");
}

TEST(DestinationMachine, SaysWhenLibvirtDoesNotAnswer) {
  DestinationMachine machine = idle();
  machine.peer_packet(call(kAuthList, 0));
  EXPECT_EQ(words(machine.libvirt_connected(kBad)), "peer:error66");
  EXPECT_EQ(words(machine.peer_packet(call(kAuthList, 1))), "connect?") << "tried again";
}

TEST(DestinationMachine, EndsWhenTheRoadIsGoneAndNothingWasAccepted) {
  DestinationMachine machine = prepared();
  EXPECT_EQ(words(machine.road_closed("cut")), kGiveUp);
  EXPECT_EQ(words(machine.decided(Decision::kRefused)), kEnd + "aborted exit");
}

TEST(DestinationMachine, TakesTheAnswerOfAnAcceptedFinishThoughTheRoadIsGone) {
  DestinationMachine machine = finishing();
  machine.road_closed("cut");
  EXPECT_EQ(words(machine.libvirt_packet(finish_reply())),
            "outcome:ok peer:reply306 event:finish_replied");
}

TEST(DestinationMachine, DropsWhatNobodyAskedFor) {
  DestinationMachine machine = prepared();
  EXPECT_EQ(words(machine.libvirt_packet(finish_reply(77))), "");
  EXPECT_EQ(
      words(machine.libvirt_packet(make_packet({.procedure = 100, .type = RpcType::kMessage}, {}))),
      "");
  EXPECT_EQ(words(machine.libvirt_packet(
                make_packet({.procedure = kConnectionClosedEvent, .type = RpcType::kMessage}, {}))),
            "peer:reply362");
}

std::uint32_t flags_forwarded(const Actions& actions) {
  for (const Action& action : actions) {
    if (const auto* sent = std::get_if<SendToLibvirt>(&action))
      return decode_finish_call(sent->packet.payload()).value().flags;
  }
  return 77;
}

TEST(DestinationMachine, HoldsTheGuestUntilItsWritesAreWatched) {
  DestinationMachine machine = told_to_watch(1);
  EXPECT_EQ(flags_forwarded(machine.decided(Decision::kAccepted)), 1 | kFlagPaused);
  EXPECT_EQ(words(machine.libvirt_packet(finish_reply())), "libvirt:call1");
  EXPECT_EQ(machine.state_name(), "watching");
  EXPECT_FALSE(machine.finish_replied());
  EXPECT_EQ(words(machine.libvirt_packet(monitor_reply(kDisks))), "libvirt:call1");
  EXPECT_EQ(words(machine.libvirt_packet(monitor_reply(R"({"return":{}})"))), "libvirt:call28");
  EXPECT_EQ(words(machine.libvirt_packet(resumed())),
            "outcome:ok peer:reply306 event:finish_replied");
  EXPECT_TRUE(machine.finish_replied());
}

TEST(DestinationMachine, LetsTheGuestRunThoughNothingCanBeWatched) {
  for (const std::string& answer : {std::string("no JSON"), std::string(R"({"return":[]})"),
                                    std::string(R"({"error":{"desc":"no"}})")}) {
    DestinationMachine machine = watching();
    EXPECT_EQ(words(machine.libvirt_packet(monitor_reply(answer))), "libvirt:call28") << answer;
    EXPECT_EQ(words(machine.libvirt_packet(resumed())),
              "outcome:ok peer:reply306 event:finish_replied");
  }
  DestinationMachine machine = watching();
  machine.libvirt_packet(monitor_reply(kDisks));
  EXPECT_EQ(words(machine.libvirt_packet(error_reply(kMonitorCommand, kOwn))), "libvirt:call28");
}

TEST(DestinationMachine, IsInDoubtIfTheHeldGuestWasNotLetRun) {
  DestinationMachine machine = watching();
  machine.libvirt_packet(monitor_reply("?"));
  EXPECT_EQ(words(machine.libvirt_packet(error_reply(kDomainResume, kOwn))),
            "outcome:error peer:error306 event:finish_replied");
  EXPECT_TRUE(machine.in_doubt());
  machine = told_to_watch();
  machine.decided(Decision::kAccepted);
  EXPECT_EQ(words(machine.libvirt_packet(
                make_reply({.procedure = kMigrateFinish, .serial = 10}, Bytes{1, 2, 3, 4}))),
            "outcome:error peer:error306 event:finish_replied")
      << "nobody can say which guest to let run";
  machine = told_to_watch();
  machine.decided(Decision::kAccepted);
  EXPECT_EQ(words(machine.libvirt_packet(error_reply(kMigrateFinish, 10))),
            "outcome:error peer:error306 event:finish_replied");
}

TEST(DestinationMachine, LeavesAPausedGuestPaused) {
  DestinationMachine machine = told_to_watch(kFlagPaused);
  EXPECT_EQ(flags_forwarded(machine.decided(Decision::kAccepted)), kFlagPaused);
  machine.libvirt_packet(finish_reply());
  machine.libvirt_packet(monitor_reply(kDisks));
  EXPECT_EQ(words(machine.libvirt_packet(monitor_reply(R"({"return":{}})"))),
            "outcome:ok peer:reply306 event:finish_replied");
}

TEST(DestinationMachine, PreparesOnce) {
  DestinationMachine machine = prepared();
  EXPECT_EQ(words(machine.peer_packet(prepare_call(30))), "peer:error303 event:policy_refused");
}

}  // namespace
}  // namespace drover::gate
