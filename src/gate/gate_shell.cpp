// SPDX-License-Identifier: Apache-2.0
#include "gate/gate_shell.h"

#include <deque>

#include <nlohmann/json.hpp>
#include <poll.h>

#include "base/log.h"
#include "gate/mailbox.h"
#include "net/control_message.h"
#include "net/unix_socket.h"

namespace drover::gate {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kCommandPatience = 8s;
constexpr auto kMoverPatience = 2s;     // a mover that takes no news for so long is as good as dead
constexpr auto kFarewellPatience = 2s;  // for the last bytes on each connection

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

// A connection that nothing is wanted of is left out: its hang-up alone must not wake the loop.
pollfd entry_of(const StreamPort& port, bool read) {
  const short events = port.wanted_events(read);
  return {events != 0 ? port.fd() : -1, events, 0};
}

const char* news_name(MoverNews news) {
  switch (news) {
    case MoverNews::kStandstill:
      return "standstill";
    case MoverNews::kFinishForwarded:
      return "finish_forwarded";
    case MoverNews::kSettled:
      return "settled";
  }
  return "";
}

}  // namespace

GateShell::GateShell(GateStart start, RecordFolder records, UniqueFd rpc, UniqueFd mover)
    : start_(std::move(start)),
      records_(std::move(records)),
      rpc_(std::move(rpc)),
      mover_(std::move(mover)),
      mailbox_(std::make_unique<Mailbox>()) {}

GateShell::~GateShell() { mailbox_->close(); }

void GateShell::serve_control(UniqueFd channel, UniqueFd control) {
  control_ = std::make_unique<net::ControlServer>(
      std::move(channel), std::move(control), [this](const json& command, std::vector<UniqueFd>) {
        return mailbox_->post(command, kCommandPatience);
      });
}

void GateShell::run() {
  while (!exiting_) wait_and_serve(on_tick());
  mailbox_->close();
  const Deadline farewell = Deadline::after(kFarewellPatience);
  while (!farewell.expired() && (!rpc_.idle() || !libvirt_.idle())) {
    pollfd entries[] = {entry_of(rpc_, false), entry_of(libvirt_, false)};
    if (::poll(entries, 2, farewell.poll_ms()) <= 0) continue;
    rpc_.flush();
    libvirt_.flush();
  }
}

void GateShell::wait_and_serve(Deadline deadline) {
  // Nothing is read for a connection that does not take what it has.
  const bool read = !rpc_.full() && !libvirt_.full();
  pollfd entries[] = {{mailbox_->wake_fd(), POLLIN, 0},
                      entry_of(rpc_, read),
                      {mover_.get(), POLLIN, 0},
                      entry_of(libvirt_, read),
                      {extra_fd(), POLLIN, 0}};
  const int ready = ::poll(entries, std::size(entries), deadline.poll_ms());
  if (ready <= 0) return;
  rpc_.flush();
  libvirt_.flush();
  constexpr int kReadable = POLLIN | POLLHUP | POLLERR;
  // The mover's news first: `memory_opened` must be recorded before anything later is carried.
  if ((entries[2].revents & kReadable) != 0) read_mover();
  if ((entries[1].revents & kReadable) != 0 && read) read_peer();
  if ((entries[3].revents & kReadable) != 0 && read) read_libvirt();
  if ((entries[4].revents & kReadable) != 0) on_extra();
  if ((entries[0].revents & kReadable) != 0) serve_commands();
}

void GateShell::read_libvirt() {
  std::span<const std::uint8_t> bytes;
  if (!libvirt_.is_open() || libvirt_.is_closing()) return;
  switch (libvirt_.read(bytes)) {
    case StreamPort::ReadEnd::kNothingYet:
      return;
    case StreamPort::ReadEnd::kClosed:
      return lose_libvirt("it closed its end");
    case StreamPort::ReadEnd::kMore:
      break;
  }
  libvirt_decoder_.feed(bytes);
  while (libvirt_.is_open() && !libvirt_.is_closing() && !exiting_) {
    auto packet = libvirt_decoder_.next();
    if (!packet) return lose_libvirt(packet.error().text());
    if (!*packet) return;
    carry_out(on_libvirt_packet(std::move(**packet)));
  }
}

