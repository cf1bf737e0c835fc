// SPDX-License-Identifier: Apache-2.0
#include "mover/sandbox.h"

#include <cstdlib>
#include <string>

#include <grp.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "mover/system_calls.h"

namespace drover::mover {
namespace {

constexpr const char* kUserName = "drover-mover";
constexpr uid_t kNobody = 65534;

constexpr rlim_t kDescriptorsMax =
    320;  // 64 streams, 24 links, 32 half-way in, 64 held files, control
// Address space that can be written: what is in flight (at most 144 MiB at the default window), the
// index or the cache of content (64 MiB), link buffers, 170 stacks of 512 KiB, zstd's tables, the C
// library's slack. A mover stays far below; this stops a runaway.
constexpr rlim_t kWritableBytesMax = rlim_t{512} << 20;
constexpr std::size_t kStackBytes = 512 * 1024;
constexpr int kMappedAloneBytes = 8 << 20;  // of one piece, given back at once when it is freed
constexpr int kKeptFreeBytes = 16 << 20;    // at the end of an arena
constexpr int kGrowthBytes = 1 << 20;       // at least so much is taken at a time

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kInstrumented = true;  // their shadow memory breaks every limit
#else
constexpr bool kInstrumented = false;
#endif

Status limit(int resource, rlim_t most, const char* what) {
  const rlimit value{most, most};
  if (::setrlimit(static_cast<__rlimit_resource_t>(resource), &value) == 0) return {};
  return fail_errno(fmt::format("Cannot limit the mover's {}", what));
}

Status set_limits() {
  RETURN_IF_ERROR(limit(RLIMIT_NOFILE, kDescriptorsMax, "descriptors"));
  RETURN_IF_ERROR(limit(RLIMIT_CORE, 0, "core files"));
  if (kInstrumented) return {};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
  ::mallopt(M_ARENA_MAX, 4);
  // Batches come and go by the quarter MiB, between threads: what is free stays mapped. Fresh pages
  // were a tenth of a source's processor time.
  ::mallopt(M_MMAP_THRESHOLD, kMappedAloneBytes);
  ::mallopt(M_TRIM_THRESHOLD, kKeptFreeBytes);
  ::mallopt(M_TOP_PAD, kGrowthBytes);
  return limit(RLIMIT_DATA, kWritableBytesMax, "memory");
}

// A folder that is removed while it is the root: nothing is in it, nothing can be made in it, and
// no path leads to it.
Status enter_empty_root() {
  std::string folder = "/run/drover-empty-XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    folder = "/tmp/drover-empty-XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr) return fail_errno("Cannot make an empty folder");
  }
  const bool inside = ::chdir(folder.c_str()) == 0;
  const int reason = errno;
  ::rmdir(folder.c_str());
  if (!inside) return fail_errno("Cannot enter an empty folder", reason);
  if (::chroot(".") != 0) return fail_errno("Cannot make an empty folder the root");
  return {};
}

Status become_user(uid_t uid, gid_t gid) {
  if (::setgroups(0, nullptr) != 0) return fail_errno("Cannot drop the mover's groups");
  if (::setresgid(gid, gid, gid) != 0) return fail_errno("Cannot change the mover's group");
  if (::setresuid(uid, uid, uid) != 0) return fail_errno("Cannot change the mover's user");
  return {};
}

}  // namespace

Status enter_sandbox() {
  RETURN_IF_ERROR(set_limits());
  if (::geteuid() == 0) {
    const passwd* user = ::getpwnam(kUserName);  // reads files: before the root is empty
    const uid_t uid = user != nullptr ? user->pw_uid : kNobody;
    const gid_t gid = user != nullptr ? user->pw_gid : kNobody;
    RETURN_IF_ERROR(enter_empty_root());
    RETURN_IF_ERROR(become_user(uid, gid));
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("Cannot forgo privileges");
  // After the change of user, which sets it anew.
  if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return fail_errno("Cannot forbid memory dumps");
  return restrict_system_calls();
}

}  // namespace drover::mover
