// SPDX-License-Identifier: Apache-2.0
#include "json/model_json.h"

#include <gtest/gtest.h>

namespace drover::json {
namespace {

using namespace std::chrono_literals;

Time at(int seconds) { return Time(std::chrono::seconds(1'700'000'000 + seconds) + 123ms); }

Disk full_disk() {
  return {"vda",
          DiskKind::kFile,
          DiskDevice::kDisk,
          "/images/a.qcow2",
          "qcow2",
          gib(20),
          gib(3),
          kib(64),
          true,
          true,
          {"/images/base.qcow2", "/images/root.raw"},
          {{"/images/base.qcow2", "qcow2", gib(20), gib(1), kib(64)},
           {"/images/root.raw", "raw", gib(10), gib(2), kib(0)}}};
}

Vm full_vm() {
  return {"f1",
          "web",
          "host1",
          VmState::kPaused,
          false,
          true,
          gib(2),
          4,
          "kvm",
          "pc-q35-7.2",
          "/nvram",
          3,
          {full_disk(), full_disk()},
          "k3f9x2qa",
          "a remark",
          true,
          {"db", "web"},
          {{"clean", "", at(3), false, {"vda"}, {}, ""},
           {"later", "clean", at(4), true, {}, {"vda", "vdb"}, "/images/later.mem"}}};
}

MoveRequest full_request() {
  return {"web",
          "host1",
          "host2",
          "/srv",
          MoveKind::kStorage,
          {{"vda", "/fast"}, {"vdb", "pool"}},
          true,
          "raw",
          Allocation::kFull,
          Media::kEject,
          SourceDisposal::kKeepSource,
          Performance::kDirect,
          4,
          {1'000'000},
          Convergence{ConvergencePolicy::kGiveUp, 90s},
          false,
          Verification::kNone,
          std::vector<std::string>{"10.77.1.0/24"},
          {{"lan", "prod"}, {"52:54:00:00:00:01", "bridge:br1"}},
          "web",
          true,
          -7,
          at(70),
          DailyWindow{std::chrono::minutes(22 * 60), std::chrono::minutes(61)},
          {"host3"},
          {"host2: It does not answer."},
          "a1b2c3d4",
          3,
          false,
          true,
          true,
          true,
          {"A", "B"},
          "alice@host3"};
}

Plan full_plan() {
  Plan plan;
  plan.id = "p1";
  plan.kind = MoveKind::kStorage;
  plan.request = full_request();
  plan.vm = full_vm();
  plan.placements = {{"vda", "/a", "/b", "qcow2", gib(20), gib(3), kib(64), false,
                      Allocation::kFull, "vg", "pool2"}};
  plan.files = {{"vda", "/base", "/b2", "raw", gib(20), gib(3), kib(64), true, true}};
  plan.nvram_destination = "/n";
  plan.networks = {{"10.77.1.0/24", "10.77.1.1", "10.77.1.2"}};
  plan.findings = {
      {"NO_SPACE", FindingLevel::kBlocker, "vda", "what", "why", {"fix one", "fix two"}, true}};
  plan.bytes_expected = gib(5);
  plan.quarantine_bytes = gib(3);
  plan.forecast = Forecast{
      {{"compress", gib(2), 8s, 10s, 14s, 200ms, 97}, {"quick", gib(1), 5s, 6s, 7s, 4s, 100}},
      BytesPerSecond{11},
      mib(24),
      15s,
      {12},
      17s,
      {16},
      {13},
      {14},
      gib(1),
      gib(2),
      mib(3),
      4,
      {"not measured"}};
  plan.made_at = at(0);
  plan.expires_at = at(600);
  return plan;
}

Move full_move() {
  Move move;
  move.id = "k3f9x2qa";
  move.plan = full_plan();
  move.source = "host1";
  move.destination = "host2";
  move.epoch = "k3f9x2qa.1";
  move.phase = Phase::kSwitch;
  move.state = MoveState::kParked;
  move.runner = Runner::kUnknown;
  move.explanation = "why";
  move.error = Error{ErrorCode::kInDoubt, Retry::kLater, "In doubt.", {"cause"}};
  move.phases = {{Phase::kPlan, at(1), at(2)}, {Phase::kSwitch, at(2), std::nullopt}};
  move.progress = {Phase::kCopyMemory,
                   77,
                   {gib(1), gib(2), {100}, mib(3)},
                   {gib(1), gib(2), {100}, mib(3)},
                   5s,
                   1s,
                   2s,
                   {{1, 5s, gib(2), gib(1), {100}, 6, 5, 4}, {2, 1s, mib(1), mib(2), {}, 3, 2, 1}},
                   full_plan().findings[0]};
  move.report = Report{gib(1),
                       9s,
                       120ms,
                       mib(7),
                       mib(8),
                       TransferKinds{mib(1), mib(2), mib(3), mib(4), mib(5), mib(6), mib(7), mib(8),
                                     mib(9), mib(10), 11},
                       {{1, 5s, gib(2), gib(1), {100}, 6, 5, 4}},
                       Proof{Verification::kReadBack, gib(3), mib(2), mib(1), 4s, "why", "where"},
                       {{"10.77.1.0/24", mib(9)}}};
  move.queue = QueuePlace{-7, true, 3, "host2 is full", at(3), at(4), at(8)};
  move.attempts = {{"a1b2c3d4", "copy-disks", *move.error, at(5)}};
  move.resolution = Resolution{"host1", true, "alice", at(6)};
  const GuestSigns signs{true,
                         "running",
                         7ns,
                         true,
                         true,
                         -5,
                         {{"52:54:00:00:00:01", "vnet0", "br0", false, false, true, 8, 9}}};
  const HealthBefore before{true, true, 12, {"52:54:00:00:00:01"}, {"a"}, {"b"}};
  move.health =
      Health{Health::State::kIll, before, signs, full_plan().findings, "set", at(7), at(8)};
  move.cancel_asked = true;
  move.convergence = {ConvergencePolicy::kWait};
  move.may_slow_guest = true;
  move.started_at = at(1);
  move.ended_at = at(9);
  return move;
}

// A second trip must give the same text, and the text must hold every member that was set.
template <typename T>
void expect_round_trip(const T& value, Result<T> (*parse)(std::string_view, Unknown)) {
  const std::string text = to_json(value);
  const auto back = parse(text, Unknown::kRefuse);
  ASSERT_TRUE(back) << back.error().text() << "\n" << text;
  EXPECT_EQ(to_json(*back), text);
}

TEST(ModelJson, EveryValueSurvivesARoundTrip) {
  expect_round_trip(full_disk(), disk_from_json);
  expect_round_trip(full_vm(), vm_from_json);
  expect_round_trip(full_request(), move_request_from_json);
  expect_round_trip(full_plan(), plan_from_json);
  expect_round_trip(full_plan().findings[0], finding_from_json);
  expect_round_trip(full_move(), move_from_json);
  expect_round_trip(full_move().progress, progress_from_json);
  expect_round_trip(*full_move().report, report_from_json);
  expect_round_trip(*full_move().error, error_from_json);
  expect_round_trip(
      QuarantinedDisk{"m", "u", "n", "/o", "/k", 64768, 1234567, gib(1), at(0), at(9), 77, "b"},
      quarantined_disk_from_json);
  expect_round_trip(HostSettings{true,
                                 true,
                                 "/srv",
                                 {"/srv", "/data"},
                                 Performance::kDirect,
                                 {0},
                                 {9},
                                 {7},
                                 {ConvergencePolicy::kPause, 12s},
                                 {"10.0.0.0/8"},
                                 {"web", "db"},
                                 {"nbd://storage1"},
                                 gib(9),
                                 std::chrono::hours(3),
                                 mib(7),
                                 5s,
                                 7,
                                 30s},
                    host_settings_from_json);
  expect_round_trip(
      Peer{"host2", "10.0.0.2", 7430, 7431, "ab", {false, false, true, true}, PeerState::kWaiting},
      peer_from_json);
  HostFacts facts{
      "host1",
      "uuid",
      "0.1.0",
      9'000'000,
      7'002'022,
      true,
      gib(64),
      gib(8),
      16,
      {"pc", "q35"},
      true,
      {{"br0"}, {"default"}, {{"10.0.0.1", 24, "br0", true}}, {{"br0", 1500, 10'000, "lan"}}},
      {{"images", "dir", "/images", true}},
      {},
      at(3)};
  expect_round_trip(facts, host_facts_from_json);
  EXPECT_EQ(host_facts_from_json(to_json(facts))->qemu_version, 7'002'022u);
}

TEST(ModelJson, EmptyValuesAndListsSurviveToo) {
  expect_round_trip(Vm{}, vm_from_json);
  expect_round_trip(Move{}, move_from_json);
  expect_round_trip(std::vector<Vm>{full_vm(), Vm{}}, vms_from_json);
  expect_round_trip(std::vector<Move>{full_move()}, moves_from_json);
  EXPECT_EQ(to_json(std::vector<Peer>{}), "[]");
  EXPECT_FALSE(move_from_json(to_json(Move{}))->report);
}

TEST(ModelJson, PlansOfBeforeThereWereKindsAreLive) {
  std::string text = to_json(Plan{});
  const std::string kind = R"("kind":"live",)";
  ASSERT_NE(text.find(kind), std::string::npos) << text;
  text.erase(text.find(kind), kind.size());
  EXPECT_EQ(plan_from_json(text)->kind, MoveKind::kLive);
}

TEST(ModelJson, FaultsNameTheMember) {
  const auto message = [](std::string_view text) {
    return move_request_from_json(text).error().message;
  };
  EXPECT_EQ(message(R"({"vm":"a","destination":"b","colour":1})"), "colour is not a known member.");
  EXPECT_EQ(message(R"({"vm":"a"})"), "destination is missing.");
  EXPECT_EQ(message(R"({"vm":7,"destination":"b"})"), "vm must be text.");
  EXPECT_EQ(message(R"({"vm":"a","destination":"b","disposal":"burn"})"),
            "disposal has no known value.");
  EXPECT_EQ(message(R"([1])"), "The text must be a JSON object.");
  EXPECT_EQ(message(R"({"vm":"a","vm":"b","destination":"c"})"),
            "The JSON text is not usable: the member vm is there twice.");
  std::string text = to_json(full_vm());
  text.replace(text.find("\"kind\":\"file\""), 13, "\"kind\":\"fool\"");
  EXPECT_EQ(vm_from_json(text).error().message, "disks[0].kind has no known value.");
}

TEST(ModelJson, MembersOfNewerPeersCanBeIgnored) {
  EXPECT_TRUE(
      move_request_from_json(R"({"vm":"a","destination":"b","colour":1})", Unknown::kIgnore));
}

TEST(ModelJson, RefusesWhatDoesNotFit) {
  EXPECT_FALSE(peer_from_json(
      R"({"name":"a","address":"b","api_port":65536,"mover_port":1,"public_key":"c"})"));
  EXPECT_FALSE(report_from_json(R"({"wire_bytes":-1,"duration_ms":1})"));
  EXPECT_FALSE(report_from_json(R"({"wire_bytes":1.5,"duration_ms":1})"));
  EXPECT_FALSE(report_from_json(R"({"wire_bytes":1,"duration_ms":18446744073709551615})"));
  EXPECT_FALSE(vm_from_json(std::string(10'000, '[')));
  EXPECT_FALSE(vm_from_json("{\"uuid\":\"\xff\"}"));
  EXPECT_FALSE(vm_from_json(""));
}

TEST(ModelJson, BytesThatAreNotUtf8AreReplacedNotThrown) {
  Vm vm;
  vm.name = "\xff";
  EXPECT_NE(to_json(vm).find("\xef\xbf\xbd"), std::string::npos);
}

TEST(TimeText, KeepsMillisecondsAndReadsOffsets) {
  EXPECT_EQ(time_text(Time(0ms)), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(time_text(*time_from_text("2026-07-25T12:30:00.5+02:00")), "2026-07-25T10:30:00.500Z");
  EXPECT_EQ(time_text(*time_from_text("1969-12-31t23:59:59.999z")), "1969-12-31T23:59:59.999Z");
  for (const auto* bad : {"", "2026-07-25", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                          "2026-07-25T10:00:00", "2026-07-25T24:00:00Z", "2026-07-25T10:00:00.Z",
                          "2026-07-25T10:00:00Zx", "9999-12-31T00:00:00Z"}) {
    EXPECT_FALSE(time_from_text(bad)) << bad;
  }
}

}  // namespace
}  // namespace drover::json