void GateShell::read_peer() {
  std::span<const std::uint8_t> bytes;
  if (!rpc_.is_open()) return;
  switch (rpc_.read(bytes)) {
    case StreamPort::ReadEnd::kNothingYet:
      return;
    case StreamPort::ReadEnd::kClosed:
      return lose_road("the mover is gone");
    case StreamPort::ReadEnd::kMore:
      break;
  }
  rpc_decoder_.feed(bytes);
  while (rpc_.is_open() && !exiting_) {
    auto envelope = rpc_decoder_.next();
    if (!envelope) return lose_road(envelope.error().text());
    if (!*envelope) return;
    carry_out(on_peer(std::move(**envelope)));
  }
}

void GateShell::read_mover() {
  auto packet = net::receive_packet(mover_.get(), Deadline::after(0ms));
  if (!packet && packet.error().code == ErrorCode::kTimeout) return;
  // The mover's death is told by the end of the rpc stream, after all that it still carried.
  if (!packet || !*packet) return mover_.reset();
  auto message = net::parse_message((*packet)->text);
  if (!message)
    return log::warning("A message of the mover was dropped: {}", message.error().text());
  on_mover_message(*message);
}

void GateShell::serve_commands() {
  while (auto command = mailbox_->take()) {
    const std::string verb = net::text_member_or(command->message, "do", "").value_or("");
    command->answer.set_value(on_command(verb, command->message));
  }
}

void GateShell::lose_libvirt(const std::string& why) {
  libvirt_.close();
  libvirt_decoder_ = {};
  carry_out(on_libvirt_closed(why));
}

void GateShell::lose_road(const std::string& why) {
  rpc_.close();
  carry_out(on_road_closed(why));
}

void GateShell::carry_out(Actions actions) {
  std::deque<Action> todo(std::make_move_iterator(actions.begin()),
                          std::make_move_iterator(actions.end()));
  while (!todo.empty()) {
    const Action action = std::move(todo.front());
    todo.pop_front();
    Actions more;
    carry_out_one(action, more);
    todo.insert(todo.begin(), std::make_move_iterator(more.begin()),
                std::make_move_iterator(more.end()));
  }
}

void GateShell::carry_out_one(const Action& action, Actions& more) {
  std::visit(Overloaded{
                 [&](const SendToLibvirt& a) { libvirt_.queue(a.packet.bytes); },
                 [&](const SendToPeer& a) { rpc_.queue(encode_envelope(a.packet)); },
                 [&](const SendNote& a) { rpc_.queue(encode_envelope(a.note)); },
                 [&](const CloseLibvirt&) { libvirt_.close_when_written(); },
                 [&](const TellMover& a) { send_to_mover({{"event", news_name(a.news)}}); },
                 [&](const Emit& a) {
                   const json message = event_message(a.event);
                   log::info("Move {}, VM {}: {}", start_.move, start_.vm_name, message.dump());
                   if (control_) control_->send_event(message);
                 },
                 [&](const Exit&) { exiting_ = true; },
                 [&](const auto&) { more = on_own_action(action); },
             },
             action);
}

void GateShell::send_to_mover(const json& message, int descriptor) {
  if (!mover_) return;
  const std::span<const int> descriptors(&descriptor, descriptor < 0 ? 0 : 1);
  const Status sent =
      net::send_packet(mover_.get(), message.dump(), descriptors, Deadline::after(kMoverPatience));
  if (!sent)
    log::warning("The mover of move {} takes no news: {}", start_.move, sent.error().text());
}

json GateShell::common_status() const {
  return {{"libvirt_connected", libvirt_.is_open()}, {"peer_connected", rpc_.is_open()}};
}

}  // namespace drover::gate
