// SPDX-License-Identifier: Apache-2.0
// The destination's word on who runs the VM, and that it stands over restarts of droverd. A restart
// is a new DestinationSide on the same journal and records.
#include "move/destination/destination_side.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/random.h"
#include "hypervisor/disk_image.h"
#include "hypervisor/fake/fake.h"
#include "move/move_test_support.h"
#include "net/dial.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";
constexpr const char* kMove = "k3f9x2qa";
const gate::RecordKey kKey{kUuid, kMove};
const std::string kDefinition =
    std::string("<domain type='kvm'><name>web01</name><uuid>") + kUuid +
    "</uuid><memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' "
    "machine='pc-q35-7.2'>hvm</type></os></domain>";

class NoPeers final : public net::PeerTransport {
 public:
  Result<std::string> call(std::string_view, std::string_view, std::string_view,
                           Deadline) override {
    return fail(ErrorCode::kUnavailable, "The destination asks nobody.");
  }
};

class DestinationWord : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("drover-move-" + random_name(8));
    ASSERT_TRUE(make_folder(folder_ / "records", 0700));
    database_ = *journal::Database::open(folder_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book_ = *journal::HostBook::open(*database_);
    for (const char* name : {"host1", "host3"}) {
      Peer peer{name, "10.0.0.1", 1, 2, std::string(63, '0') + name[4], {}, PeerState::kPaired};
      ASSERT_TRUE(book_->put_peer(peer));
    }
    ASSERT_TRUE(book_->change_settings({{"incoming", SettingChange::Op::kSet, "on"}}));
    records_.emplace(*gate::RecordFolder::open(folder_ / "records", "test"));
    world_.emplace(World{hypervisor_, *journal_, *book_, peers_, *records_, carriage_, slots_,
                         bandwidth_, "host2", "00"});
    restart();
  }
  void TearDown() override {
    side_.reset();
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  void restart() {
    side_ = std::make_unique<DestinationSide>(*world_, [] { return std::vector<Vm>{}; });
    ASSERT_TRUE(side_->recover());
  }
  Result<std::string> call(std::string_view verb, std::string_view peer = "host1") {
    return side_->handle(peer, verb, to_json(MoveName{kMove}));
  }
  Answer answer(std::string_view verb) {
    const auto text = call(verb);
    EXPECT_TRUE(text) << text.error().text();
    return text ? *answer_from_json(*text) : Answer{};
  }
  Status settle() {
    RETURN_IF_ERROR(side_->handle("host1", verb::kSettle, to_json(SettleRequest{kMove, false})));
    return {};
  }
  // A move whose images, records and gate are there, as the journal has it.
  void prepare(std::vector<NetworkPair> networks = {}) {
    const auto reserved = reserve(std::move(networks));
    ASSERT_TRUE(reserved) << reserved.error().text();
    const auto prepared = call(verb::kPrepare);
    ASSERT_TRUE(prepared) << prepared.error().text();
  }
  Result<std::string> reserve(std::vector<NetworkPair> networks) {
    ReserveRequest request;
    request.plan.networks = std::move(networks);
    request.plan.request.group = group_;
    request.move = request.epoch = kMove;
    request.plan.vm.uuid = kUuid;
    request.plan.vm.name = "web01";
    request.plan.vm.state = VmState::kRunning;
    request.destination_xml = request.persistent_xml = kDefinition;
    request.link_key = std::string(64, '0');
    return side_->handle("host1", verb::kReserve, to_json(request));
  }
  // A link of the move comes to this address of ours.
  void link_comes_to(const std::string& address, std::uint16_t number) {
    const UniqueFd door = std::move(*net::listen_tcp({address, 0}));
    const UniqueFd far = std::move(*net::dial_tcp(*net::local_address(door.get()), soon()));
    side_->take_link(kMove, number, UniqueFd(::accept(door.get(), nullptr, nullptr)));
  }
  static Deadline soon() { return Deadline::after(std::chrono::seconds(30)); }
  // The same with an image, behind the back of a droverd that is down.
  std::filesystem::path prepare_with_image() {
    prepare();
    const auto image = folder_ / "disk.qcow2";
    std::ofstream(image) << "disk";
    auto job = job_in_journal();
    auto identity = file_identity(image.string()).value();
    identity.device += 1;  // as written down in an earlier boot, with other numbers
    identity.boot = "an earlier one";
    job.created.push_back(known_file("vda", image.string(), identity));
    save(job, journal::JobState::kOpen);
    return image;
  }
  DestinationJob job_in_journal() {
    return *destination_job_from_json(*journal_->job(journal::Side::kDestination, kMove));
  }
  void save(const DestinationJob& job, journal::JobState state) {
    ASSERT_TRUE(journal_->save(journal::Side::kDestination, kMove, state, to_json(job)));
  }
  void run(const char* sql) { ASSERT_TRUE(database_->prepare(sql)->run()); }
  void fill_disk() {
    run("CREATE TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  }
  void make_room() { run("DROP TRIGGER full"); }
  void accept() {
    ASSERT_EQ(*records_->decide(kKey, gate::Decision::kAccepted), gate::Decision::kAccepted);
  }
  bool record_is_there() { return records_->destination(kKey).has_value(); }
  void guest_runs() {
    ASSERT_TRUE(hypervisor_.define(kDefinition));
    ASSERT_TRUE(hypervisor_.start(kUuid));
  }

  std::string group_;  // of reserve()
  std::filesystem::path folder_;
  fake::FakeHypervisor hypervisor_{{}};
  NoPeers peers_;
  ScriptedCarriage carriage_;
  Slots slots_;
  Bandwidth bandwidth_;
  std::unique_ptr<journal::Database> database_;
  std::optional<journal::MoveJournal> journal_;
  std::unique_ptr<journal::HostBook> book_;
  std::optional<gate::RecordFolder> records_;
  std::optional<World> world_;
  std::unique_ptr<DestinationSide> side_;
};

// A place is given for a minute, kept from prepare on, and free when the move is undone.
TEST_F(DestinationWord, GivesAsManyPlacesAsItsSettingAllows) {
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
TEST_F(DestinationWord, GivesThePlaceOfAMoveThatCameNoFurtherBackWithItsUndo) {
  ASSERT_TRUE(side_->handle("host1", verb::kAdmit, to_json(AdmitRequest{"aaaaaaaa", false})));
  ASSERT_EQ(slots_.used(), 1u);
  const auto undone = side_->handle("host1", verb::kUndo, to_json(MoveName{"aaaaaaaa"}));
  EXPECT_EQ(undone.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(slots_.used(), 0u);
}

TEST_F(DestinationWord, HoldsNoPlaceForWhatHasCome) {
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

// A guest whose writes were to be watched stands still after FINISH; its gate lets it run.
class HeldGuest : public DestinationWord {
 protected:
  void SetUp() override {
    DestinationWord::SetUp();
    prepare();
    auto job = job_in_journal();
    job.plan.request.verification = Verification::kReadBack;
    job.plan.placements = {{"vda", "/srv/a", "/srv/a", "raw", {}, {}, {}}};
    save(job, journal::JobState::kOpen);
    restart();
    accept();
    guest_runs();
    ASSERT_TRUE(hypervisor_.suspend(kUuid));
    carriage_.state.gate_alive = false;
  }
  bool runs() { return hypervisor_.run_state(kUuid)->kind == RunState::Kind::kRunning; }
};

TEST_F(HeldGuest, IsLetRunIfItsGateEnded) {
  side_->sweep();
  EXPECT_TRUE(runs());
  EXPECT_TRUE(job_in_journal().unwatched) << "a watch that is found later proves nothing";
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRuns);
}

TEST_F(HeldGuest, IsLetRunWhenItsSourceAsks) {
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRuns);
  EXPECT_TRUE(runs());
}

TEST_F(HeldGuest, WaitsForAGateThatIsAtWork) {
  carriage_.state.gate_alive = true;
  side_->sweep();
  EXPECT_FALSE(runs());
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kPending);
  carriage_.state.gate.in_doubt = true;
  side_->sweep();
  EXPECT_TRUE(runs());
}

TEST_F(HeldGuest, IsNotLetRunIfThatCannotBeWrittenDown) {
  fill_disk();
  side_->sweep();
  EXPECT_FALSE(runs());
  make_room();
  side_->sweep();
  EXPECT_TRUE(runs());
}

TEST_F(HeldGuest, StaysAsAPersonLeftItOnceItRan) {
  ASSERT_TRUE(records_->set_outcome(kKey, {true, 7, ""}));
  side_->sweep();
  EXPECT_FALSE(runs());
}

TEST_F(DestinationWord, ReservesOnlyWhatItsNetworksAllow) {
  ASSERT_TRUE(book_->change_settings({{"networks", SettingChange::Op::kSet, "10.77.1.0/24"}}));
  const auto way = [](const char* network, const char* to) {
    return std::vector<NetworkPair>{{network, "10.77.1.1", to}};
  };
  // A network's name proves nothing: the address counts.
  for (const auto& refused : {way("10.77.0.0/24", "10.77.0.2"), way("10.77.1.0/24", "10.77.0.2"),
                              way("any", "10.77.1.2"), way("10.77.1.0/24", "host2")}) {
    const auto reserved = reserve(refused);
    ASSERT_FALSE(reserved);
    EXPECT_EQ(reserved.error().code, ErrorCode::kPolicy);
  }
  EXPECT_TRUE(reserve(way("10.77.0.0/16", "10.77.1.2")));
  EXPECT_TRUE(side_->admits("10.77.1.2"));
  EXPECT_FALSE(side_->admits("10.77.0.2"));
}

TEST_F(DestinationWord, TakesLinksOnlyAtThePlansAddresses) {
  prepare({{"127.0.0.2/31", "127.0.0.9", "127.0.0.2"}});
  link_comes_to("127.0.0.1", 1);
  EXPECT_TRUE(carriage_.state.links.empty());
  link_comes_to("127.0.0.2", 2);
  EXPECT_EQ(carriage_.state.links, std::vector<std::uint16_t>{2});
}

TEST_F(DestinationWord, TheWayOfThePairingMayLeadToAnyAddress) {
  prepare({{"any", "", "127.0.0.1"}});
  link_comes_to("127.0.0.3", 1);
  EXPECT_EQ(carriage_.state.links, std::vector<std::uint16_t>{1});
}

TEST_F(DestinationWord, AVmIsOfItsGroupOnceItCameAndIsSettled) {
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
TEST_F(DestinationWord, WhoNeverCameIsOfNoGroup) {
  group_ = "web";
  prepare();
  (void)settle();
  EXPECT_TRUE(journal_->group_members("web")->empty());
}

TEST_F(DestinationWord, NoPeerGivesAGroupAnyNameItLikes) {
  group_ = "../web";
  EXPECT_EQ(reserve({}).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(DestinationWord, AskingRecordsTheRefusalAndLookingDoesNot) {
  prepare();
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kPending);
  EXPECT_FALSE(*records_->decision(kKey));
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRefused);
  EXPECT_EQ(*records_->decision(kKey), gate::Decision::kRefused);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRefused);
}

TEST_F(DestinationWord, WhatItUndidStaysRefusedHoweverLateTheSourceAsks) {
  prepare();
  ASSERT_TRUE(call(verb::kUndo));
  EXPECT_FALSE(record_is_there());
  restart();
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRefused);
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRefused);
  EXPECT_TRUE(call(verb::kUndo));
  EXPECT_EQ(call(verb::kPrepare).error().code, ErrorCode::kConflict);
  EXPECT_EQ(call(verb::kAnswer, "host3").error().code, ErrorCode::kPermission);
}

