// SPDX-License-Identifier: Apache-2.0
#include "fit/fixes.h"

#include <algorithm>

#include "fit/world_fixture.h"
#include "preflight/codes.h"

namespace drover::fit {
namespace {

constexpr auto kAlways = Hypervisor::InDrive::kAlways;

class Fixes : public FitWorld {
 protected:
  Fixes() {
    EXPECT_TRUE(host1_.hypervisor.define(definition("", kDrive + disk("/a.qcow2"))));
    EXPECT_TRUE(host1_.hypervisor.start(kUuid));
    plan_.vm = host1_.hypervisor.find_vm("web01").value();
  }
  static std::string disk(const std::string& path) {
    return "<disk type='file' device='disk'><source file='" + path +
           "'/><target dev='vda'/></disk>";
  }
  void found(const std::string& code, const std::string& object,
             std::vector<std::string> fixes = {}) {
    plan_.findings.push_back(
        {code, FindingLevel::kBlocker, object, "It is so.", "It matters.", std::move(fixes)});
  }
  // Applies the only finding's fix.
  AppliedFix apply(const std::string& code) {
    const auto done = apply_fix(world(), while_free_, plan_, code, "alice");
    EXPECT_TRUE(done) << done.error().text();
    if (!done || done->size() != 1) return {};
    EXPECT_FALSE(done->front().done.empty());
    EXPECT_EQ(host1_.book->fixes().find(done->front().id)->requested_by, "alice");
    return done->front();
  }
  void undo(const AppliedFix& fix) {
    const auto undone = undo_fix(world(), while_free_, fix.id);
    EXPECT_TRUE(undone) << undone.error().text();
  }
  std::string media() { return host1_.hypervisor.find_vm("web01")->disks.at(0).path; }

