// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/program.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/deadline.h"
#include "base/unique_fd.h"

namespace drover {
namespace {

constexpr std::size_t kComplaintBytesMax = 4096;

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("Cannot make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// posix_spawn's two attribute objects, freed together.
class SpawnSetup {
 public:
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  Result<pid_t> spawn(const ProgramCall& call, int output, int complaints) {
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, complaints, STDERR_FILENO);
    // The descriptors above 3 are close-on-exec; 3 goes last, for one of the pipe's ends may have
    // that number.
    if (call.descriptor >= 0) ::posix_spawn_file_actions_adddup2(&actions_, call.descriptor, 3);
    sigset_t none;
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);

    std::vector<char*> arguments;
    for (const auto& argument : call.arguments)
      arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    std::string locale = "LC_ALL=C.UTF-8";
    std::array<char*, 3> environment{path.data(), locale.data(), nullptr};
    pid_t pid = -1;
    const int error = ::posix_spawnp(&pid, arguments[0], &actions_, &attributes_, arguments.data(),
                                     environment.data());
    if (error != 0) return fail_errno("Cannot run " + call.arguments[0], error);
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// Reads both pipes to their ends. False: deadline or bound, see `timed_out`.
bool drain(const Pipe& output, const Pipe& complaints, const ProgramCall& call, Deadline deadline,
           std::string& out, std::string& err, bool& timed_out) {
  std::array<pollfd, 2> polled{
      {{output.read.get(), POLLIN, 0}, {complaints.read.get(), POLLIN, 0}}};
  std::array<char, 16384> buffer;
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    const int ready = ::poll(polled.data(), polled.size(), deadline.poll_ms());
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      timed_out = true;
      return false;
    }
    for (std::size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      const ssize_t n = ::read(polled[i].fd, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        polled[i].fd = -1;
        continue;
      }
      const std::string_view chunk(buffer.data(), static_cast<std::size_t>(n));
      if (i == 0)
        out.append(chunk);
      else if (err.size() < kComplaintBytesMax)
        err.append(chunk.substr(0, kComplaintBytesMax - err.size()));
      if (out.size() > call.output_bytes_max) return false;
    }
  }
  return true;
}

std::string name_of(const ProgramCall& call) {
  if (!call.name.empty()) return call.name;
  return call.arguments.size() > 1 ? call.arguments[0] + " " + call.arguments[1]
                                   : call.arguments[0];
}

Status outcome(const std::string& name, int status, std::string complaints) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  while (complaints.ends_with('\n')) complaints.pop_back();
  auto failed = fail(ErrorCode::kSystem, "{} failed.", name);
  failed.error().causes.push_back(complaints.empty() ? fmt::format("wait status {}", status)
                                                     : std::move(complaints));
  return failed;
}

}  // namespace

Result<std::string> run_program(const ProgramCall& call) {
  const auto deadline = Deadline::after(call.limit);
  ASSIGN_OR_RETURN(Pipe output, make_pipe());
  ASSIGN_OR_RETURN(Pipe complaints, make_pipe());
  // dup2 onto itself would leave close-on-exec set.
  UniqueFd handed;
  ProgramCall adjusted = call;
  if (call.descriptor == 3) {
    handed = UniqueFd(::fcntl(3, F_DUPFD_CLOEXEC, 10));
    adjusted.descriptor = handed.get();
  }
  ASSIGN_OR_RETURN(const pid_t pid,
                   SpawnSetup().spawn(adjusted, output.write.get(), complaints.write.get()));
  output.write.reset();
  complaints.write.reset();

  std::string out, err;
  bool timed_out = false;
  const bool whole = drain(output, complaints, call, deadline, out, err, timed_out);
  if (!whole) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (timed_out) {
    return fail(ErrorCode::kTimeout, "{} did not end within {} ms.", call.arguments[0],
                call.limit.count());
  }
  if (!whole)
    return fail(ErrorCode::kInvalidArgument, "{} wrote more than expected.", call.arguments[0]);
  RETURN_IF_ERROR(outcome(name_of(call), status, std::move(err)));
  return out;
}

Result<RunningProgram> RunningProgram::start(const ProgramCall& call, Complaints complaints) {
  const UniqueFd nowhere(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (!nowhere) return fail_errno("Cannot open /dev/null");
  UniqueFd kept;
  if (complaints == Complaints::kKeep) {
    kept = UniqueFd(::memfd_create("complaints", MFD_CLOEXEC));
    if (!kept) return fail_errno("Cannot make a file in memory");
  }
  ASSIGN_OR_RETURN(const pid_t pid,
                   SpawnSetup().spawn(call, nowhere.get(), kept ? kept.get() : nowhere.get()));
  return RunningProgram(pid, name_of(call), std::move(kept));
}

RunningProgram::~RunningProgram() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

bool RunningProgram::ended() {
  if (pid_ >= 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
  return pid_ < 0;
}

void RunningProgram::ask_to_end() {
  if (pid_ >= 0) ::kill(pid_, SIGTERM);
}

Status RunningProgram::result() const {
  std::array<char, kComplaintBytesMax> text{};
  const ssize_t n =
      complaints_ ? ::pread(complaints_.get(), text.data(), text.size(), 0) : ssize_t{0};
  return outcome(name_, status_, std::string(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0));
}

int RunningProgram::exit_code() const { return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1; }

}  // namespace drover