TEST_F(DestinationWord, AnUndoThatWasBrokenOffIsAnsweredForAndEnded) {
  const auto image = prepare_with_image();
  restart();
  hypervisor_.set_answering(false);  // droverd ends while it waits for the incoming QEMU's end
  EXPECT_FALSE(call(verb::kUndo));
  hypervisor_.set_answering(true);
  ASSERT_TRUE(records_->remove(kKey));
  restart();
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRefused);
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRefused);
  EXPECT_TRUE(std::filesystem::exists(image));
  side_->sweep();
  EXPECT_FALSE(std::filesystem::exists(image));
  EXPECT_TRUE(job_in_journal().undone);
}

TEST_F(DestinationWord, NothingIsUndoneBeforeTheJournalSaysSo) {
  const auto image = prepare_with_image();
  restart();
  fill_disk();
  EXPECT_FALSE(call(verb::kUndo));
  EXPECT_TRUE(std::filesystem::exists(image));
  EXPECT_TRUE(record_is_there());
  make_room();
  EXPECT_TRUE(call(verb::kUndo));
  EXPECT_FALSE(std::filesystem::exists(image) || record_is_there());
}

TEST_F(DestinationWord, AGateThatIsSilentIsStoppedBeforeAnythingIsRemoved) {
  const auto image = prepare_with_image();
  restart();
  carriage_.state.stops = fail(ErrorCode::kTimeout, "The gate is silent.");
  EXPECT_FALSE(call(verb::kUndo));
  EXPECT_TRUE(std::filesystem::exists(image));
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRefused);
  carriage_.state.stops = {};
  EXPECT_TRUE(call(verb::kUndo));
  EXPECT_FALSE(std::filesystem::exists(image));
}

