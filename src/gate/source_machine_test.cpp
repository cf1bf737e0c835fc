// SPDX-License-Identifier: Apache-2.0
// The table of docs/gate.md, "Source": every state against every input.
#include "gate/source_machine.h"

#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "gate/machine_test_support.h"

namespace drover::gate {
namespace {

using namespace testing;  // NOLINT: the support header's, not GoogleTest's

const Status kBad = fail(ErrorCode::kSystem, "disk full");

SourceMachine waiting() { return SourceMachine({kVmName, *parse_uuid(kVmUuid)}); }

SourceMachine relaying() {
  SourceMachine machine = waiting();
  machine.libvirt_connected();
  return machine;
}

SourceMachine preparing() {
  SourceMachine machine = relaying();
  machine.libvirt_packet(prepare_call());
  return machine;
}

SourceMachine prepared() {
  SourceMachine machine = preparing();
  machine.peer_packet(prepare_reply());
  return machine;
}

SourceMachine finishing() {
  SourceMachine machine = prepared();
  machine.libvirt_packet(finish_call(false));
  machine.switching_recorded({});
  machine.fence_taken({});
  return machine;
}

SourceMachine in_doubt() {
  SourceMachine machine = finishing();
  machine.road_closed("cut");
  return machine;
}

SourceMachine cancelling() {
  SourceMachine machine = prepared();
  machine.libvirt_packet(finish_call(true));
  return machine;
}

SourceMachine settled() {
  SourceMachine machine = finishing();
  machine.peer_packet(finish_reply());
  return machine;
}

SourceMachine ended() {
  SourceMachine machine = settled();
  machine.libvirt_closed();
  return machine;
}

using MakeMachine = std::function<SourceMachine()>;
const std::map<std::string, MakeMachine> kStates{
    {"waiting", waiting},       {"relaying", relaying},   {"preparing", preparing},
    {"prepared", prepared},     {"finishing", finishing}, {"in_doubt", in_doubt},
    {"cancelling", cancelling}, {"settled", settled},     {"ended", ended}};

using Input = std::function<std::string(SourceMachine&)>;
const std::map<std::string, Input> kInputs{
    {"ping", [](auto& m) { return words(m.libvirt_packet(ping())); }},
    {"close call", [](auto& m) { return words(m.libvirt_packet(call(kConnectClose, 12))); }},
    {"foreign call", [](auto& m) { return words(m.libvirt_packet(call(17, 12))); }},
    {"FINISH(0)", [](auto& m) { return words(m.libvirt_packet(finish_call(false))); }},
    {"libvirt closed", [](auto& m) { return words(m.libvirt_closed()); }},
    {"FINISH reply", [](auto& m) { return words(m.peer_packet(finish_reply())); }},
    {"FINISH error", [](auto& m) { return words(m.peer_packet(error_reply(kMigrateFinish, 10))); }},
    {"note refused", [](auto& m) { return words(m.peer_note({NoteKind::kRefused, "why"})); }},
    {"note undecided", [](auto& m) { return words(m.peer_note({NoteKind::kUndecided, "why"})); }},
    {"note libvirt_closed",
     [](auto& m) { return words(m.peer_note({NoteKind::kLibvirtClosed, "why"})); }},
    {"road closed", [](auto& m) { return words(m.road_closed("cut")); }},
    {"memory opened", [](auto& m) { return words(m.memory_opened()); }},
    {"deliver runs", [](auto& m) { return words(m.deliver_runs(7)); }},
    {"deliver not_run", [](auto& m) { return words(m.deliver_not_run("gone")); }},
    {"stop", [](auto& m) { return words(m.stop()); }},
};

const std::string kEnd = "note:closed mover:settled event:ended=";
const std::string kAbort = "record:kept close " + kEnd + "aborted exit";
const std::string kGiveReason303 = "record:kept libvirt:error303 note:closed";
const std::string kGiveReason306 = "record:kept libvirt:error306 note:closed";
const std::string kRefused = "libvirt:error17 event:policy_refused";
const std::string kNotRun = "record:kept lift libvirt:error306";
const std::string kRuns = "record:released libvirt:reply306 event:finish_replied";

// One row a state; what is not listed changes nothing.
const std::map<std::string, std::map<std::string, std::string>> kTable{
    {"waiting",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"libvirt closed", kAbort},
      {"close call", "libvirt:reply2"},
      {"FINISH(0)", "libvirt:error306"},
      {"FINISH reply", kAbort},
      {"FINISH error", kAbort},
      {"note refused", kAbort},
      {"note undecided", kAbort},
      {"note libvirt_closed", kAbort},
      {"road closed", kAbort},
      {"memory opened", "switching?"},
      {"deliver runs", "CONFLICT"},
      {"deliver not_run", "CONFLICT"},
      {"stop", kAbort}}},
    {"relaying",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"libvirt closed", kAbort},
      {"close call", "peer:call2"},
      {"FINISH(0)", "libvirt:error306"},
      {"FINISH reply", kAbort},
      {"FINISH error", kAbort},
      {"note refused", kAbort},
      {"note undecided", kAbort},
      {"note libvirt_closed", kAbort},
      {"road closed", kAbort},
      {"memory opened", "switching?"},
      {"deliver runs", "CONFLICT"},
      {"deliver not_run", "CONFLICT"},
      {"stop", kAbort}}},
    {"preparing",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"libvirt closed", kAbort},
      {"close call", "peer:call2"},
      {"FINISH(0)", "libvirt:error306"},
      {"FINISH reply", kGiveReason303},
      {"FINISH error", kGiveReason303},
      {"note refused", kGiveReason303},
      {"note undecided", kGiveReason303},
      {"note libvirt_closed", kGiveReason303},
      {"road closed", kGiveReason303},
      {"memory opened", "switching?"},
      {"deliver runs", "CONFLICT"},
      {"deliver not_run", "CONFLICT"},
      {"stop", kAbort}}},
    {"prepared",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"libvirt closed", kAbort},
      {"close call", "peer:call2"},
      {"FINISH(0)", "mover:standstill switching?"},
      {"FINISH reply", kAbort},
      {"FINISH error", kAbort},
      {"note refused", kAbort},
      {"note undecided", kAbort},
      {"note libvirt_closed", kAbort},
      {"road closed", kAbort},
      {"memory opened", "switching?"},
      {"deliver runs", "CONFLICT"},
      {"deliver not_run", "CONFLICT"},
      {"stop", kAbort}}},
    {"finishing",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"close call", "libvirt:reply2"},
      {"FINISH(0)", "libvirt:error306"},
      {"FINISH reply", kRuns},
      {"FINISH error", "event:finish_replied event:in_doubt"},
      {"note refused", kNotRun + " event:finish_replied"},
      {"note undecided", "event:in_doubt"},
      {"note libvirt_closed", "event:in_doubt"},
      {"road closed", "event:in_doubt"},
      {"deliver runs", kRuns},
      {"deliver not_run", kNotRun + " event:finish_replied"},
      {"stop", "CONFLICT"}}},
    {"in_doubt",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"close call", "libvirt:reply2"},
      {"FINISH(0)", "libvirt:error306"},
      {"note refused", kNotRun + " event:finish_replied"},
      {"deliver runs", kRuns},
      {"deliver not_run", kNotRun + " event:finish_replied"},
      {"stop", "CONFLICT"}}},
    {"cancelling",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"libvirt closed", kAbort},
      {"close call", "libvirt:reply2"},
      {"FINISH(0)", "libvirt:error306"},
      {"FINISH reply", "libvirt:reply306 event:finish_replied"},
      {"FINISH error", "libvirt:error306 event:finish_replied"},
      {"note refused", kGiveReason306},
      {"note undecided", kGiveReason306},
      {"note libvirt_closed", kGiveReason306},
      {"road closed", kGiveReason306},
      {"deliver runs", "CONFLICT"},
      {"deliver not_run", "CONFLICT"},
      {"stop", kAbort}}},
    {"settled",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"close call", "libvirt:reply2"},
      {"FINISH(0)", "libvirt:error306"},
      {"libvirt closed", kEnd + "runs exit"},
      {"deliver runs", "CONFLICT"},
      {"deliver not_run", "CONFLICT"},
      {"stop", "close " + kEnd + "runs exit"}}},
    {"ended",
     {{"ping", "libvirt:pong"},
      {"foreign call", kRefused},
      {"close call", "libvirt:reply2"},
      {"FINISH(0)", "libvirt:error306"},
      {"deliver runs", "CONFLICT"},
      {"deliver not_run", "CONFLICT"}}},
};

