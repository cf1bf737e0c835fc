// SPDX-License-Identifier: Apache-2.0
#include "move/plan/guest_sampler.h"

#include <gtest/gtest.h>

#include "hypervisor/fake/fake.h"

namespace drover::move {
namespace {

using namespace std::chrono_literals;

class Sampler : public testing::Test {
 protected:
  // Its UUID ends with that digit.
  void add(char digit, const std::string& inside = "", bool start = true) {
    const std::string uuid = std::string("6f0f6b0e-7d0a-4c0e-9d0c-01234567890") + digit;
    ASSERT_TRUE(hypervisor_.define("<domain type='qemu'><name>vm" + std::string(1, digit) +
                                   "</name><uuid>" + uuid +
                                   "</uuid><memory unit='MiB'>64</memory>" + inside +
                                   "<os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>"
                                   "<devices/></domain>"));
    if (start) {
      ASSERT_TRUE(hypervisor_.start(uuid));
    }
  }
  std::string last_measured() {
    std::string all;
    for (const std::string& uuid : hypervisor_.measured) all += uuid.back();
    return all;
  }

  fake::FakeHypervisor hypervisor_{{}};
  std::string moving_;  // the last digit of one that is in a move
  GuestSampler sampler_{hypervisor_, [this] {
                          auto vms = hypervisor_.list_vms().value_or(std::vector<Vm>{});
                          for (Vm& vm : vms) {
                            if (vm.uuid.ends_with(moving_) && !moving_.empty()) vm.move_id = "m";
                          }
                          return vms;
                        }};
  GuestSampler::Clock::time_point now_ = GuestSampler::Clock::now();
};

TEST_F(Sampler, MeasuresOneGuestALookAndEachAgainAfterAWhile) {
  add('1');
  add('2');
  sampler_.look(now_);
  EXPECT_EQ(last_measured(), "") << "they may just be booting";
  now_ += 61s;
  for (int look = 0; look < 5; ++look) sampler_.look(now_ += 2s);
  EXPECT_EQ(last_measured().size(), 2u) << "each once";
  now_ += 6min;
  sampler_.look(now_);
  sampler_.look(now_);
  sampler_.look(now_);
  const std::string all = last_measured();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0], all[2]) << "who waits longest goes first";
}

TEST_F(Sampler, LeavesThoseAloneThatAreOffOrMove) {
  add('1', "", false);
  add('2');
  moving_ = "2";
  sampler_.look(now_);
  sampler_.look(now_ += 61s);
  EXPECT_EQ(last_measured(), "");
  moving_.clear();
  sampler_.look(now_);
  EXPECT_EQ(last_measured(), "2");
}

// To read a page of theirs is to make it.
TEST_F(Sampler, LeavesGuestsOfSharedMemoryAlone) {
  add('1', "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>");
  add('2', "<memoryBacking><hugepages/></memoryBacking>");
  add('3');
  sampler_.look(now_);
  now_ += 61s;
  for (int look = 0; look < 4; ++look) sampler_.look(now_ += 2s);
  EXPECT_EQ(last_measured(), "3");
}

TEST_F(Sampler, ForgetsThoseThatAreGone) {
  add('1');
  sampler_.look(now_);
  sampler_.look(now_ += 61s);
  ASSERT_TRUE(hypervisor_.destroy("6f0f6b0e-7d0a-4c0e-9d0c-012345678901"));
  sampler_.look(now_);
  ASSERT_TRUE(hypervisor_.start("6f0f6b0e-7d0a-4c0e-9d0c-012345678901"));
  sampler_.look(now_);
  sampler_.look(now_ += 61s);
  EXPECT_EQ(last_measured(), "11") << "it has a new QEMU, of which nothing is known";
}

TEST_F(Sampler, EndsAtOnce) {
  add('1');
  const auto begun = GuestSampler::Clock::now();
  {
    GuestSampler other(hypervisor_, [] { return std::vector<Vm>{}; });
    other.start();
  }
  EXPECT_LT(GuestSampler::Clock::now() - begun, 1s);
}

}  // namespace
}  // namespace drover::move
