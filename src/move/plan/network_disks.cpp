// SPDX-License-Identifier: Apache-2.0
#include "move/plan/network_disks.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <set>
#include <thread>

#include "base/big_endian.h"
#include "base/random.h"
#include "model/network_disk.h"
#include "move/plan/network_disk_count.h"
#include "net/dial.h"
#include "net/digest.h"
#include "net/unix_socket.h"

namespace drover::move {
namespace {

using preflight::DiskMark;
using Marks = std::vector<DiskMark>;

constexpr std::size_t kBlockBytes = 4096;
constexpr auto kLook = std::chrono::milliseconds(5);
constexpr auto kEndsWithin = std::chrono::seconds(1);
constexpr std::chrono::milliseconds kServerShows{2000};  // one of several
// File systems and partition tables tell themselves apart at the beginning; clones that went
// different ways differ anywhere.
constexpr std::uint64_t kFirstBlocks = 512;
constexpr std::uint64_t kRandomBlocks = 1024;
constexpr std::size_t kFromTheBeginning = kMarksMost / 2;

// Port 0 is the usual one.
std::string uri_at(const net::Address& server, const NetworkSource& source) {
  return network_disk_uri(source.protocol, server.host,
                          server.port == 0 ? "" : fmt::format("{}", server.port), source.name);
}

// QEMU listens before it has opened the disk.
Result<UniqueFd> connect(NetworkImage& image, Deadline deadline) {
  while (true) {
    auto socket = net::connect_unix(image.socket(), net::SocketKind::kStream, deadline);
    if (socket) return socket;
    if (image.ended()) return std::unexpected(image.complaint());
    if (deadline.expired()) return socket;
    std::this_thread::sleep_for(kLook);
  }
}

// Who hung up is about to end, if it ends.
std::optional<Error> why_gone(NetworkImage& image, Deadline deadline) {
  const Deadline soon = Deadline::after(kEndsWithin);
  while (!image.ended() && !soon.expired() && !deadline.expired())
    std::this_thread::sleep_for(kLook);
  return image.ended() ? std::optional(image.complaint()) : std::nullopt;
}

std::uint64_t name_of(std::span<const std::uint8_t> block, MarkUse use) {
  std::string bytes = "drover network disk mark: ";
  bytes += use == MarkUse::kReport ? "there" : "here";
  bytes += '\0';
  bytes.append(reinterpret_cast<const char*>(block.data()), block.size());
  const auto digest = net::sha256(bytes);
  std::uint64_t name = 0;
  for (std::size_t i = 0; i < 8; ++i) name = name << 8 | digest[i];
  return name;
}

bool is_zero(std::span<const std::uint8_t> block) {
  return std::ranges::all_of(block, [](std::uint8_t byte) { return byte == 0; });
}

const DiskMark* at(const Marks& marks, std::uint64_t start) {
  const auto found =
      std::ranges::find_if(marks, [&](const DiskMark& mark) { return mark.where.start == start; });
  return found == marks.end() ? nullptr : &*found;
}

// As they were drawn: whoever takes the first ones takes them from the whole disk.
std::vector<std::uint64_t> random_places(std::uint64_t blocks) {
  std::vector<std::uint64_t> numbers(kRandomBlocks);
  fill_random(std::span(reinterpret_cast<std::uint8_t*>(numbers.data()), numbers.size() * 8));
  std::set<std::uint64_t> seen;
  std::vector<std::uint64_t> places;
  for (const std::uint64_t number : numbers) {
    const std::uint64_t place = number % blocks * kBlockBytes;
    if (seen.insert(place).second) places.push_back(place);
  }
  return places;
}

// What the guest sees of it. A qcow2 image may stand on another file, or keep its data in one, of
// which this server says nothing: that is an error (QEMU's docs/interop/qcow2.txt).
Result<ByteCount> guest_size(mover::NbdReader& reader, const DiskFacts& disk, Deadline deadline) {
  if (disk.disk.format == "raw") return ByteCount{reader.export_bytes()};
  if (disk.disk.format != "qcow2" || reader.export_bytes() < kBlockBytes)
    return fail(ErrorCode::kPolicy, "Its format is {}.", disk.disk.format);
  const std::array<std::uint64_t, 1> first{0};
  std::array<std::uint8_t, kBlockBytes> head{};
  RETURN_IF_ERROR(reader.read(first, kBlockBytes, head, deadline));
  constexpr std::uint64_t kExternalData = 4;  // of the incompatible features, from version 3 on
  const bool alone = load_be<std::uint32_t>(&head[0]) == 0x514649fb &&
                     load_be<std::uint64_t>(&head[8]) == 0 &&
                     (load_be<std::uint32_t>(&head[4]) < 3 ||
                      (load_be<std::uint64_t>(&head[72]) & kExternalData) == 0);
  if (!alone) return fail(ErrorCode::kPolicy, "Its image stands on another file.");
  return ByteCount{load_be<std::uint64_t>(&head[24])};
}

}  // namespace

std::vector<DiskFacts> network_disks_in(const DomainFacts& domain) {
  std::vector<DiskFacts> disks;
  std::ranges::copy_if(domain.disks, std::back_inserter(disks), [](const DiskFacts& facts) {
    return facts.disk.device == DiskDevice::kDisk && facts.disk.kind == DiskKind::kNetwork;
  });
  return disks;
}

std::vector<std::string> network_uris(const DiskFacts& disk) {
  const NetworkSource& source = disk.network;
  if (!disk.network_plain || source.further.size() >= kNetworkServersMost ||
      (!source.further.empty() && !has_several_servers(source.protocol)))
    return {};
  std::vector<std::string> uris;
  for (const NetworkServer& server : servers_of(source)) {
    uris.push_back(network_disk_uri(source.protocol, server.host, server.port, source.name));
    if (uris.back().empty()) return {};
  }
  return uris;
}

std::string network_uri(const DiskFacts& disk) {
  auto uris = network_uris(disk);
  return uris.empty() ? std::string() : std::move(uris.front());
}

bool admits_servers_of(std::span<const std::string> rules, const DiskFacts& disk) {
  const auto uris = network_uris(disk);
  return !uris.empty() && std::ranges::all_of(uris, [&](const std::string& uri) {
    return admits_network_disk(rules, uri);
  });
}

bool same_network_disk(const DiskFacts& one, const DiskFacts& other) {
  const SecretName &first = one.network.secret, &second = other.network.secret;
  return network_uris(one) == network_uris(other) && one.network.user == other.network.user &&
         first.uuid == second.uuid && first.usage == second.usage;
}

NetworkLook look_at_disks(const SecretReader& secrets) {
  return {secrets, Deadline::after(kNetworkDisksLook)};
}

SecretReader secrets_of(Hypervisor& hypervisor) {
  return [&hypervisor](const SecretName& name) { return hypervisor.secret_value(name); };
}

bool is_network(const DiskPlacement& placement) {
  return is_network_path(placement.destination_path);
}

Result<NetworkDisk> NetworkDisk::open(const DiskFacts& disk, const std::string& vm_uuid,
                                      NetworkLook& look) {
  ASSIGN_OR_RETURN(auto opened, open_at_most(1, disk, vm_uuid, look));
  return std::move(opened.front());
}

Result<std::vector<NetworkDisk>> NetworkDisk::open_through_all(const DiskFacts& disk,
                                                               const std::string& vm_uuid,
                                                               NetworkLook& look) {
  return open_at_most(kNetworkServersMost, disk, vm_uuid, look);
}

Result<std::vector<NetworkDisk>> NetworkDisk::open_at_most(std::size_t most, const DiskFacts& disk,
                                                           const std::string& vm_uuid,
                                                           NetworkLook& look) {
  const std::string uri = network_uri(disk);
  if (uri.empty()) {
    return fail(
        ErrorCode::kInvalidArgument,
        "It is no plain NBD, iSCSI, RBD or GlusterFS disk on TCP; of others nothing is proven "
        "yet.");
  }
  if (disk.network.protocol == "gluster" && disk.cache != "none" && disk.cache != "directsync") {
    return fail(
        ErrorCode::kPolicy,
        "{} may be read at the destination from what its client kept of it before the switch. "
        "Fix: <driver cache='none'/>, and `gluster volume set VOLUME group virt`.",
        uri);
  }
  ASSIGN_OR_RETURN(const auto servers, network_endpoints(disk.network, look));
  std::vector<std::string> uris;
  for (const NetworkEndpoint& server : servers) {
    uris.push_back(uri_at(server.at, disk.network));
    if (uris.back().empty())
      return fail(ErrorCode::kInvalidArgument, "{} is no usual address.", server.at.host);
  }
  std::vector<NetworkDisk> opened;
  Error failed{ErrorCode::kUnavailable,
               Retry::kLater,
               fmt::format("None of the servers of {} shows it.", uri),
               {}};
  for (const NetworkEndpoint& server : servers) {
    auto one = open_at(server, disk, vm_uuid, look);
    if (!one && server.alone) return std::unexpected(std::move(one).error());
    if (!one) {
      failed.causes.push_back(one.error().text());
      continue;
    }
    if (!server.alone) one->name_ = join_network_disk_uris(uris);
    opened.push_back(std::move(*one));
    if (opened.size() == most) break;
  }
  if (opened.empty()) return std::unexpected(std::move(failed));
  return opened;
}

// The time of one server of several is bounded: a monitor that hangs is left for the next.
Result<NetworkDisk> NetworkDisk::open_at(const NetworkEndpoint& server, const DiskFacts& disk,
                                         const std::string& vm_uuid, NetworkLook& look) {
  ASSIGN_OR_RETURN(UniqueFd socket, dial_endpoint(server, look));
  ASSIGN_OR_RETURN(const net::Address reached, net::remote_address(socket.get()));
  NetworkDisk opened;
  opened.name_ = uri_at({reached.host, server.at.port}, disk.network);
  if (opened.name_.empty())
    return fail(ErrorCode::kInvalidArgument, "{} is no usual address.", reached.host);
  NetworkImageSource source{disk.network.protocol, reached.host, server.at.port,
                            disk.network.name,     vm_uuid,      disk.network.user};
  if (!source.user.empty()) {
    ASSIGN_OR_RETURN(source.secret, look.secrets(disk.network.secret));
  }
  const Deadline deadline = Deadline::after(
      server.alone ? look.deadline.left() : std::min(kServerShows, look.deadline.left()));
  const std::string uri = network_uri(disk);
  const Status read = source.protocol == "nbd"
                          ? opened.read_export(std::move(socket), source.name, uri, deadline)
                          : opened.read_by_qemu(source, uri, deadline);
  ::explicit_bzero(source.secret.data(), source.secret.size());
  if (!read && !server.alone && deadline.expired()) look.give_up(server);
  RETURN_IF_ERROR(read);
  ASSIGN_OR_RETURN(opened.size_, guest_size(*opened.reader_, disk, deadline));
  return opened;
}

Status NetworkDisk::read_export(UniqueFd socket, const std::string& name, const std::string& uri,
                                Deadline deadline) {
  auto reader = mover::NbdReader::open(std::move(socket), name, deadline);
  if (!reader) {
    const bool waited = reader.error().code == ErrorCode::kTimeout;
    return std::unexpected(
        wrap(reader.error(),
             waited ? fmt::format("{} does not answer a second connection. Fix: let it serve "
                                  "several at once (qemu-nbd --shared=4).",
                                  uri)
                    : fmt::format("{} cannot be read.", uri)));
  }
  reader_ = std::move(*reader);
  if (reader_->one_picture()) return {};
  return fail(ErrorCode::kPolicy,
              "{} does not promise that what one host wrote the other reads "
              "(NBD_FLAG_CAN_MULTI_CONN). Fix: let it serve several connections at once "
              "(qemu-nbd --shared=4).",
              uri);
}

Status NetworkDisk::read_by_qemu(const NetworkImageSource& source, const std::string& uri,
                                 Deadline deadline) {
  const auto failed = [&](const Error& error) {
    return std::unexpected(wrap(error, fmt::format("{} cannot be read by QEMU.", uri)));
  };
  auto image = NetworkImage::start(source);
  if (!image) return failed(image.error());
  image_ = std::make_unique<NetworkImage>(std::move(*image));
  auto socket = connect(*image_, deadline);
  if (!socket) return failed(socket.error());
  image_->remove_socket();
  auto reader = mover::NbdReader::open(std::move(*socket), "", deadline);
  if (!reader) return failed(why_gone(*image_, deadline).value_or(reader.error()));
  reader_ = std::move(*reader);
  return {};
}

Result<Marks> NetworkDisk::make_marks(const std::string& target, MarkUse use, Deadline deadline) {
  const std::uint64_t blocks = reader_->export_bytes() / kBlockBytes;
  if (blocks == 0) return Marks{};
  Marks marks;
  std::set<std::uint64_t> seen;
  const auto take = [&](const std::vector<std::uint64_t>& places, std::size_t most) -> Status {
    std::vector<std::uint8_t> bytes(places.size() * kBlockBytes);
    RETURN_IF_ERROR(reader_->read(places, kBlockBytes, bytes, deadline));
    for (std::size_t i = 0; i < places.size() && marks.size() < most; ++i) {
      const auto block = std::span(bytes).subspan(i * kBlockBytes, kBlockBytes);
      if (is_zero(block) || at(marks, places[i]) != nullptr) continue;
      const std::uint64_t name = name_of(block, use);
      if (seen.insert(name).second) marks.push_back({target, {places[i], name}});
    }
    return {};
  };
  std::vector<std::uint64_t> first(std::min(kFirstBlocks, blocks));
  for (std::uint64_t i = 0; i < first.size(); ++i) first[i] = i * kBlockBytes;
  RETURN_IF_ERROR(take(first, kFromTheBeginning));
  RETURN_IF_ERROR(take(random_places(blocks), kMarksMost));
  RETURN_IF_ERROR(take(first, kMarksMost));
  return marks;
}

Result<Marks> NetworkDisk::read_marks(const std::string& target, MarkUse use, const Marks& places,
                                      Deadline deadline) {
  if (places.size() > kMarksMost)
    return fail(ErrorCode::kProtocol, "A network disk has at most {} marks.", kMarksMost);
  std::vector<std::uint64_t> offsets;
  for (const DiskMark& mark : places) offsets.push_back(mark.where.start);
  std::vector<std::uint8_t> bytes(offsets.size() * kBlockBytes);
  RETURN_IF_ERROR(reader_->read(offsets, kBlockBytes, bytes, deadline));
  Marks marks;
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const auto block = std::span(bytes).subspan(i * kBlockBytes, kBlockBytes);
    marks.push_back({target, {offsets[i], name_of(block, use)}});
  }
  return marks;
}

