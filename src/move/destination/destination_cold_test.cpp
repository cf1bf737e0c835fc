// SPDX-License-Identifier: Apache-2.0
// A quick or offline move at its destination: what is taken in, once, and what is said of it. A
// restart is a new DestinationSide on the same journal and records.
#include <filesystem>
#include <fstream>
#include <iterator>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/file.h"
#include "base/random.h"
#include "hypervisor/backing_chain.h"
#include "hypervisor/fake/fake.h"
#include "hypervisor/program.h"
#include "move/cold/cold_files.h"
#include "move/destination/destination_side.h"
#include "move/move_test_support.h"
#include "move/residue/quarantine.h"
#include "net/digest.h"

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
const std::string kNamesake =
    "<domain type='kvm'><name>web01</name><uuid>00000000-0000-0000-0000-000000000001</uuid>"
    "<memory unit='MiB'>64</memory><os><type>hvm</type></os></domain>";

class NoPeers final : public net::PeerTransport {
 public:
  Result<std::string> call(std::string_view, std::string_view, std::string_view,
                           Deadline) override {
    return fail(ErrorCode::kUnavailable, "The destination asks nobody.");
  }
};

class ColdDestination : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("drover-move-" + random_name(8));
    ASSERT_TRUE(make_folder(folder_ / "records", 0700));
    ASSERT_TRUE(make_folder(state_file().parent_path(), 0700));
    database_ = *journal::Database::open(folder_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book_ = *journal::HostBook::open(*database_);
    Peer peer{"host1", "10.0.0.1", 1, 2, std::string(64, '1'), {}, PeerState::kPaired};
    ASSERT_TRUE(book_->put_peer(peer));
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
    side_ = std::make_unique<DestinationSide>(
        *world_, [] { return std::vector<Vm>{}; }, KeepResidue::kOff, (folder_ / "swtpm").string());
    ASSERT_TRUE(side_->recover());
  }
  std::filesystem::path state_file() {
    return carriage_.state_file({kMove, kMove, "web01", kUuid});
  }

  void prepare(MoveKind kind, const std::string& definition = kDefinition) {
    ReserveRequest request;
    request.plan.kind = kind;
    request.move = request.epoch = kMove;
    request.plan.vm.uuid = kUuid;
    request.plan.vm.name = "web01";
    request.plan.vm.state = kind == MoveKind::kQuick ? VmState::kRunning : VmState::kOff;
    request.destination_xml = request.persistent_xml = definition;
    request.link_key = std::string(64, '0');
    const auto reserved = side_->handle("host1", verb::kReserve, to_json(request));
    ASSERT_TRUE(reserved) << reserved.error().text();
    const auto prepared = side_->handle("host1", verb::kPrepare, to_json(MoveName{kMove}));
    ASSERT_TRUE(prepared) << prepared.error().text();
  }
  // What a guest that runs at the source is saved as.
  std::string saved_guest() {
    fake::FakeHypervisor source{{}};
    EXPECT_TRUE(source.define(kDefinition) && source.start(kUuid));
    const auto file = folder_ / "saved";
    EXPECT_TRUE(source.save(kUuid, file.string(), Hypervisor::Then::kRuns));
    std::ifstream content(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(content), {}};
  }
  void deliver(const std::string& content) {
    const auto socket = carriage_.state.take_file();
    ASSERT_TRUE(socket) << socket.error().text();
    ASSERT_EQ(::send(socket->get(), content.data(), content.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(content.size()));
    ::shutdown(socket->get(), SHUT_WR);
    char byte = 0;
    ASSERT_EQ(::recv(socket->get(), &byte, 1, 0), 0);
  }
  void deliver_guest() {
    const std::string state = saved_guest();
    head_ = state.substr(0, *state_head_bytes(state));
    std::string begun = head_;
    begun.replace(0, 16, "LibvirtQemudPart");
    deliver(begun);
    deliver(state.substr(head_.size()));
  }
  Result<std::string> ask_to_arrive(MoveKind kind) {
    ArriveRequest request{kMove, {}, head_};
    if (kind == MoveKind::kQuick) request.files = {{"state-head", ""}, {"state", ""}};
    return side_->handle("host1", verb::kArrive, to_json(request));
  }
  Answer arrive(MoveKind kind) {
    const auto text = ask_to_arrive(kind);
    EXPECT_TRUE(text) << text.error().text();
    return text ? *answer_from_json(*text) : Answer{};
  }
  Answer answer(std::string_view verb = verb::kAnswer) {
    const auto text = side_->handle("host1", verb, to_json(MoveName{kMove}));
    EXPECT_TRUE(text) << text.error().text();
    return text ? *answer_from_json(*text) : Answer{};
  }
  Result<std::string> undo() {
    return side_->handle("host1", verb::kUndo, to_json(MoveName{kMove}));
  }
  RunState::Kind state() { return hypervisor_.run_state(kUuid)->kind; }
  gate::Decision decision() { return **records_->decision(kKey); }
  DestinationJob job_in_journal() {
    return *destination_job_from_json(*journal_->job(journal::Side::kDestination, kMove));
  }
  void save(const DestinationJob& job) {
    ASSERT_TRUE(
        journal_->save(journal::Side::kDestination, kMove, journal::JobState::kOpen, to_json(job)));
  }

  std::string head_;
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

constexpr auto kOffline = MoveKind::kOffline;
constexpr auto kQuick = MoveKind::kQuick;

TEST_F(ColdDestination, AVmThatIsOffIsDefinedOnceItHasArrived) {
  prepare(kOffline);
  EXPECT_EQ(state(), RunState::Kind::kAbsent) << "nothing is visible before";
  EXPECT_EQ(arrive(kOffline).kind, Answer::Kind::kRuns);
  EXPECT_EQ(state(), RunState::Kind::kOff);
  EXPECT_EQ(decision(), gate::Decision::kAccepted);
  EXPECT_EQ(arrive(kOffline).kind, Answer::Kind::kRuns) << "and may be said again";
  EXPECT_EQ(undo().error().code, ErrorCode::kInDoubt) << "it is here";
  EXPECT_EQ(state(), RunState::Kind::kOff);
}

TEST_F(ColdDestination, ASavedGuestGoesOnHere) {
  prepare(kQuick);
  deliver_guest();
  EXPECT_EQ(arrive(kQuick).kind, Answer::Kind::kRuns);
  EXPECT_EQ(state(), RunState::Kind::kRunning);
  EXPECT_FALSE(std::filesystem::exists(state_file())) << "it is never needed again";
  ASSERT_TRUE(hypervisor_.destroy(kUuid));
  restart();
  const Answer later = answer();
  EXPECT_EQ(later.kind, Answer::Kind::kGone);
  EXPECT_EQ(later.ran, Answer::Ran::kYes);
  EXPECT_EQ(state(), RunState::Kind::kOff) << "a guest is restored once";
}

TEST_F(ColdDestination, WhatWasTakenBackDoesNotArrive) {
  prepare(kOffline);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
  EXPECT_EQ(arrive(kOffline).kind, Answer::Kind::kRefused);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
  EXPECT_TRUE(undo());
  EXPECT_FALSE(ask_to_arrive(kOffline));
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

// Its source sees the stream end, and asks for the reason.
TEST_F(ColdDestination, SaysWhatItCannotWrite) {
  prepare(MoveKind::kQuick);
  const auto text = side_->handle("host1", verb::kSpace, to_json(MoveName{kMove}));
  ASSERT_TRUE(text) << text.error().text();
  EXPECT_EQ(space_reply_from_json(*text)->folder, state_file().parent_path().string());
  deliver(std::string(100, 'h'));
  EXPECT_FALSE(answer(verb::kLook).failed);
  const auto socket = carriage_.state.take_file();
  ASSERT_TRUE(socket);
  {
    const NoFileGrowsBeyond limit(mib(8));
    const std::string piece(1 << 20, 'x');
    for (int i = 0; i < 16; ++i)
      if (::send(socket->get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0) break;
    char byte = 0;
    ASSERT_LE(::recv(socket->get(), &byte, 1, 0), 0) << "it is broken off";
  }
  const Answer said = answer(verb::kLook);
  EXPECT_EQ(said.kind, Answer::Kind::kPending);
  ASSERT_TRUE(said.failed);
  EXPECT_TRUE(said.failed->text().contains(state_file().string())) << said.failed->text();
  ASSERT_TRUE(undo());
  EXPECT_FALSE(std::filesystem::exists(state_file()));
}

TEST_F(ColdDestination, NothingIsAcceptedBeforeAllHasCome) {
  prepare(kQuick);
  const std::string state_text = saved_guest();
  head_ = state_text.substr(0, *state_head_bytes(state_text));
  deliver(head_);
  EXPECT_EQ(ask_to_arrive(kQuick).error().code, ErrorCode::kConflict);
  EXPECT_EQ(ask_to_arrive(kOffline).error().code, ErrorCode::kProtocol) << "other files";
  EXPECT_EQ(*records_->decision(kKey), std::nullopt);
}

TEST_F(ColdDestination, AHeadOfAnotherLengthIsRefused) {
  prepare(kQuick);
  deliver_guest();
  head_ += "x";
  EXPECT_EQ(ask_to_arrive(kQuick).error().code, ErrorCode::kProtocol);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
}

TEST_F(ColdDestination, ADroverdThatWasRestartedHasLostWhatCame) {
  prepare(kOffline);
  restart();
  EXPECT_EQ(ask_to_arrive(kOffline).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
  EXPECT_TRUE(undo());
}

// libvirt says no: that it never ran here is a word that stands, whatever changes later.
TEST_F(ColdDestination, ADefinitionThatIsRefusedGivesItBack) {
  prepare(kOffline);
  ASSERT_TRUE(hypervisor_.define(kNamesake));
  const Answer said = arrive(kOffline);
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_EQ(said.ran, Answer::Ran::kNo);
  ASSERT_TRUE(hypervisor_.undefine("00000000-0000-0000-0000-000000000001"));
  restart();
  side_->sweep();
  EXPECT_EQ(answer().ran, Answer::Ran::kNo);
  EXPECT_EQ(state(), RunState::Kind::kAbsent) << "it is not defined after all";
  EXPECT_TRUE(undo());
}

TEST_F(ColdDestination, AStateThatIsRefusedGivesItBack) {
  hypervisor_.at_restore = [] { return fail(ErrorCode::kHypervisor, "No such machine."); };
  prepare(kQuick);
  deliver_guest();
  const Answer said = arrive(kQuick);
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_EQ(said.ran, Answer::Ran::kNo);
  EXPECT_TRUE(said.text.contains("No such machine")) << said.text;
  const auto undone = undo();
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
  EXPECT_FALSE(std::filesystem::exists(state_file()));
}

// Whoever is told that it never ran here must be the only one who can start it.
TEST_F(ColdDestination, WhatNeverRanIsNotDefinedHereAnyMore) {
  hypervisor_.at_restore = [] { return fail(ErrorCode::kHypervisor, "No such machine."); };
  prepare(kQuick);
  deliver_guest();
  EXPECT_EQ(arrive(kQuick).ran, Answer::Ran::kNo);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

TEST_F(ColdDestination, AWordThatCannotBeWrittenDownIsNotSaid) {
  hypervisor_.at_restore = [&] {
    EXPECT_TRUE(database_->run("ALTER TABLE jobs RENAME TO away"));
    return fail(ErrorCode::kHypervisor, "No such machine.");
  };
  prepare(kQuick);
  deliver_guest();
  EXPECT_EQ(arrive(kQuick).kind, Answer::Kind::kPending);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kPending);
  ASSERT_TRUE(database_->run("ALTER TABLE away RENAME TO jobs"));
  EXPECT_EQ(answer().ran, Answer::Ran::kNo);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

// Events come while libvirt restores, and a verb waits for it.
TEST_F(ColdDestination, AGuestThatWasSeenRunningNeverIsOneThatNeverRan) {
  hypervisor_.at_restore = [&] {
    side_->take_vm_event({VmEvent::Kind::kResumed, kUuid, "web01", false});
    EXPECT_TRUE(side_->concerns(kUuid));
    return fail(ErrorCode::kHypervisor, "It died.");
  };
  prepare(kQuick);
  deliver_guest();
  const Answer said = arrive(kQuick);
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_NE(said.ran, Answer::Ran::kNo);
}

TEST_F(ColdDestination, ALookChangesNothing) {
  prepare(kOffline);
  ASSERT_EQ(*records_->decide(kKey, gate::Decision::kAccepted), gate::Decision::kAccepted);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kPending);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
  EXPECT_EQ(answer().kind, Answer::Kind::kRuns);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRuns);
}

// droverd ended while libvirt was restoring it: nobody saw whether it ran.
TEST_F(ColdDestination, AGuestThatMayHaveRunIsNotRestoredAgain) {
  prepare(kQuick);
  deliver_guest();
  ASSERT_EQ(*records_->decide(kKey, gate::Decision::kAccepted), gate::Decision::kAccepted);
  ASSERT_TRUE(hypervisor_.define(kDefinition));
  auto job = job_in_journal();
  job.defined = job.restore_called = true;
  save(job);
  restart();
  const Answer said = answer();
  EXPECT_EQ(said.kind, Answer::Kind::kGone);
  EXPECT_EQ(said.ran, Answer::Ran::kUnknown);
  EXPECT_EQ(state(), RunState::Kind::kOff);
  EXPECT_EQ(undo().error().code, ErrorCode::kInDoubt);
  ASSERT_TRUE(hypervisor_.start(kUuid));
  EXPECT_EQ(answer().kind, Answer::Kind::kRuns) << "somebody has started it";
}

// Accepted: whoever is there afterwards takes it in, unasked.
TEST_F(ColdDestination, WhatWasAcceptedIsTakenInAfterARestart) {
  prepare(kOffline);
  ASSERT_EQ(*records_->decide(kKey, gate::Decision::kAccepted), gate::Decision::kAccepted);
  restart();
  side_->sweep();
  EXPECT_EQ(state(), RunState::Kind::kOff);
  EXPECT_EQ(answer(verb::kLook).kind, Answer::Kind::kRuns);
}

TEST_F(ColdDestination, ALibvirtThatIsAwayIsWaitedFor) {
  prepare(kOffline);
  hypervisor_.set_answering(false);
  EXPECT_EQ(arrive(kOffline).kind, Answer::Kind::kPending);
  hypervisor_.set_answering(true);
  EXPECT_EQ(answer().kind, Answer::Kind::kRuns);
}

// A disk on a layer that this host does not have: both come as they are.
class ColdChain : public ColdDestination {
 protected:
  void SetUp() override {
    ColdDestination::SetUp();
    images_ = folder_ / "images";
    std::filesystem::create_directories(images_);
    ASSERT_TRUE(
        book_->change_settings({{"allowed-folders", SettingChange::Op::kAdd, images_.string()}}));
    base_ = std::string(200'000, 'b');
  }
  std::string there(const char* name) const { return (images_ / name).string(); }
  std::string image_on(const std::string& below) {
    const std::string path = (folder_ / "image").string();
    EXPECT_TRUE(run_program({.arguments = {"qemu-img", "create", "-q", "-f", "qcow2", "-u", "-F",
                                           "raw", "-b", below, path, "8M"}}));
    std::ifstream content(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(content), {}};
  }
  void prepare_chain() {
    ReserveRequest request;
    request.plan.kind = kOffline;
    request.move = request.epoch = kMove;
    request.plan.vm.uuid = kUuid;
    request.plan.vm.name = "web01";
    request.plan.vm.state = VmState::kOff;
    request.plan.placements = {
        {"vda", "/a/top", there("top"), "qcow2", mib(8), mib(1), kib(64), false}};
    request.plan.files = {{"vda", "/a/base", there("base"), "raw", mib(8), mib(1), {}}};
    request.destination_xml = request.persistent_xml = kDefinition;
    request.link_key = std::string(64, '0');
    const auto reserved = side_->handle("host1", verb::kReserve, to_json(request));
    ASSERT_TRUE(reserved) << reserved.error().text();
    const auto prepared = side_->handle("host1", verb::kPrepare, to_json(MoveName{kMove}));
    ASSERT_TRUE(prepared) << prepared.error().text();
  }
  Result<std::string> arrive_with(const std::string& base, const std::string& image) {
    ArriveRequest request{
        kMove,
        {{"file " + there("base"), net::sha256_hex(base)}, {"image vda", net::sha256_hex(image)}},
        ""};
    return side_->handle("host1", verb::kArrive, to_json(request));
  }

  std::filesystem::path images_;
  std::string base_;
};

TEST_F(ColdChain, ComesAsItIs) {
  prepare_chain();
  const std::string image = image_on("/a/base");
  deliver(base_);
  deliver(image);
  const auto said = arrive_with(base_, image);
  ASSERT_TRUE(said) << said.error().text();
  EXPECT_EQ(answer_from_json(*said)->kind, Answer::Kind::kRuns);
  EXPECT_EQ(backing_chain_of(there("top"), "qcow2"), std::vector<std::string>{there("base")});
  EXPECT_EQ(std::filesystem::file_size(there("base")), base_.size());
}

TEST_F(ColdChain, WhatIsNotWhatWasSentIsNotTaken) {
  prepare_chain();
  const std::string image = image_on("/a/base");
  deliver(base_);
  deliver(image);
  EXPECT_EQ(arrive_with(base_, image + "x").error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(answer().kind, Answer::Kind::kRefused);
  const auto undone = undo();
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_TRUE(std::filesystem::is_empty(images_));
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

TEST_F(ColdChain, WhatAnotherVmStandsOnStays) {
  prepare_chain();
  const std::string image = image_on("/a/base");
  deliver(base_);
  deliver(image);
  ASSERT_TRUE(hypervisor_.define(
      "<domain type='kvm'><name>web02</name><uuid>00000000-0000-0000-0000-000000000002</uuid>"
      "<memory unit='MiB'>64</memory><os><type>hvm</type></os><devices><disk type='file' "
      "device='disk'><driver type='qcow2'/><source file='/b/other'/><backingStore "
      "type='file'><format type='raw'/><source file='" +
      there("base") + "'/><backingStore/></backingStore><target dev='vda'/></disk></devices>" +
      "</domain>"));
  EXPECT_TRUE(*is_used(*world_, there("base"), kUuid));
  EXPECT_FALSE(*is_used(*world_, there("top"), kUuid));
  const auto undone = undo();
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_FALSE(std::filesystem::exists(there("top")));
  EXPECT_TRUE(std::filesystem::exists(there("base")));
}

// A libvirt that says nothing has not said that another VM stands on it.
TEST_F(ColdChain, WhoStandsOnALayerIsNotGuessed) {
  hypervisor_.set_answering(false);
  EXPECT_FALSE(is_used(*world_, there("base"), kUuid));
}

TEST_F(ColdChain, AnImageThatNamesAFileOfThisHostIsNotTaken) {
  prepare_chain();
  const std::string image = image_on("/etc/shadow");
  deliver(base_);
  deliver(image);
  EXPECT_EQ(arrive_with(base_, image).error().code, ErrorCode::kPolicy);
  EXPECT_EQ(state(), RunState::Kind::kAbsent);
}

TEST_F(ColdChain, NothingIsWrittenOverAFile) {
  std::ofstream(there("base")) << "another";
  ReserveRequest request;
  request.plan.kind = kOffline;
  request.move = request.epoch = kMove;
  request.plan.vm.uuid = kUuid;
  request.plan.vm.name = "web01";
  request.plan.placements = {
      {"vda", "/a/top", there("top"), "qcow2", mib(8), mib(1), kib(64), false}};
  request.plan.files = {{"vda", "/a/base", there("base"), "raw", mib(8), mib(1), {}}};
  request.destination_xml = request.persistent_xml = kDefinition;
  request.link_key = std::string(64, '0');
  ASSERT_TRUE(side_->handle("host1", verb::kReserve, to_json(request)));
  EXPECT_EQ(side_->handle("host1", verb::kPrepare, to_json(MoveName{kMove})).error().code,
            ErrorCode::kConflict);
  EXPECT_EQ(std::filesystem::file_size(there("base")), 7u);
  EXPECT_FALSE(std::filesystem::exists(there("top")));
}

// The journal fails once the empty file is gone: it is asked again.
TEST_F(ColdDestination, ATpmThatNeverHadAStateIsTakenAgain) {
  std::string definition = kDefinition;
  definition.insert(definition.find("</domain>"),
                    "<devices><tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
                    "</devices>");
  prepare(kOffline, definition);
  const std::string place = tpm_state_place((folder_ / "swtpm").string(), kUuid, "tpm2-00.permall");
  EXPECT_TRUE(std::filesystem::exists(place));
  deliver("");
  const std::string request = to_json(ArriveRequest{kMove, {{"tpm", net::sha256_hex("")}}, ""});
  ASSERT_TRUE(database_->run("ALTER TABLE jobs RENAME TO away"));
  EXPECT_FALSE(side_->handle("host1", verb::kArrive, request));
  EXPECT_FALSE(std::filesystem::exists(place));
  ASSERT_TRUE(database_->run("ALTER TABLE away RENAME TO jobs"));
  const auto said = side_->handle("host1", verb::kArrive, request);
  ASSERT_TRUE(said) << said.error().text();
  EXPECT_EQ(answer_from_json(*said)->kind, Answer::Kind::kRuns);
}

TEST_F(ColdDestination, APeerCannotNameAnotherPlaceForUefiVariables) {
  ReserveRequest request;
  request.plan.kind = kOffline;
  request.move = request.epoch = kMove;
  request.plan.vm.uuid = kUuid;
  request.plan.vm.name = "web01";
  request.plan.vm.state = VmState::kOff;
  request.plan.nvram_destination = (folder_ / "somewhere").string();
  request.destination_xml = request.persistent_xml = kDefinition;
  request.link_key = std::string(64, '0');
  ASSERT_TRUE(side_->handle("host1", verb::kReserve, to_json(request)));
  EXPECT_EQ(side_->handle("host1", verb::kPrepare, to_json(MoveName{kMove})).error().code,
            ErrorCode::kPolicy);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "somewhere"));
}

}  // namespace
}  // namespace drover::move
