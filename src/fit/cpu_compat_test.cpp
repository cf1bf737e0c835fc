// SPDX-License-Identifier: Apache-2.0
#include "fit/cpu_compat.h"

#include "fit/fixes.h"
#include "fit/world_fixture.h"
#include "hypervisor/adapt_cpu.h"
#include "hypervisor/domain_xml.h"

namespace drover::fit {
namespace {

std::string cpu(std::initializer_list<const char*> features) {
  std::string out = "<cpu mode='custom' match='exact'><model>Haswell</model>";
  for (const char* name : features)
    out += std::string("<feature policy='require' name='") + name + "'/>";
  return out + "</cpu>";
}

const std::string kFormer = "<cpu mode='host-model' check='partial'/>";

class Compat : public FitWorld {
 protected:
  Compat() {
    host1_.hypervisor.cpu = cpu({"avx2", "pcid", "avx512f"});
    host2_.hypervisor.cpu = cpu({"avx2", "pcid"});
    host3_.hypervisor.cpu = cpu({"avx2", "rdrand"});
    EXPECT_TRUE(host1_.hypervisor.define(definition(kFormer)));
    EXPECT_TRUE(host1_.hypervisor.start(kUuid));
  }
  std::string now() {
    const auto text = host1_.hypervisor.definition(kUuid, DefinitionKind::kPersistent);
    return cpu_element(*text).value();
  }
  Result<CpuCompat> ask(std::vector<std::string> hosts, bool write = false) {
    return cpu_compat(world(), while_free_, {"web01", std::move(hosts), write, "alice"});
  }
};

TEST_F(Compat, FindsWhatAllHostsHaveAndChangesNothing) {
  const auto found = ask({"host2", "host3", "host2", "host1"});
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(found->hosts, (std::vector<std::string>{"host1", "host2", "host3"}));
  EXPECT_EQ(found->now, "host-model");
  EXPECT_EQ(found->model, "Haswell");
  EXPECT_EQ(found->features, std::vector<std::string>{"+avx2"});
  EXPECT_EQ(found->lost, (std::vector<std::string>{"avx512f", "pcid"}));
  EXPECT_TRUE(found->running);
  EXPECT_FALSE(found->as_it_is);
  EXPECT_EQ(found->fix, "");
  EXPECT_EQ(now(), kFormer);
  EXPECT_TRUE(host1_.book->fixes().list()->empty());
}

TEST_F(Compat, WritesItOnceAndBringsTheFormerBack) {
  const auto found = ask({"host2"}, true);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(read_cpu(now())->features.size(), 2u);
  const auto again = ask({"host2"}, true);
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->as_it_is);
  EXPECT_EQ(again->fix, "") << "nothing was to be done";
  ASSERT_EQ(host1_.book->fixes().list()->size(), 1u);
  const auto undone = undo_fix(world(), while_free_, found->fix);
  ASSERT_TRUE(undone) << undone.error().text();
  EXPECT_TRUE(undone->undone_at);
  EXPECT_TRUE(same_cpu(now(), kFormer));
  EXPECT_EQ(undo_fix(world(), while_free_, found->fix).error().code, ErrorCode::kConflict)
      << "once";
}

TEST_F(Compat, WritesNothingWhileAMoveHasTheVm) {
  taken_by_ = "k3f9x2qa";
  ASSERT_TRUE(ask({"host2"})) << "looking is free";
  EXPECT_EQ(ask({"host2"}, true).error().code, ErrorCode::kConflict);
  EXPECT_EQ(now(), kFormer);
  EXPECT_TRUE(host1_.book->fixes().list()->empty());
  taken_by_.clear();
  const auto found = ask({"host2"}, true);
  ASSERT_TRUE(found);
  taken_by_ = "k3f9x2qa";
  EXPECT_EQ(undo_fix(world(), while_free_, found->fix).error().code, ErrorCode::kConflict);
  EXPECT_FALSE(same_cpu(now(), kFormer));
}

// The hosts are asked for some seconds.
TEST_F(Compat, LeavesADefinitionThatWasChangedWhileTheHostsWereAsked) {
  const std::string other = definition(kFormer, "<input type='tablet'/>");
  before_ = [&] { EXPECT_TRUE(host1_.hypervisor.define(other)); };
  EXPECT_EQ(ask({"host2"}, true).error().code, ErrorCode::kConflict);
  EXPECT_EQ(host1_.hypervisor.definition(kUuid, DefinitionKind::kPersistent).value(), other);
  EXPECT_TRUE(host1_.book->fixes().list()->empty());
}

TEST_F(Compat, TellsOtherHostsNothingButTheCpu) {
  ASSERT_TRUE(
      host1_.hypervisor.define(definition(kFormer, "<graphics type='vnc' passwd='secret'/>")));
  ASSERT_TRUE(ask({"host2", "host3"}, true));
  EXPECT_EQ(net_.bodies.size(), 4u);
  for (const auto& body : net_.bodies) {
    EXPECT_FALSE(body.contains("secret") || body.contains("web01") || body.contains(kUuid)) << body;
  }
}

TEST_F(Compat, LeavesACpuThatSomebodyChangedSince) {
  const auto found = ask({"host2"}, true);
  ASSERT_TRUE(host1_.hypervisor.define(definition("<cpu mode='host-passthrough'/>")));
  EXPECT_EQ(undo_fix(world(), while_free_, found->fix).error().code, ErrorCode::kConflict);
  EXPECT_TRUE(now().contains("host-passthrough"));
}

TEST_F(Compat, HasAnUndoAlsoWhereDroverdDiedWhileItWrote) {
  AppliedFix fix;
  fix.id = "k3f9x2qa";
  fix.code = kCpuFix;
  fix.vm_uuid = kUuid;
  fix.before = kFormer;
  ASSERT_TRUE(host1_.book->fixes().save(fix));
  EXPECT_TRUE(undo_fix(world(), while_free_, fix.id))
      << "it was not written: nothing is to be done";
  fix.undone_at.reset();
  ASSERT_TRUE(host1_.book->fixes().save(fix));
  ASSERT_TRUE(host1_.hypervisor.define(definition(cpu({"avx2"}))));
  EXPECT_TRUE(undo_fix(world(), while_free_, fix.id)) << "it was written";
  EXPECT_TRUE(same_cpu(now(), kFormer));
}

TEST_F(Compat, RefusesWhatCannotBe) {
  EXPECT_EQ(ask({"host1"}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ask({"host9"}).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(ask({"host2", "host4"}).error().message.contains("host4"));
  host2_.hypervisor.cpu = "";
  EXPECT_FALSE(ask({"host2"}, true));
  EXPECT_EQ(now(), kFormer);
}

TEST_F(Compat, AsksEachHostWhetherItCanGiveIt) {
  PeerSide& side = *host2_.side;
  const auto reply = side.handle("host1", "cpu-check",
                                 "{\"definition\":\"" + definition(cpu({"avx2", "amx"})) + "\"}");
  ASSERT_TRUE(reply) << reply.error().text();
  EXPECT_EQ(*reply, R"({"fits":false,"missing":["amx"]})");
  EXPECT_FALSE(side.handle("host1", "cpu-check", R"({"definition":"<domain"})"));
  EXPECT_FALSE(side.handle("host1", "cpu", "{}"));
}

}  // namespace
}  // namespace drover::fit