TEST(SourceMachine, DoesInEveryStateWhatTheTableSays) {
  for (const auto& [state, make] : kStates) {
    for (const auto& [input, give] : kInputs) {
      SourceMachine machine = make();
      const auto& row = kTable.at(state);
      const auto cell = row.find(input);
      EXPECT_EQ(give(machine), cell == row.end() ? "" : cell->second) << state << ", " << input;
    }
  }
}

TEST(SourceMachine, ForwardsFinishOnlyBehindRecordAndFence) {
  SourceMachine machine = prepared();
  EXPECT_EQ(words(machine.libvirt_packet(finish_call(false))), "mover:standstill switching?");
  EXPECT_EQ(words(machine.switching_recorded({})), "fence?");
  EXPECT_EQ(words(machine.fence_taken({})),
            "mover:finish_forwarded event:finish_seen peer:call306");
}

TEST(SourceMachine, AnswersFinishItselfWhenRecordOrFenceFails) {
  SourceMachine machine = prepared();
  machine.libvirt_packet(finish_call(false));
  EXPECT_EQ(words(machine.switching_recorded(kBad)), kNotRun + " event:finish_replied note:closed");
  machine = prepared();
  machine.libvirt_packet(finish_call(false));
  machine.switching_recorded({});
  EXPECT_EQ(words(machine.fence_taken(kBad)), kNotRun + " event:finish_replied note:closed");
  EXPECT_EQ(words(machine.libvirt_packet(call(kUnregisterCloseCallback, 11))), "libvirt:reply361");
}

