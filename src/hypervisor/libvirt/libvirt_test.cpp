// SPDX-License-Identifier: Apache-2.0
// The conformance suite on a real libvirt, named by DROVER_TEST_LIBVIRT_URI (the lab's hosts set
// it), and what the adapter does without one.
#include "hypervisor/libvirt/libvirt.h"

#include <cstdlib>

#include "hypervisor/conformance.h"
#include "hypervisor/program.h"

namespace drover::libvirt {
namespace {

constexpr const char* kVariable = "DROVER_TEST_LIBVIRT_URI";

class LibvirtSubject final : public ConformanceSubject {
 public:
  explicit LibvirtSubject(std::string uri)
      : uri_(std::move(uri)), hypervisor_(make_libvirt({uri_})) {}
  Hypervisor& hypervisor() override { return *hypervisor_; }
  void start(const std::string& uuid) override { virsh("start", uuid); }
  void suspend(const std::string& uuid) override { virsh("suspend", uuid); }

 private:
  void virsh(const std::string& verb, const std::string& uuid) {
    const auto done = run_program(
        {.arguments = {"virsh", "-q", "-c", uri_, verb, uuid}, .limit = std::chrono::seconds(60)});
    ASSERT_TRUE(done) << done.error().text();
  }
  std::string uri_;
  std::unique_ptr<Hypervisor> hypervisor_;
};

std::unique_ptr<ConformanceSubject> real_libvirt() {
  const char* uri = std::getenv(kVariable);
  if (uri == nullptr) return nullptr;
  return std::make_unique<LibvirtSubject>(uri);
}

// libvirt and glib lock with futexes of their own builds, which thread sanitizer does not see:
// every connection handed to their event loop looks like a race inside them.
#ifdef __SANITIZE_THREAD__
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif

TEST(Libvirt, IsUsefulWhileNoDaemonAnswers) {
  if (kThreadSanitizer) GTEST_SKIP() << "libvirt is not built for thread sanitizer";
  const auto hypervisor = make_libvirt({"qemu+unix:///system?socket=/run/no-such-socket"});
  EXPECT_FALSE(hypervisor->connected());
  const auto vms = hypervisor->list_vms();
  ASSERT_FALSE(vms);
  EXPECT_EQ(vms.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(vms.error().retry, Retry::kLater);
  EXPECT_FALSE(vms.error().causes.empty());
  EXPECT_EQ(hypervisor->host_facts().error().code, ErrorCode::kUnavailable);
}

TEST(Libvirt, StartsAndStopsManyTimes) {
  if (kThreadSanitizer) GTEST_SKIP() << "libvirt is not built for thread sanitizer";
  for (int i = 0; i < 20; ++i) make_libvirt({"test:///default"});
}

}  // namespace
}  // namespace drover::libvirt

namespace drover {
INSTANTIATE_TEST_SUITE_P(Libvirt, HypervisorConformance,
                         testing::Values(ConformanceParameter{
                             "libvirt", libvirt::real_libvirt,
                             "DROVER_TEST_LIBVIRT_URI names no libvirt to test on"}),
                         [](const auto& tested) { return tested.param.name; });
}  // namespace drover