Marks marks_of(const Marks& marks, std::string_view target) {
  Marks own;
  std::ranges::copy_if(marks, std::back_inserter(own),
                       [&](const DiskMark& mark) { return mark.target == target; });
  return own;
}

std::string difference(const Marks& before, const Marks& theirs, const Marks& after) {
  std::set<std::uint64_t> agreed;
  for (const DiskMark& mark : before) {
    const DiskMark* now = at(after, mark.where.start);
    const DiskMark* there = at(theirs, mark.where.start);
    if (there == nullptr) return "not all blocks were read there";
    if (now == nullptr || now->where != mark.where) continue;  // the guest wrote it
    if (there->where != mark.where)
      return fmt::format("the block at {} is another one there", mark.where.start);
    agreed.insert(mark.where.length);
  }
  if (agreed.size() >= kMarksEnough) return {};
  return fmt::format("only {} blocks hold something and stood still; {} are needed", agreed.size(),
                     kMarksEnough);
}

std::string not_shown_by(const Marks& told, const Marks& found) {
  std::set<std::uint64_t> agreed;
  for (const DiskMark& mark : told) {
    const DiskMark* here = at(found, mark.where.start);
    if (here != nullptr && here->where == mark.where) agreed.insert(mark.where.length);
  }
  if (agreed.size() >= kMarksEnough && agreed.size() * 2 >= told.size()) return {};
  return fmt::format(
      "of {} blocks that were told {} are known here; half of them and {} are needed", told.size(),
      agreed.size(), kMarksEnough);
}

}  // namespace drover::move
