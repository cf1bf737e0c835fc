// SPDX-License-Identifier: Apache-2.0
#include "move/live/live_disks.h"

#include <algorithm>
#include <thread>

#include <unistd.h>

#include "base/log.h"
#include "gate/write_watch.h"
#include "move/plan/shared_disks.h"
#include "move/qmp.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

using qmp::ask;
using qmp::command;
using qmp::is_drive_of;
using qmp::Json;
using qmp::node_of;
using qmp::text_of;
using namespace std::chrono_literals;
using content::kBlockBytes;

constexpr auto kConnectLimit = 5s;
constexpr auto kReadLimit = 20s;  // at most kReadBlocks, of a disk that may be slow
constexpr auto kBusyLimit = 2s;   // an export ends a moment after it was told to
constexpr std::size_t kReadBlocks = content::kChunkBlocks;
constexpr std::string_view kOurs = "drover-";  // exports of ours

const Json kNothing = Json::array();

const Json& bitmaps_of(const Json& node) {
  if (!node.is_object() || !node.contains("dirty-bitmaps")) return kNothing;
  const Json& bitmaps = node["dirty-bitmaps"];
  return bitmaps.is_array() ? bitmaps : kNothing;
}

// It has recorded since it was begun, in blocks of ours.
bool is_watched(const Json& node, const std::string& name) {
  return std::ranges::any_of(bitmaps_of(node), [&](const Json& bitmap) {
    return text_of(bitmap, "name") == name && bitmap.contains("recording") &&
           bitmap["recording"] == Json(true) && bitmap.contains("granularity") &&
           bitmap["granularity"] == Json(gate::kWatchGranularity);
  });
}

// What an export still holds cannot be removed; it lets go in a moment.
Status remove_bitmap(Hypervisor& hypervisor, const std::string& uuid, const std::string& node,
                     const std::string& name) {
  const Deadline limit = Deadline::after(kBusyLimit);
  while (true) {
    const auto removed = ask(
        hypervisor, uuid, command("block-dirty-bitmap-remove", {{"node", node}, {"name", name}}));
    if (removed) return {};
    if (limit.expired()) return std::unexpected(removed.error());
    std::this_thread::sleep_for(50ms);
  }
}

// Our exports end. Says whether there are others.
Result<bool> end_exports(Hypervisor& hypervisor, const std::string& uuid) {
  ASSIGN_OR_RETURN(const Json exports, ask(hypervisor, uuid, command("query-block-exports")));
  bool others = false;
  if (!exports.is_array()) return fail(ErrorCode::kHypervisor, "QEMU lists no exports.");
  for (const Json& one : exports) {
    const std::string id = text_of(one, "id");
    if (!id.starts_with(kOurs)) {
      others = true;
      continue;
    }
    const Json end = command("block-export-del", {{"id", id}, {"mode", "hard"}});
    if (auto ended = ask(hypervisor, uuid, end); !ended)
      log::warning("Disks of {}: {}", uuid, ended.error().text());
  }
  return others;
}

void stop_serving(Hypervisor& hypervisor, const std::string& uuid) {
  const auto others = end_exports(hypervisor, uuid);
  // It may be stopped already. Somebody else's is left alone.
  if (others && !*others) (void)ask(hypervisor, uuid, command("nbd-server-stop"));
}

// The bitmaps of a move: of its watch, and what read_bitmap() may have left.
Status remove_bitmaps(Hypervisor& hypervisor, const std::string& uuid, const std::string& prefix) {
  ASSIGN_OR_RETURN(const Json nodes,
                   ask(hypervisor, uuid, command("query-named-block-nodes", {{"flat", true}})));
  Status all;
  for (const Json& node : nodes) {
    for (const Json& bitmap : bitmaps_of(node)) {
      const std::string name = text_of(bitmap, "name");
      if (!name.starts_with(prefix)) continue;
      if (auto removed = remove_bitmap(hypervisor, uuid, text_of(node, "node-name"), name);
          !removed)
        all = removed;
    }
  }
  return all;
}

