// SPDX-License-Identifier: Apache-2.0
#include "gate/call_policy.h"

#include <functional>

#include <gtest/gtest.h>

namespace drover::gate {
namespace {

const std::string kUuid = "01234567-89ab-cdef-0123-456789abcdef";
const std::string kDomain = "<domain type='kvm'><name>web1</name><uuid>" + kUuid +
                            "</uuid><devices><serial type='pty'/></devices></domain>";
const std::string kEvilDomain =
    "<domain type='kvm'><name>web1</name><uuid>" + kUuid +
    "</uuid><devices><hostdev mode='subsystem' type='pci'/></devices></domain>";

std::string cookie(const std::string& inside) {
  std::string text =
      "<qemu-migration><name>web1</name><uuid>" + kUuid + "</uuid>" + inside + "</qemu-migration>";
  text.push_back('\0');
  return text;
}

class CallPolicy : public testing::Test {
 protected:
  CallPolicy() {
    policy_ = {"host2", "web1", kUuid, "unix:///m", "unix:///d", {"vda"}, {}, {}};
    EXPECT_TRUE(reserve_references(policy_, kDomain));
    prepare_.params = {{"destination_xml", kDomain},
                       {"destination_name", std::string("web1")},
                       {"migrate_uri", std::string("unix:///m")},
                       {"disks_uri", std::string("unix:///d")},
                       {"migrate_disks", std::string("vda")},
                       {"bandwidth", std::uint64_t{100}}};
    prepare_.flags = 0x4b;  // LIVE, PEER2PEER, PERSIST_DEST, NON_SHARED_DISK
    prepare_.cookie = cookie("<nbd><disk target='vda' capacity='1'/></nbd>");
    finish_.params = prepare_.params;
    finish_.flags = prepare_.flags;
    finish_.cookie = cookie(kDomain);
  }
  bool passes(const PrepareCall& call) const {
    return bool(check_prepare(call, policy_, any_path));
  }
  bool passes(const FinishCall& call) const { return bool(check_finish(call, policy_, any_path)); }
  PrepareCall with(std::size_t at, TypedParam param) const {
    PrepareCall call = prepare_;
    call.params[at] = std::move(param);
    return call;
  }

  Policy policy_;
  PrepareCall prepare_;
  FinishCall finish_;
};

TEST_F(CallPolicy, PassesTheReservedMove) {
  EXPECT_TRUE(passes(prepare_));
  EXPECT_TRUE(passes(finish_));
}

TEST_F(CallPolicy, RefusesFlagsOutsideTheList) {
  for (const int bit : {2, 8, 10, 14, 15, 16, 19, 20, 31}) {  // TUNNELLED … ZEROCOPY, unknown
    PrepareCall call = prepare_;
    call.flags |= 1u << bit;
    EXPECT_FALSE(passes(call)) << bit;
    FinishCall finish = finish_;
    finish.flags |= 1u << bit;
    EXPECT_FALSE(passes(finish)) << bit;
  }
}

TEST_F(CallPolicy, RefusesParametersThatDifferFromTheReservation) {
  EXPECT_FALSE(passes(with(0, {"destination_xml", kEvilDomain})));
  EXPECT_FALSE(passes(with(0, {"destination_xml", std::string("junk")})));
  EXPECT_FALSE(passes(with(0, {"destination_xml", 1})));
  EXPECT_FALSE(passes(with(1, {"destination_name", std::string("web2")})));
  EXPECT_FALSE(passes(with(2, {"migrate_uri", std::string("tcp:host:1")})));
  EXPECT_FALSE(passes(with(3, {"disks_uri", std::string("unix:///m")})));
  EXPECT_FALSE(passes(with(4, {"migrate_disks", std::string("vdb")})));
  EXPECT_FALSE(passes(with(5, {"listen_address", std::string("0.0.0.0")})));
  EXPECT_FALSE(passes(with(5, {"graphics_uri", std::string("spice://x")})));
  EXPECT_FALSE(passes(with(5, {"disks_port", 1})));
  EXPECT_FALSE(passes(with(5, {"tls.destination", std::string("x")})));
  EXPECT_FALSE(passes(with(5, {"unheard_of", 1})));
}

TEST_F(CallPolicy, RequiresDefinitionAndUriOnce) {
  for (const std::size_t at : {0u, 2u}) {
    PrepareCall call = prepare_;
    call.params.push_back(call.params[at]);
    EXPECT_FALSE(passes(call)) << "twice";
    call = prepare_;
    call.params.erase(call.params.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_FALSE(passes(call)) << "never";
  }
}

TEST_F(CallPolicy, JudgesEveryDefinitionInTheCookie) {
  const std::string wrong[] = {
      cookie(kEvilDomain),
      cookie(kDomain + kEvilDomain),
      cookie("<domain/>"),
      cookie("<nbd port='49153'/>"),
      cookie("<name>web2</name>"),
      "<other/>",
      "junk",
      cookie(kDomain).substr(0, 60),
      "<!DOCTYPE x><qemu-migration/>",
      std::string("<qemu-migration/>\0<evil/>", 25),
  };
  for (const std::string& text : wrong) {
    FinishCall finish = finish_;
    finish.cookie = text;
    EXPECT_FALSE(passes(finish)) << text;
    PrepareCall prepare = prepare_;
    prepare.cookie = text;
    EXPECT_FALSE(passes(prepare)) << text;
  }
  finish_.cookie = "";
  EXPECT_TRUE(passes(finish_));
}

TEST_F(CallPolicy, JudgesTheDefinitionInFinishToo) {
  finish_.params[0].value = kEvilDomain;
  EXPECT_FALSE(passes(finish_));
}

TEST_F(CallPolicy, NoDisksUriIsReservedWithoutDisks) {
  policy_.disks_uri.clear();
  EXPECT_FALSE(passes(prepare_));
  prepare_.params[3].value = std::string();
  EXPECT_FALSE(passes(prepare_));
}

}  // namespace
}  // namespace drover::gate
