// SPDX-License-Identifier: Apache-2.0
// The adapter on a libvirt that does not know all flags: libvirt's own test driver, with a call of
// ours in front of it.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <libvirt/libvirt.h>

#include "base/random.h"
#include "hypervisor/libvirt/libvirt.h"

// What it was asked to forget, when the flags were known; and how often it does not.
static std::string forgotten;
static int refuses = 0;

// As libvirt before 8.9: a flag that it does not know is VIR_ERR_INVALID_ARG.
extern "C" int virDomainUndefineFlags(virDomainPtr domain, unsigned int flags) {
  constexpr unsigned kKnownToNobody = 1u << 30;
  using Call = int (*)(virDomainPtr, unsigned);
  static const auto real = reinterpret_cast<Call>(::dlsym(RTLD_NEXT, "virDomainUndefineFlags"));
  const bool is_known = (flags & VIR_DOMAIN_UNDEFINE_KEEP_TPM) == 0;
  if (is_known) {
    char* const text = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
    forgotten = text != nullptr ? text : "";
    std::free(text);
  }
  return real(domain, is_known && refuses-- <= 0 ? 0u : kKnownToNobody);
}

namespace drover::libvirt {
namespace {

namespace fs = std::filesystem;

constexpr const char* kUuid = "6695eb01-f6a4-8304-79aa-97f2502e193f";  // of the driver's one VM

// libvirt is not built for thread sanitizer: see libvirt_test.cpp.
#ifdef __SANITIZE_THREAD__
constexpr bool kThreadSanitizer = true;
#else
constexpr bool kThreadSanitizer = false;
#endif

TEST(OldLibvirt, UndefinesNothingWhoseTpmStateItWouldRemove) {
  if (kThreadSanitizer) GTEST_SKIP() << "libvirt is not built for thread sanitizer";
  const fs::path root = fs::temp_directory_path() / ("drover-swtpm-" + random_name(8));
  const std::string state = tpm_state_place(root, kUuid, "tpm2-00.permall");
  ASSERT_TRUE(make_tpm_folders(state));
  std::ofstream(state) << "state";
  const auto hypervisor = make_libvirt({"test:///default", root});
  const auto defined = [&] { return hypervisor->definition(kUuid, DefinitionKind::kPersistent); };
  const Status refused = hypervisor->undefine(kUuid);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kConflict) << refused.error().text();
  EXPECT_TRUE(refused.error().message.contains(state)) << refused.error().text();
  EXPECT_TRUE(defined());

  fs::remove(state);
  const Status undefined = hypervisor->undefine(kUuid);
  EXPECT_TRUE(undefined) << undefined.error().text();
  EXPECT_FALSE(defined());
  fs::remove_all(root);
}

// A definition with a TPM is made to say that its state outlives it, and only while it is
// forgotten.
TEST(OldLibvirt, IsToldToKeepTheStateOfATpm) {
  if (kThreadSanitizer) GTEST_SKIP() << "libvirt is not built for thread sanitizer";
  constexpr const char* kOther = "6695eb01-f6a4-8304-79aa-97f2502e1940";
  const fs::path root = fs::temp_directory_path() / ("drover-swtpm-" + random_name(8));
  const std::string state = tpm_state_place(root, kOther, "tpm2-00.permall");
  ASSERT_TRUE(make_tpm_folders(state));
  std::ofstream(state) << "state";
  const auto hypervisor = make_libvirt({"test:///default", root});
  const Status made = hypervisor->define(
      "<domain type='test'><name>sealed</name><uuid>" + std::string(kOther) +
      "</uuid><memory>8192</memory><os><type>hvm</type></os><devices><tpm model='tpm-crb'><backend "
      "type='emulator' version='2.0'/></tpm></devices></domain>");
  ASSERT_TRUE(made) << made.error().text();
  const auto defined = [&] { return hypervisor->definition(kOther, DefinitionKind::kPersistent); };

  refuses = 1;
  EXPECT_FALSE(hypervisor->undefine(kOther));
  ASSERT_TRUE(defined());
  EXPECT_FALSE(defined()->contains("persistent_state")) << "as it was";

  const Status undefined = hypervisor->undefine(kOther);
  EXPECT_TRUE(undefined) << undefined.error().text();
  EXPECT_TRUE(forgotten.contains("persistent_state='yes'")) << forgotten;
  EXPECT_FALSE(defined());
  EXPECT_TRUE(fs::exists(state));
  fs::remove_all(root);
}

}  // namespace
}  // namespace drover::libvirt