std::string copy_prefix(const std::string& move) { return gate::watch_name(move) + "-"; }

}  // namespace

bool is_read_back(const Plan& plan) {
  return plan.request.verification == Verification::kReadBack && copies_disks(plan);
}

LiveDisks::LiveDisks(Hypervisor& hypervisor, std::string uuid, std::string move,
                     std::filesystem::path socket)
    : hypervisor_(hypervisor),
      uuid_(std::move(uuid)),
      move_(std::move(move)),
      socket_(std::move(socket)) {}

Result<std::unique_ptr<LiveDisks>> LiveDisks::open(Hypervisor& hypervisor, std::string uuid,
                                                   std::string move, std::filesystem::path socket) {
  std::unique_ptr<LiveDisks> disks(
      new LiveDisks(hypervisor, std::move(uuid), std::move(move), std::move(socket)));
  RETURN_IF_ERROR(disks->serve());
  return disks;
}

// A server without exports is one that an earlier droverd of ours began: libvirt's never stands
// without one for longer than a moment.
Status LiveDisks::serve() {
  ASSIGN_OR_RETURN(const bool others, end_exports(hypervisor_, uuid_));
  if (others) {
    return fail(ErrorCode::kConflict,
                "QEMU serves disks of the VM to another program, such as a backup.");
  }
  (void)ask(hypervisor_, uuid_, command("nbd-server-stop"));
  RETURN_IF_ERROR(remove_bitmaps(hypervisor_, uuid_, copy_prefix(move_)));
  ::unlink(socket_.c_str());
  const Json address{{"type", "unix"}, {"data", {{"path", socket_.string()}}}};
  RETURN_IF_ERROR(ask(hypervisor_, uuid_, command("nbd-server-start", {{"addr", address}})));
  return {};
}

LiveDisks::~LiveDisks() {
  readers_.clear();
  stop_serving(hypervisor_, uuid_);
  ::unlink(socket_.c_str());
}

Status LiveDisks::find(const std::string& alias) {
  ASSIGN_OR_RETURN(const Json drives, ask(hypervisor_, uuid_, command("query-block")));
  const auto drive =
      std::ranges::find_if(drives, [&](const Json& one) { return is_drive_of(one, alias); });
  const std::string node = drive == drives.end() ? "" : text_of(node_of(*drive), "node-name");
  if (node.empty()) return fail(ErrorCode::kNotFound, "QEMU has no disk {}.", alias);
  if (!is_watched(node_of(*drive), gate::watch_name(move_))) {
    return fail(ErrorCode::kNotFound,
                "What the guest writes to it was not watched from its start.");
  }
  const auto known = nodes_.find(alias);
  if (known != nodes_.end() && known->second != node) readers_.erase(alias);
  nodes_[alias] = node;
  return {};
}

// Never one that QEMU is still about to forget.
std::string LiveDisks::next_name() { return fmt::format("{}{}-{}", kOurs, session_, ++exports_); }

Result<UniqueFd> LiveDisks::connect() const {
  return net::connect_unix(socket_, net::SocketKind::kStream, Deadline::after(kConnectLimit));
}

Status LiveDisks::show(const std::string& id, const std::string& node, const std::string& bitmap) {
  Json arguments{
      {"type", "nbd"}, {"id", id}, {"node-name", node}, {"name", id}, {"writable", false}};
  if (!bitmap.empty()) arguments["bitmaps"] = Json::array({bitmap});
  RETURN_IF_ERROR(ask(hypervisor_, uuid_, command("block-export-add", std::move(arguments))));
  return {};
}

Result<mover::NbdReader*> LiveDisks::reader(const std::string& alias) {
  auto& reader = readers_[alias];
  if (reader) return reader.get();
  const std::string id = next_name();
  RETURN_IF_ERROR(show(id, nodes_.at(alias), ""));
  ASSIGN_OR_RETURN(UniqueFd socket, connect());
  ASSIGN_OR_RETURN(reader,
                   mover::NbdReader::open(std::move(socket), id, Deadline::after(kConnectLimit)));
  return reader.get();
}