TEST_F(DestinationWord, JobsOfEarlierVersionsAreRead) {
  prepare();
  for (const char* member : {"never_ran", "undoing"})
    run(fmt::format("UPDATE jobs SET job = json_remove(job, '$.{}')", member).c_str());
  restart();
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kPending);
}

TEST_F(DestinationWord, NothingIsUndoneUnderAccepted) {
  const auto image = prepare_with_image();
  restart();
  accept();
  guest_runs();
  EXPECT_EQ(call(verb::kUndo).error().code, ErrorCode::kInDoubt);
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kRuns);
  ASSERT_TRUE(hypervisor_.destroy(kUuid));
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kUnknown) << "its events were missed";
  EXPECT_EQ(call(verb::kUndo).error().code, ErrorCode::kInDoubt);
  EXPECT_TRUE(std::filesystem::exists(image) && record_is_there());
}

TEST_F(DestinationWord, ThatItNeverRanIsRememberedOverARestart) {
  prepare();
  accept();
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kPending) << "its end was not seen yet";
  side_->take_vm_event({VmEvent::Kind::kStopped, kUuid, "web01"});
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kNo);
  restart();
  const Answer word = answer(verb::kAnswer);
  EXPECT_EQ(word.kind, Answer::Kind::kGone);
  EXPECT_EQ(word.ran, Answer::Ran::kNo);
  EXPECT_TRUE(call(verb::kUndo));
  EXPECT_FALSE(record_is_there());
}

