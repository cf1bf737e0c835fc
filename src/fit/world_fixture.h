// SPDX-License-Identifier: Apache-2.0
// A host with a fake hypervisor, and peers that are the folder's own PeerSide on fakes of theirs:
// for tests.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/random.h"
#include "fit/peer_side.h"
#include "fit/while_free.h"
#include "hypervisor/fake/fake.h"
#include "move/move_test_support.h"

namespace drover::fit {

inline constexpr const char* kUuid = "6f0f6b0e-7d0a-4c0e-9d0c-0123456789ab";

class NoOtherVerbs final : public net::PeerHandler {
 public:
  Result<std::string> handle(std::string_view, std::string_view verb, std::string_view) override {
    return fail(ErrorCode::kNotFound, "There is no peer call {}.", verb);
  }
};

// One host of a test: a world of its own.
class FixtureHost {
 public:
  FixtureHost(std::string name, net::PeerTransport& peers)
      : folder_(std::filesystem::temp_directory_path() / ("drover-fit-" + random_name(8))) {
    EXPECT_TRUE(make_folder(folder_, 0700));
    EXPECT_TRUE(make_folder(folder_ / "records", 0700));
    database_ = *journal::Database::open(folder_ / "drover.db");
    journal_.emplace(*journal::MoveJournal::open(*database_));
    book = *journal::HostBook::open(*database_);
    records_.emplace(*gate::RecordFolder::open(folder_ / "records", "test"));
    world.emplace(move::World{hypervisor, *journal_, *book, peers, *records_, carriage_, slots_,
                              bandwidth_, std::move(name), "00"});
    side.emplace(*world, others_);
  }
  ~FixtureHost() {
    side.reset();
    world.reset();
    book.reset();
    journal_.reset();
    database_.reset();
    std::filesystem::remove_all(folder_);
  }
  FixtureHost(const FixtureHost&) = delete;
  FixtureHost& operator=(const FixtureHost&) = delete;

  fake::FakeHypervisor hypervisor{{}};
  std::unique_ptr<journal::HostBook> book;
  std::optional<move::World> world;
  std::optional<PeerSide> side;

 private:
  const std::filesystem::path folder_;
  std::unique_ptr<journal::Database> database_;
  std::optional<journal::MoveJournal> journal_;
  std::optional<gate::RecordFolder> records_;
  move::ScriptedCarriage carriage_;
  move::Slots slots_;
  move::Bandwidth bandwidth_;
  NoOtherVerbs others_;
};

// Calls go to the hosts' own sides.
class FixtureNet final : public net::PeerTransport {
 public:
  Result<std::string> call(std::string_view host, std::string_view verb, std::string_view body,
                           Deadline) override {
    {
      const std::lock_guard lock(mutex);
      bodies.emplace_back(body);
    }
    const auto found = hosts.find(host);
    if (found == hosts.end()) return fail(ErrorCode::kUnavailable, "{} does not answer.", host);
    return found->second->side->handle("host1", verb, body);
  }
  std::map<std::string, FixtureHost*, std::less<>> hosts;
  std::mutex mutex;  // guards bodies
  std::vector<std::string> bodies;
};

class FitWorld : public testing::Test {
 protected:
  FitWorld() {
    net_.hosts = {{"host2", &host2_}, {"host3", &host3_}};
    for (const char* name : {"host2", "host3", "host4"}) {
      Peer peer{name, "10.0.0.1", 1, 2, std::string(63, '0') + name[4], {}, PeerState::kPaired};
      EXPECT_TRUE(host1_.book->put_peer(peer));
    }
  }
  move::World& world() { return *host1_.world; }
  static std::string definition(const std::string& inside, const std::string& devices = "") {
    return std::string("<domain type='kvm'><name>web01</name><uuid>") + kUuid +
           "</uuid><memory unit='MiB'>64</memory><os><type arch='x86_64' "
           "machine='pc-q35-7.2'>hvm</type></os>" +
           inside + "<devices>" + devices + "</devices></domain>";
  }

  // As Engine::while_free(): `before` is what happens until nobody else has the VM.
  WhileFree while_free_ = [this](const Vm& vm, const std::function<Status()>& change) -> Status {
    if (before_) before_();
    if (!taken_by_.empty())
      return fail(ErrorCode::kConflict, "{} is moving already ({}).", vm.name, taken_by_);
    claims_.push_back(vm.uuid);
    return change();
  };
  std::function<void()> before_;
  std::string taken_by_;             // a move
  std::vector<std::string> claims_;  // UUIDs
  FixtureNet net_;
  FixtureHost host1_{"host1", net_}, host2_{"host2", net_}, host3_{"host3", net_};
};

}  // namespace drover::fit
