// SPDX-License-Identifier: Apache-2.0
#include "move/cold/write_failure.h"

#include <gtest/gtest.h>

#include "move/retry.h"

namespace drover::move {
namespace {

const DiskPlacement kDisk{"vda", "/a/web01.qcow2", "/srv/web01.qcow2", "qcow2", gib(1), gib(1), {}};

Error says(ErrorCode code, const char* text) { return {code, Retry::kNever, text, {}}; }

TEST(WriteFailure, OfAFullDiskSaysWhereAndWhatHelps) {
  const Error error = write_error(
      unwritten_disk(kDisk, "web01"), "host2",
      says(ErrorCode::kInternal, "error while writing at byte 0: No space left on device"));
  EXPECT_EQ(error.message,
            "vda of web01 could not be written on host2, to /srv/web01.qcow2: the disk there is "
            "full. Free space in /srv on host2 (drover --at host2 quarantine list), or choose "
            "another place with --item vda=PLACE.");
  EXPECT_EQ(error.code, ErrorCode::kNoSpace);
  EXPECT_EQ(error.retry, Retry::kLater);
  EXPECT_FALSE(is_passing(error, Copied::kSomething)) << "as of a live move";
  ASSERT_EQ(error.causes.size(), 1u);
  EXPECT_TRUE(error.causes[0].contains("No space left"));
}

TEST(WriteFailure, OfADiskThatFailsIsTriedAgain) {
  for (const Error& why : {says(ErrorCode::kSystem, "Cannot write /srv/web01.qcow2: I/O."),
                           says(ErrorCode::kHypervisor, "QEMU gave up: Input/output error.")}) {
    const Error error = write_error(unwritten_disk(kDisk, "web01"), "host2", why);
    EXPECT_TRUE(error.message.contains("Look at the disk of /srv on host2")) << error.message;
    EXPECT_TRUE(is_passing(error, Copied::kNothing));
  }
}

TEST(WriteFailure, OfAnotherKindAdvisesNothing) {
  const Error error = write_error(unwritten_disk(kDisk, "web01"), "host2",
                                  says(ErrorCode::kInternal, "Connection reset by peer"));
  EXPECT_EQ(error.message, "vda of web01 could not be written on host2, to /srv/web01.qcow2.");
}

TEST(WriteFailure, NamesEveryKindOfFile) {
  using Kind = ColdFile::Kind;
  const auto of = [](Kind kind, const char* target, const char* path) {
    const Unwritten unwritten = unwritten_file({"", kind, target, "/a/x", path, mib(1)}, "web01");
    return write_error(unwritten, "host2", says(ErrorCode::kNoSpace, "full")).message;
  };
  EXPECT_TRUE(of(Kind::kImage, "vdb", "/srv/b").contains("--item vdb=PLACE"));
  EXPECT_TRUE(of(Kind::kLayer, "vdb", "/srv/base").contains("--item vdb=PLACE"));
  EXPECT_FALSE(of(Kind::kLayer, "memory of clean", "/srv/clean.mem").contains("--item"));
  EXPECT_TRUE(of(Kind::kNvram, "", "/srv/vars.fd").contains("--item nvram=PLACE"));
  EXPECT_FALSE(of(Kind::kTpm, "", "/srv/tpm").contains("--item"));
  const std::string memory = of(Kind::kState, "", "");
  EXPECT_TRUE(memory.starts_with("The memory of web01 could not be written on host2: ")) << memory;
}

}  // namespace
}  // namespace drover::move