Result<std::vector<content::Name>> LiveDisks::names(const std::string& alias,
                                                    std::uint64_t first_block, std::size_t count) {
  ASSIGN_OR_RETURN(mover::NbdReader* const reader, this->reader(alias));
  const content::Namer namer{content::ContentKey{}};
  std::vector<content::Name> names;
  std::vector<std::uint8_t> bytes;
  while (names.size() < count) {
    const std::size_t now = std::min(kReadBlocks, count - names.size());
    std::vector<std::uint64_t> offsets;
    for (std::size_t i = 0; i < now; ++i)
      offsets.push_back((first_block + names.size() + i) * kBlockBytes);
    bytes.resize(now * kBlockBytes);
    if (auto read = reader->read(offsets, kBlockBytes, bytes, Deadline::after(kReadLimit)); !read) {
      readers_.erase(alias);
      return std::unexpected(read.error());
    }
    for (std::size_t i = 0; i < now; ++i) {
      const auto block = std::span(bytes).subspan(i * kBlockBytes).first<kBlockBytes>();
      names.push_back(content::is_zero(block) ? content::kZeroName : namer.name(block));
    }
  }
  return names;
}

// A bitmap that records cannot be served, so a copy is: made in a transaction, before which QEMU
// awaits all writes that are under way, so that they are marked.
Result<std::vector<mover::DirtyRange>> LiveDisks::written(const std::string& alias,
                                                          std::uint64_t first_block,
                                                          std::size_t count) {
  const std::string& node = nodes_.at(alias);
  const std::string copy = fmt::format("{}{}-{}", copy_prefix(move_), session_, ++exports_);
  const Json add{{"node", node},
                 {"name", copy},
                 {"granularity", gate::kWatchGranularity},
                 {"disabled", true},
                 {"persistent", false}};
  const Json merge{
      {"node", node}, {"target", copy}, {"bitmaps", Json::array({gate::watch_name(move_)})}};
  const Json actions = Json::array({{{"type", "block-dirty-bitmap-add"}, {"data", add}},
                                    {{"type", "block-dirty-bitmap-merge"}, {"data", merge}}});
  RETURN_IF_ERROR(ask(hypervisor_, uuid_, command("transaction", {{"actions", actions}})));
  auto ranges = read_bitmap(node, copy, first_block * kBlockBytes, count * kBlockBytes);
  if (auto removed = remove_bitmap(hypervisor_, uuid_, node, copy); !removed && ranges)
    return std::unexpected(removed.error());
  return ranges;
}

Result<std::vector<mover::DirtyRange>> LiveDisks::read_bitmap(const std::string& node,
                                                              const std::string& bitmap,
                                                              std::uint64_t offset,
                                                              std::uint64_t length) {
  const std::string id = next_name();
  RETURN_IF_ERROR(show(id, node, bitmap));
  auto socket = connect();
  auto ranges = socket ? mover::dirty_ranges(std::move(*socket), id, bitmap, offset, length,
                                             Deadline::after(kReadLimit))
                       : std::unexpected(socket.error());
  const auto ended =
      ask(hypervisor_, uuid_, command("block-export-del", {{"id", id}, {"mode", "hard"}}));
  if (!ended) return std::unexpected(ended.error());
  return ranges;
}

Status end_watch(Hypervisor& hypervisor, const std::string& uuid, const std::string& move) {
  ASSIGN_OR_RETURN(const RunState state, hypervisor.run_state(uuid));
  if (state.kind != RunState::Kind::kRunning && state.kind != RunState::Kind::kPaused) return {};
  stop_serving(hypervisor, uuid);
  return remove_bitmaps(hypervisor, uuid, gate::watch_name(move));
}

}  // namespace drover::move