  static inline const std::string kDrive =
      "<disk type='file' device='cdrom'><source file='/iso/a.iso'/><target dev='sda'/></disk>";
  Plan plan_;
};

TEST(FixableCodes, AreCodesOfFindings) {
  for (const auto code : fixable_codes()) {
    EXPECT_TRUE(std::ranges::any_of(preflight::all_codes(), [&](preflight::Code known) {
      return preflight::code_name(known) == code;
    })) << code;
  }
}

TEST_F(Fixes, AreMarkedInThePlan) {
  found("MIGRATION_DISABLED", "host1");
  found("MIGRATION_DISABLED", "host2");
  found("MEDIA_INSERTED", "sda");
  found("MEDIA_INSERTED", "vda");
  found("FOLDER_NOT_ALLOWED", "/srv");
  found("MEMORY_NOT_KEPT", "web01", {"--performance compress"});
  found("DISK_LUN", "sda");
  mark_fixable(plan_, "host1");
  std::vector<bool> marks;
  for (const auto& finding : plan_.findings) marks.push_back(finding.appliable);
  EXPECT_EQ(marks, (std::vector<bool>{true, false, true, false, false, false, false}));
  EXPECT_EQ(apply_fix(world(), while_free_, plan_, "DISK_LUN", "alice").error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(apply_fix(world(), while_free_, plan_, "VM_TRANSIENT", "alice").error().code,
            ErrorCode::kNotFound);
}

TEST_F(Fixes, TurnMovesOnAndOff) {
  found("MIGRATION_DISABLED", "host1");
  const auto fix = apply("MIGRATION_DISABLED");
  EXPECT_TRUE(host1_.book->settings().outgoing);
  EXPECT_EQ(fix.vm_uuid, "") << "it is of the host";
  undo(fix);
  EXPECT_FALSE(host1_.book->settings().outgoing);
}

TEST_F(Fixes, AllowAFolderOfAStorageMove) {
  plan_.kind = MoveKind::kStorage;
  found("FOLDER_NOT_ALLOWED", "/srv/fast");
  const auto before = host1_.book->settings().allowed_folders;
  const auto fix = apply("FOLDER_NOT_ALLOWED");
  EXPECT_EQ(host1_.book->settings().allowed_folders.back(), "/srv/fast");
  undo(fix);
  EXPECT_EQ(host1_.book->settings().allowed_folders, before);
}

TEST_F(Fixes, KeepMoreMemory) {
  ASSERT_TRUE(host1_.book->change_settings({{"residue-max", SettingChange::Op::kSet, "32M"}}));
  found("MEMORY_NOT_KEPT", "web01", {"Allow more: drover settings residue-max=SIZE"});
  const auto fix = apply("MEMORY_NOT_KEPT");
  EXPECT_EQ(host1_.book->settings().residue_max, mib(64));
  undo(fix);
  EXPECT_EQ(host1_.book->settings().residue_max, mib(32));
}

TEST_F(Fixes, EmptyADriveAndFillItAgain) {
  found("MEDIA_INSERTED", "sda");
  const auto fix = apply("MEDIA_INSERTED");
  EXPECT_EQ(media(), "");
  undo(fix);
  EXPECT_EQ(media(), "/iso/a.iso");
}

TEST_F(Fixes, LeaveADriveThatSomebodyFilled) {
  found("MEDIA_INSERTED", "sda");
  const auto fix = apply("MEDIA_INSERTED");
  ASSERT_TRUE(host1_.hypervisor.change_media(kUuid, "sda", "/iso/b.iso", kAlways));
  EXPECT_EQ(undo_fix(world(), while_free_, fix.id).error().code, ErrorCode::kConflict);
  EXPECT_EQ(media(), "/iso/b.iso");
}

TEST_F(Fixes, GiveTheNextBootTheDiskOfNow) {
  ASSERT_TRUE(host1_.hypervisor.define(definition("", kDrive + disk("/other.qcow2"))));
  found("PERSISTENT_DIFFERS", "vda");
  const auto text = [&] {
    return host1_.hypervisor.definition(kUuid, DefinitionKind::kPersistent).value();
  };
  const auto fix = apply("PERSISTENT_DIFFERS");
  EXPECT_TRUE(text().contains("/a.qcow2") && !text().contains("/other.qcow2")) << text();
  undo(fix);
  EXPECT_TRUE(text().contains("/other.qcow2"));
}

TEST_F(Fixes, DefineATransientVm) {
  ASSERT_TRUE(host1_.hypervisor.undefine(kUuid));
  EXPECT_FALSE(host1_.hypervisor.find_vm(kUuid)->persistent);
  found("VM_TRANSIENT", "web01");
  const auto fix = apply("VM_TRANSIENT");
  EXPECT_TRUE(host1_.hypervisor.find_vm(kUuid)->persistent);
  undo(fix);
  EXPECT_FALSE(host1_.hypervisor.find_vm(kUuid)->persistent);
}

// A definition that is written while its VM leaves would be a second VM.
TEST_F(Fixes, OfAVmAreMadeAndUndoneOnlyWhileNobodyElseHasIt) {
  found("MEDIA_INSERTED", "sda");
  taken_by_ = "k3f9x2qa";
  EXPECT_EQ(apply_fix(world(), while_free_, plan_, "MEDIA_INSERTED", "alice").error().code,
            ErrorCode::kConflict);
  EXPECT_EQ(media(), "/iso/a.iso");
  EXPECT_TRUE(host1_.book->fixes().list()->empty());
  taken_by_.clear();
  const auto fix = apply("MEDIA_INSERTED");
  taken_by_ = "k3f9x2qa";
  EXPECT_EQ(undo_fix(world(), while_free_, fix.id).error().code, ErrorCode::kConflict);
  EXPECT_EQ(media(), "");
  EXPECT_FALSE(host1_.book->fixes().find(fix.id)->undone_at);
  taken_by_.clear();
  undo(fix);
  EXPECT_EQ(claims_, (std::vector<std::string>{kUuid, kUuid}));
}

TEST_F(Fixes, OfTheHostNeedNoVm) {
  found("MIGRATION_DISABLED", "host1");
  taken_by_ = "k3f9x2qa";
  undo(apply("MIGRATION_DISABLED"));
  EXPECT_TRUE(claims_.empty());
}

TEST_F(Fixes, MendNothingThatIsMendedAlready) {
  const auto refused = [&](const std::string& code) {
    const auto done = apply_fix(world(), while_free_, plan_, code, "alice");
    return !done && done.error().code == ErrorCode::kConflict &&
           host1_.book->fixes().list()->empty();
  };
  found("MIGRATION_DISABLED", "host1");
  ASSERT_TRUE(host1_.book->change_settings({{"outgoing", SettingChange::Op::kSet, "on"}}));
  EXPECT_TRUE(refused("MIGRATION_DISABLED"));
  found("MEDIA_INSERTED", "sda");
  ASSERT_TRUE(host1_.hypervisor.change_media(kUuid, "sda", "", kAlways));
  EXPECT_TRUE(refused("MEDIA_INSERTED"));
  found("VM_TRANSIENT", "web01");
  EXPECT_TRUE(refused("VM_TRANSIENT")) << "somebody has defined it, perhaps otherwise";
  plan_.kind = MoveKind::kStorage;
  found("FOLDER_NOT_ALLOWED", "/srv/fast");
  ASSERT_TRUE(
      host1_.book->change_settings({{"allowed-folders", SettingChange::Op::kAdd, "/srv/fast"}}));
  EXPECT_TRUE(refused("FOLDER_NOT_ALLOWED"));
}

TEST_F(Fixes, LeaveASettingThatSomebodyChanged) {
  ASSERT_TRUE(host1_.book->change_settings({{"residue-max", SettingChange::Op::kSet, "32M"}}));
  found("MEMORY_NOT_KEPT", "web01", {"Allow more: drover settings residue-max=SIZE"});
  const auto fix = apply("MEMORY_NOT_KEPT");
  ASSERT_TRUE(host1_.book->change_settings({{"residue-max", SettingChange::Op::kSet, "1G"}}));
  EXPECT_EQ(undo_fix(world(), while_free_, fix.id).error().code, ErrorCode::kConflict);
  EXPECT_EQ(host1_.book->settings().residue_max, gib(1));
  ASSERT_TRUE(host1_.book->change_settings({{"residue-max", SettingChange::Op::kSet, "32M"}}));
  undo(fix);  // it is as it was: nothing is to be done
  EXPECT_EQ(host1_.book->settings().residue_max, mib(32));
}

TEST_F(Fixes, LeaveADefinitionThatSomebodyChanged) {
  ASSERT_TRUE(host1_.hypervisor.undefine(kUuid));
  found("VM_TRANSIENT", "web01");
  const auto fix = apply("VM_TRANSIENT");
  ASSERT_TRUE(host1_.hypervisor.define(definition("", kDrive + disk("/other.qcow2"))));
  EXPECT_EQ(undo_fix(world(), while_free_, fix.id).error().code, ErrorCode::kConflict);
  EXPECT_TRUE(host1_.hypervisor.find_vm(kUuid)->persistent);
}

// Between the look and the undefine its guest shuts down: then nothing would be left of the VM.
TEST_F(Fixes, NeverTakeTheLastThatIsLeftOfAVm) {
  ASSERT_TRUE(host1_.hypervisor.undefine(kUuid));
  found("VM_TRANSIENT", "web01");
  const auto fix = apply("VM_TRANSIENT");
  host1_.hypervisor.subscribe([&](const VmEvent& event) {
    if (event.kind == VmEvent::Kind::kUndefined) {
      EXPECT_TRUE(host1_.hypervisor.destroy(kUuid));
    }
  });
  EXPECT_EQ(undo_fix(world(), while_free_, fix.id).error().code, ErrorCode::kConflict);
  const auto left = host1_.hypervisor.find_vm(kUuid);
  ASSERT_TRUE(left) << left.error().text();
  EXPECT_TRUE(left->persistent);
}

// libvirt goes silent after it took the definition: the fix was made, and has its undo.
TEST_F(Fixes, ThatWereMadeHaveAnUndoEvenIfNobodyCouldLookAfterwards) {
  ASSERT_TRUE(host1_.hypervisor.define(definition("", kDrive + disk("/other.qcow2"))));
  found("PERSISTENT_DIFFERS", "vda");
  host1_.hypervisor.subscribe([&](const VmEvent& event) {
    if (event.kind == VmEvent::Kind::kDefined) host1_.hypervisor.set_answering(false);
  });
  const auto fix = apply("PERSISTENT_DIFFERS");
  EXPECT_EQ(host1_.book->fixes().find(fix.id)->after, "");
  host1_.hypervisor.subscribe({});
  host1_.hypervisor.set_answering(true);
  undo(fix);
  const auto text = host1_.hypervisor.definition(kUuid, DefinitionKind::kPersistent).value();
  EXPECT_TRUE(text.contains("/other.qcow2") && !text.contains("/a.qcow2")) << text;
}

// droverd died before it had read what libvirt wrote.
TEST_F(Fixes, ThatWereInterruptedCanBeUndone) {
  AppliedFix fix;
  fix.id = "k3f9x2qa";
  fix.code = "PERSISTENT_DIFFERS";
  fix.object = "vda";
  fix.vm_uuid = kUuid;
  fix.before = definition("", kDrive + disk("/other.qcow2"));
  ASSERT_TRUE(host1_.book->fixes().save(fix));
  undo(fix);
  EXPECT_TRUE(
      host1_.hypervisor.definition(kUuid, DefinitionKind::kPersistent)->contains("/other.qcow2"));
  fix.id = "k3f9x2qb";
  fix.code = "VM_TRANSIENT";
  fix.before.clear();
  ASSERT_TRUE(host1_.book->fixes().save(fix));
  undo(fix);
  EXPECT_FALSE(host1_.hypervisor.find_vm(kUuid)->persistent);
  EXPECT_TRUE(host1_.book->fixes().find(fix.id)->after.contains("/other.qcow2"))
      << "what was taken away is kept";
}

// For each of them tests/system/test_fit.py applies it on a real host, plans again, sees the
// finding gone, and undoes it.
TEST(FixableCodes, EachHasATestOnARealHost) {
  const auto codes = fixable_codes();
  EXPECT_EQ(
      (std::vector<std::string_view>(codes.begin(), codes.end())),
      (std::vector<std::string_view>{"FOLDER_NOT_ALLOWED", "MEDIA_INSERTED", "MEMORY_NOT_KEPT",
                                     "MIGRATION_DISABLED", "PERSISTENT_DIFFERS", "VM_TRANSIENT"}));
}

TEST_F(Fixes, ThatFailLeaveNothingToUndo) {
  found("MEDIA_INSERTED", "sda");
  host1_.hypervisor.set_answering(false);
  EXPECT_FALSE(apply_fix(world(), while_free_, plan_, "MEDIA_INSERTED", "alice"));
  EXPECT_TRUE(host1_.book->fixes().list()->empty());
}

}  // namespace
}  // namespace drover::fit
