// SPDX-License-Identifier: Apache-2.0
// What export, import and archives print, in full.
#include "archive_text.h"

#include <gtest/gtest.h>

namespace drover::cli {
namespace {

Archive sample(ArchiveKind kind) {
  Archive job;
  job.id = "k3f9x2qa";
  job.host = "host1";
  job.vm_name = "web01";
  job.request.kind = kind;
  job.request.folder = "/srv/exports/web01";
  job.items = {{"vda", "vda.qcow2", "/srv/web01.qcow2", "qcow2", gib(10), mib(900), ""},
               {"definition", "definition.xml", "", "", {}, {4000}, ""}};
  job.bytes_total = mib(900);
  return job;
}

TEST(ArchiveText, ThePlanOfAnExport) {
  EXPECT_EQ(archive_plan_text(sample(ArchiveKind::kExport)),
            R"(web01 to /srv/exports/web01

  ITEM        FILE            FROM              FORMAT    SIZE
  vda         vda.qcow2       /srv/web01.qcow2  qcow2   10 GiB
  definition  definition.xml

  900 MiB to be copied.
)");
}

TEST(ArchiveText, ThePlanOfACopyWithAWarning) {
  Archive job = sample(ArchiveKind::kImport);
  job.request.mode = ImportMode::kCopy;
  job.vm_name = "web02";
  Finding finding;
  finding.code = "NOT_VERIFIED";
  finding.level = FindingLevel::kWarning;
  finding.what = "Contents not verified: no manifest in /srv/exports/web01.";
  job.findings = {finding};
  const std::string text = archive_plan_text(job);
  EXPECT_TRUE(text.starts_with("web02, a new VM, from /srv/exports/web01\n")) << text;
  EXPECT_NE(text.find("NOT_VERIFIED: Contents not verified"), std::string::npos) << text;
  EXPECT_FALSE(is_blocked(job));
  EXPECT_EQ(open_warnings(job, {}), std::vector<std::string>{"NOT_VERIFIED"});
  EXPECT_TRUE(open_warnings(job, {"NOT_VERIFIED"}).empty());
}

TEST(ArchiveText, HowItGoesAndEnds) {
  Archive job = sample(ArchiveKind::kImport);
  job.state = ArchiveState::kRunning;
  job.doing = "vda is being copied.";
  job.bytes_done = mib(450);
  EXPECT_EQ(archive_progress(job), " 50 %  vda is being copied.  450 MiB of 900 MiB");
  EXPECT_EQ(archives_text({job}), R"(ID        VM     WHAT            FOLDER              STATE
k3f9x2qa  web01  import restore  /srv/exports/web01  50 %
)");
  job.state = ArchiveState::kDone;
  job.explanation = "web01 is defined here, and off.";
  EXPECT_EQ(archive_outcome(job),
            "web01 is defined here, and off.\nContents not verified: no manifest.\n");
  job.verified = true;
  EXPECT_NE(archive_outcome(job).find("verified: every file"), std::string::npos);
  job.state = ArchiveState::kFailed;
  job.error = Error{ErrorCode::kCorrupt, Retry::kNever, "vda.qcow2 is not what was exported.", {}};
  job.explanation = "Nothing is left of it.";
  EXPECT_EQ(archive_outcome(job), "vda.qcow2 is not what was exported.\nNothing is left of it.\n");
  EXPECT_EQ(archives_text({}), "No exports and no imports.\n");
}

TEST(ArchiveText, WordsOfAFolderCannotDriveTheTerminal) {
  Archive job = sample(ArchiveKind::kImport);
  job.vm_name = "evil\x1b[2J";
  job.items[0].file = "a\x1b]0;x";
  EXPECT_EQ(archive_plan_text(job).find('\x1b'), std::string::npos);
  EXPECT_EQ(archives_text({job}).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace drover::cli
