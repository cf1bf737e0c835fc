// SPDX-License-Identifier: Apache-2.0
// Faults within the daemons of a lab's host, on demand. lab/faults.py compiles this file and has it
// preloaded into droverd, libvirtd and what they start. Files in the library's own folder say what
// is wrong (docs/lab.md, "Faults within daemons"):
//
// - hold: droverd stands still once a journal row with each line of this text, and
//   none of what follows a '!', is on stable storage
// - read-error: reading a file whose path ends so fails with EIO, in droverd and QEMU
// - write-error: likewise writing
// - clock: droverd's clock on the wall is so many seconds off
// - no-sync: nothing is synced
// - time-journal: no fault: droverd writes to the file journal-time how many statements of its
//   database it has run while this was asked for, and how many nanoseconds they took
//
// A program that is not named in begin() passes everything on. Any thread; nothing is kept but what
// the files say.

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

namespace {

constexpr int kSqliteDone = 101;
constexpr std::size_t kTextMax = 512;

char folder[kTextMax];    // of this library; empty: be nothing
bool is_droverd = false;  // holds, and has a clock of its own
bool does_disks = false;
thread_local bool row_is_awaited = false;

// The next function of that name, the one that we stand before.
template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

[[gnu::constructor]] void begin() {
  char program[kTextMax] = {};
  if (readlink("/proc/self/exe", program, sizeof program - 1) <= 0) return;
  const char* slash = std::strrchr(program, '/');
  const char* name = slash == nullptr ? program : slash + 1;
  is_droverd = std::strcmp(name, "droverd") == 0;
  const bool is_qemu = std::strncmp(name, "qemu-", 5) == 0;
  does_disks = is_droverd || is_qemu;
  // The mover may look at no file: it is left alone.
  if (!does_disks && std::strcmp(name, "drover-gate") != 0 && std::strcmp(name, "libvirtd") != 0)
    return;
  Dl_info self{};
  if (dladdr(reinterpret_cast<void*>(&begin), &self) == 0) return;
  const char* end = std::strrchr(self.dli_fname, '/');
  if (end == nullptr || static_cast<std::size_t>(end - self.dli_fname) >= sizeof folder) return;
  std::memcpy(folder, self.dli_fname, static_cast<std::size_t>(end - self.dli_fname));
}

bool path_of(const char* name, char* path) {
  return folder[0] != 0 && std::snprintf(path, 2 * kTextMax, "%s/%s", folder, name) > 0;
}

// What the file of a fault says; false if there is none. System calls, not functions that we stand
// before.
bool asked(const char* name, char* text, std::size_t size) {
  char path[2 * kTextMax];
  if (!path_of(name, path)) return false;
  const int before = errno;
  const auto file = static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  if (file < 0) {
    errno = before;
    return false;
  }
  const auto count = syscall(SYS_read, file, text, size - 1);
  syscall(SYS_close, file);
  errno = before;
  if (count < 0) return false;
  text[count] = 0;
  if (count > 0 && text[count - 1] == '\n') text[count - 1] = 0;
  return true;
}

bool syncing() {
  char text[kTextMax];
  return !asked("no-sync", text, sizeof text);
}

// Whether this fault is for the file behind a descriptor. A disk that was renamed keeps its end
// only if that was not renamed.
bool strikes(const char* fault, int descriptor) {
  if (!does_disks) return false;
  char suffix[kTextMax], link[64], path[2 * kTextMax];
  if (!asked(fault, suffix, sizeof suffix) || suffix[0] == 0) return false;
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const auto length = readlink(link, path, sizeof path - 1);
  const auto end = std::strlen(suffix);
  if (length < static_cast<ssize_t>(end)) return false;
  if (std::memcmp(path + length - end, suffix, end) != 0) return false;
  errno = EIO;
  return true;
}

long clock_offset() {
  char text[kTextMax];
  return is_droverd && asked("clock", text, sizeof text) ? std::strtol(text, nullptr, 10) : 0;
}

long long now_ns() {
  timespec now{};
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// Threads take turns in droverd's database; a line of fixed length, so that a reader never sees a
// half.
void count_statement(long long ns) {
  static std::atomic<long long> statements{0}, spent{0};
  char text[kTextMax], path[2 * kTextMax];
  if (!asked("time-journal", text, sizeof text) || !path_of("journal-time", path)) return;
  const auto length =
      std::snprintf(text, sizeof text, "%019lld %019lld\n", ++statements, spent += ns);
  const auto file =
      static_cast<int>(syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (file < 0) return;
  syscall(SYS_pwrite64, file, text, length, 0);
  syscall(SYS_close, file);
}

// One statement; SQLite calls itself, and that is no other one. Who stands still is not timed:
// a test that holds droverd does not ask for it.
class Timed {
 public:
  Timed() { began_ = depth_++ == 0 ? now_ns() : 0; }
  ~Timed() {
    if (--depth_ == 0 && is_droverd) count_statement(now_ns() - began_);
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  static thread_local int depth_;
  long long began_ = 0;
};
thread_local int Timed::depth_ = 0;

// Each line of what is awaited, and none that begins with '!'.
bool is_as(const char* text, unsigned long long size, char* wanted) {
  char* rest = nullptr;
  for (const char* line = strtok_r(wanted, "\n", &rest); line != nullptr;
       line = strtok_r(nullptr, "\n", &rest)) {
    const bool wants_none = *line == '!';
    const char* part = wants_none ? line + 1 : line;
    if ((memmem(text, size, part, std::strlen(part)) != nullptr) == wants_none) return false;
  }
  return true;
}

void stand_still() {
  char from[2 * kTextMax], to[2 * kTextMax];
  if (!path_of("hold", from) || !path_of("held", to) || rename(from, to) != 0) return;
  // To this thread: it goes not one step further. A signal to the process may find another one
  // first.
  syscall(SYS_tgkill, getpid(), gettid(), SIGSTOP);
}

}  // namespace

extern "C" {

// SQLite: a row is durable once its statement is done (each is its own transaction in droverd's
// journal).
int sqlite3_bind_text64(void* statement, int index, const char* text, unsigned long long size,
                        void (*destroy)(void*), unsigned char encoding) {
  static const auto next = real<decltype(&sqlite3_bind_text64)>("sqlite3_bind_text64");
  char wanted[kTextMax];
  if (is_droverd && text != nullptr && asked("hold", wanted, sizeof wanted) && wanted[0] != 0 &&
      is_as(text, size, wanted))
    row_is_awaited = true;
  return next(statement, index, text, size, destroy, encoding);
}

int sqlite3_step(void* statement) {
  static const auto next = real<decltype(&sqlite3_step)>("sqlite3_step");
  const Timed timed;
  const int code = next(statement);
  if (row_is_awaited) {
    row_is_awaited = false;
    if (code == kSqliteDone) stand_still();
  }
  return code;
}

int sqlite3_exec(void* database, const char* sql, void* each, void* what, char** error) {
  static const auto next = real<decltype(&sqlite3_exec)>("sqlite3_exec");
  const Timed timed;
  return next(database, sql, each, what, error);
}

int fsync(int descriptor) {
  static const auto next = real<int (*)(int)>("fsync");
  return syncing() ? next(descriptor) : 0;
}

int fdatasync(int descriptor) {
  static const auto next = real<int (*)(int)>("fdatasync");
  return syncing() ? next(descriptor) : 0;
}

int clock_gettime(clockid_t id, timespec* time) noexcept {
  static const auto next = real<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int code = next(id, time);
  if (is_droverd && id == CLOCK_REALTIME && code == 0) time->tv_sec += clock_offset();
  return code;
}

int gettimeofday(timeval* time, void* zone) noexcept {
  static const auto next = real<int (*)(timeval*, void*)>("gettimeofday");
  const int code = next(time, zone);
  if (is_droverd && code == 0) time->tv_sec += clock_offset();
  return code;
}

time_t time(time_t* out) noexcept {
  static const auto next = real<time_t (*)(time_t*)>("time");
  const time_t now = next(nullptr) + (is_droverd ? clock_offset() : 0);
  if (out != nullptr) *out = now;
  return now;
}

ssize_t pread64(int descriptor, void* to, std::size_t size, off64_t at) {
  static const auto next = real<ssize_t (*)(int, void*, std::size_t, off64_t)>("pread64");
  return strikes("read-error", descriptor) ? -1 : next(descriptor, to, size, at);
}

ssize_t pread(int descriptor, void* to, std::size_t size, off_t at) {
  return pread64(descriptor, to, size, at);
}

ssize_t preadv64(int descriptor, const iovec* to, int count, off64_t at) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int, off64_t)>("preadv64");
  return strikes("read-error", descriptor) ? -1 : next(descriptor, to, count, at);
}

ssize_t preadv(int descriptor, const iovec* to, int count, off_t at) {
  return preadv64(descriptor, to, count, at);
}

ssize_t pwrite64(int descriptor, const void* from, std::size_t size, off64_t at) {
  static const auto next = real<ssize_t (*)(int, const void*, std::size_t, off64_t)>("pwrite64");
  return strikes("write-error", descriptor) ? -1 : next(descriptor, from, size, at);
}

ssize_t pwrite(int descriptor, const void* from, std::size_t size, off_t at) {
  return pwrite64(descriptor, from, size, at);
}

ssize_t pwritev64(int descriptor, const iovec* from, int count, off64_t at) {
  static const auto next = real<ssize_t (*)(int, const iovec*, int, off64_t)>("pwritev64");
  return strikes("write-error", descriptor) ? -1 : next(descriptor, from, count, at);
}

ssize_t pwritev(int descriptor, const iovec* from, int count, off_t at) {
  return pwritev64(descriptor, from, count, at);
}

}  // extern "C"