TEST_F(DestinationWord, ThatItNeverRanIsNotSaidBeforeItIsKept) {
  prepare();
  accept();
  side_->take_vm_event({VmEvent::Kind::kStopped, kUuid, "web01"});
  fill_disk();
  EXPECT_EQ(answer(verb::kAnswer).kind, Answer::Kind::kPending);
  make_room();
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kNo);
}

// This host lost its power just after it had taken the VM, and the definition with it.
TEST_F(DestinationWord, WhatWasAcceptedKeepsItsDefinition) {
  prepare();
  accept();
  restart();
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kUnknown);
  EXPECT_EQ(hypervisor_.run_state(kUuid)->kind, RunState::Kind::kOff) << "it can be started here";
  EXPECT_EQ(answer(verb::kAnswer).ran, Answer::Ran::kUnknown) << "and that says nothing else";
}

TEST_F(DestinationWord, AMoveIsSettledOnlyOnceItsRecordIsGone) {
  const auto image = prepare_with_image();
  restart();
  accept();
  guest_runs();
  carriage_.state.stops = fail(ErrorCode::kConflict, "libvirt has not answered yet");
  EXPECT_FALSE(settle());
  EXPECT_TRUE(record_is_there()) << "the gate writes the answer there";
  carriage_.state.stops = {};
  fill_disk();
  EXPECT_FALSE(settle());
  EXPECT_FALSE(record_is_there());
  // Without record and without the journal's last word nothing of a VM that is here is undone.
  EXPECT_EQ(call(verb::kUndo).error().code, ErrorCode::kInDoubt);
  make_room();
  EXPECT_EQ(call(verb::kUndo).error().code, ErrorCode::kInDoubt);
  EXPECT_TRUE(std::filesystem::exists(image));
  EXPECT_TRUE(settle());
  EXPECT_TRUE(job_in_journal().settled);
  restart();
  EXPECT_TRUE(settle()) << "its source may not have heard";
  EXPECT_EQ(hypervisor_.run_state(kUuid)->kind, RunState::Kind::kRunning);
}

}  // namespace
}  // namespace drover::move
