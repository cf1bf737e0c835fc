// SPDX-License-Identifier: Apache-2.0
#include "net/child_process.h"

#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <linux/close_range.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net/control_message.h"
#include "net/unix_socket.h"

namespace drover::net {
namespace {

using nlohmann::json;

// Between fork and exec only async-signal-safe calls are allowed: other threads may have held any
// lock.
struct Exec {
  const char* path;
  char* const* arguments;
  int channel;
  int report;  // close-on-exec; an errno written here says why exec did not happen
};

[[noreturn]] void report_and_exit(const Exec& exec) {
  const int reason = errno;
  [[maybe_unused]] const ssize_t ignored = ::write(exec.report, &reason, sizeof reason);
  ::_exit(127);
}

void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
}

[[noreturn]] void become_program(const Exec& exec) {
  if (::setsid() < 0) report_and_exit(exec);
  // A session leader could get a terminal, and would be our child: so once more.
  const pid_t second = ::fork();
  if (second < 0) report_and_exit(exec);
  if (second > 0) ::_exit(0);
  reset_signals();
  // The report pipe may sit on 3 itself: move it up first.
  const int report = ::fcntl(exec.report, F_DUPFD_CLOEXEC, 10);
  const Exec moved{exec.path, exec.arguments, exec.channel, report};
  const int null = ::open("/dev/null", O_RDWR);
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(null, 1) < 0) report_and_exit(moved);
  if (exec.channel == kControlDescriptor) {
    ::fcntl(kControlDescriptor, F_SETFD, 0);
  } else if (::dup2(exec.channel, kControlDescriptor) < 0) {
    report_and_exit(moved);
  }
  ::syscall(SYS_close_range, kControlDescriptor + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execve(exec.path, exec.arguments, environ);
  report_and_exit(moved);
}

// Nothing is written when exec succeeds: the pipe is closed by it.
Status read_report(int report, const ChildProgram& program) {
  int reason = 0;
  ssize_t n = 0;
  do {
    n = ::read(report, &reason, sizeof reason);
  } while (n < 0 && errno == EINTR);
  if (n == 0) return {};
  return fail_errno(fmt::format("Cannot start {}", program.path.string()), n < 0 ? errno : reason);
}

Result<json> await_first_answer(int channel, const ChildProgram& program, Deadline deadline) {
  ASSIGN_OR_RETURN(auto packet, receive_packet(channel, deadline));
  if (!packet) {
    return fail(ErrorCode::kUnavailable, "{} ended before it was ready. Its log says why.",
                program.path.string());
  }
  return parse_message(packet->text);
}

}  // namespace

Result<UniqueFd> spawn_detached(const ChildProgram& program) {
  ASSIGN_OR_RETURN(auto channel, socket_pair(SocketKind::kPackets));
  int pipe_fds[2];
  if (::pipe2(pipe_fds, O_CLOEXEC) != 0) return fail_errno("Cannot create a pipe");
  const UniqueFd report_reader(pipe_fds[0]);
  UniqueFd report_writer(pipe_fds[1]);
  const std::string path = program.path.string();
  std::vector<std::string> texts{path};
  texts.insert(texts.end(), program.arguments.begin(), program.arguments.end());
  std::vector<char*> arguments;
  for (std::string& text : texts) arguments.push_back(text.data());
  arguments.push_back(nullptr);

  const Exec exec{path.c_str(), arguments.data(), channel.second.get(), report_writer.get()};
  const pid_t first = ::fork();
  if (first < 0) return fail_errno(fmt::format("Cannot start {}", path));
  if (first == 0) become_program(exec);
  report_writer.reset();
  int status = 0;
  while (::waitpid(first, &status, 0) < 0 && errno == EINTR) {
  }
  RETURN_IF_ERROR(read_report(report_reader.get(), program));
  return std::move(channel.first);
}

Result<StartedProgram> start_program(const ChildProgram& program, json start,
                                     std::span<const NamedFd> descriptors, Deadline deadline) {
  std::vector<int> fds;
  json names = json::array();
  for (const NamedFd& entry : descriptors) {
    names.push_back(entry.name);
    fds.push_back(entry.fd);
  }
  if (fds.size() > kPacketDescriptorsMax) {
    return fail(ErrorCode::kInvalidArgument,
                "A program cannot be given {} descriptors; {} are the limit.", fds.size(),
                kPacketDescriptorsMax);
  }
  start["fds"] = std::move(names);
  const std::string text = start.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > kPacketBytesMax) {
    return fail(ErrorCode::kInvalidArgument, "A start message is larger than {} bytes.",
                kPacketBytesMax);
  }
  StartedProgram started;
  ASSIGN_OR_RETURN(started.channel, spawn_detached(program));
  // A program that cannot even read it may have said why.
  const Status sent = send_packet(started.channel.get(), text, fds, deadline);
  const auto first = await_first_answer(started.channel.get(), program, deadline);
  if (!first) return std::unexpected(sent ? first.error() : sent.error());
  const json& answer = *first;
  const std::string event = text_member_or(answer, "event", "").value_or("");
  if (event == "ready") {
    ASSIGN_OR_RETURN(const std::uint64_t pid, count_member(answer, "pid"));
    started.pid = static_cast<pid_t>(pid);
    return started;
  }
  const std::string code = text_member_or(answer, "code", "INTERNAL").value_or("INTERNAL");
  return std::unexpected(Error{error_code_from_name(code),
                               Retry::kNever,
                               fmt::format("{} did not start.", program.path.string()),
                               {text_member_or(answer, "error", answer.dump()).value_or("")}});
}

Result<UniqueFd> ProgramStart::take(const std::string& name) {
  const auto at = descriptors.find(name);
  if (at == descriptors.end() || !at->second) {
    return fail(ErrorCode::kProtocol, "The start message brought no descriptor '{}'.", name);
  }
  return std::move(at->second);
}

Result<ProgramStart> receive_start(int channel, Deadline deadline) {
  ASSIGN_OR_RETURN(auto packet, receive_packet(channel, deadline));
  if (!packet)
    return fail(ErrorCode::kUnavailable,
                "The control channel was closed before the start message.");
  ASSIGN_OR_RETURN(const json message, parse_message(packet->text));
  ASSIGN_OR_RETURN(const auto names, texts_member(message, "fds"));
  if (names.size() != packet->descriptors.size()) {
    return fail(ErrorCode::kProtocol, "The start message names {} descriptors but brought {}.",
                names.size(), packet->descriptors.size());
  }
  ProgramStart start{std::move(packet->text), {}};
  for (std::size_t i = 0; i < names.size(); ++i)
    start.descriptors[names[i]] = std::move(packet->descriptors[i]);
  return start;
}

Status answer_ready(int channel, Deadline deadline) {
  return send_packet(channel, json{{"event", "ready"}, {"pid", ::getpid()}}.dump(), {}, deadline);
}

void answer_failed(int channel, const Error& error) {
  const json answer{
      {"event", "failed"}, {"error", error.text()}, {"code", error_code_name(error.code)}};
  // Nothing to do about a failure: the program exits, and its log has the error.
  static_cast<void>(send_packet(channel,
                                answer.dump(-1, ' ', false, json::error_handler_t::replace), {},
                                Deadline::after(std::chrono::seconds(1))));
}

}  // namespace drover::net