TEST(SourceMachine, CancelledFinishNeedsNoFence) {
  SourceMachine machine = prepared();
  EXPECT_EQ(words(machine.libvirt_packet(finish_call(true))),
            "record:kept event:finish_seen peer:call306");
}

TEST(SourceMachine, GivesUpWhenTheSwitchCannotBeRecorded) {
  SourceMachine machine = prepared();
  EXPECT_EQ(words(machine.memory_opened()), "switching?");
  EXPECT_EQ(words(machine.switching_recorded(kBad)), kAbort);
  machine = prepared();
  machine.memory_opened();
  EXPECT_EQ(words(machine.switching_recorded({})), "event:switching");
}

TEST(SourceMachine, DoubtsAnAnswerForAnotherVm) {
  SourceMachine machine = finishing();
  EXPECT_EQ(words(machine.peer_packet(finish_reply(10, "other"))), "event:in_doubt");
}

TEST(SourceMachine, KeepsARecordAlsoWhenLibvirtIsGone) {
  SourceMachine machine = finishing();
  EXPECT_EQ(words(machine.libvirt_closed()), "");
  EXPECT_EQ(words(machine.peer_packet(finish_reply())),
            "record:released event:finish_replied " + kEnd + "runs exit");
  machine = finishing();
  EXPECT_EQ(words(machine.libvirt_closed()), "");
  EXPECT_EQ(words(machine.deliver_runs(7)),
            "record:released event:finish_replied " + kEnd + "runs exit");
  machine = in_doubt();
  EXPECT_EQ(words(machine.libvirt_closed()), "");
  EXPECT_EQ(words(machine.deliver_not_run("gone")),
            "record:kept lift event:finish_replied " + kEnd + "not_run exit");
}

TEST(SourceMachine, RelaysOnlyAnswersToItsCalls) {
  SourceMachine machine = relaying();
  EXPECT_EQ(words(machine.libvirt_packet(call(kAuthList, 0))), "peer:call66");
  EXPECT_EQ(words(machine.peer_packet(make_reply({.procedure = kAuthList, .serial = 0}, {}))),
            "libvirt:reply66");
  EXPECT_EQ(words(machine.peer_packet(make_reply({.procedure = kAuthList, .serial = 0}, {}))),
            kAbort)
      << "a second answer";
  machine = relaying();
  EXPECT_EQ(words(machine.peer_packet(call(kAuthList, 0))), kAbort) << "a call from the far side";
}

TEST(SourceMachine, BreaksOnStreamsAndDescriptors) {
  for (const RpcType type : {RpcType::kStream, RpcType::kCallWithFds, RpcType::kReply}) {
    SourceMachine machine = prepared();
    EXPECT_EQ(words(machine.libvirt_packet(make_packet({.procedure = 303, .type = type}, {}))),
              kAbort);
    machine = finishing();
    EXPECT_EQ(words(machine.libvirt_packet(make_packet({.procedure = 303, .type = type}, {}))), "")
        << "the connection must not break now";
  }
}

TEST(SourceMachine, PreparesOnce) {
  SourceMachine machine = prepared();
  EXPECT_EQ(words(machine.libvirt_packet(prepare_call(11))), "libvirt:error303");
}

}  // namespace
}  // namespace drover::gate
