// SPDX-License-Identifier: Apache-2.0
// For tests: an NBD client's and server's words, and a disk that is read back.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/big_endian.h"
#include "content/destination_content.h"
#include "content/memory_stream_fixture.h"
#include "content/nbd_requests.h"

namespace drover::content {

// What a client sends; take() gives what was said since the last time.
class NbdClient {
 public:
  // With QEMU's options up to GO.
  explicit NbdClient(const std::string& export_name) {
    add_be<std::uint32_t>(said_, 3);
    option(8, {});
    option(10, named(export_name, 1));
    option(7, named(export_name, 1));
  }
  void option(std::uint32_t number, const Bytes& data) {
    add_be<std::uint64_t>(said_, 0x49484156454f5054);
    add_be(said_, number);
    add_be(said_, static_cast<std::uint32_t>(data.size()));
    said_.insert(said_.end(), data.begin(), data.end());
  }
  void ask(NbdCommand command, std::uint64_t cookie, std::uint64_t offset, std::uint32_t length) {
    add_be<std::uint32_t>(said_, 0x25609513);
    add_be<std::uint16_t>(said_, 0);
    add_be(said_, static_cast<std::uint16_t>(command));
    add_be(said_, cookie);
    add_be(said_, offset);
    add_be(said_, length);
  }
  // With extended headers, as QEMU from 8.2 on asks another of its kind; with the payload's flag,
  // which QEMU 10.0 leaves out.
  void ask_extended(NbdCommand command, std::uint64_t cookie, std::uint64_t offset,
                    std::uint64_t length) {
    add_be<std::uint32_t>(said_, 0x21e41c71);
    add_be<std::uint16_t>(said_, command == NbdCommand::kWrite ? 32 : 0);
    add_be(said_, static_cast<std::uint16_t>(command));
    add_be(said_, cookie);
    add_be(said_, offset);
    add_be(said_, length);
  }
  void write_extended(std::uint64_t cookie, std::uint64_t offset, const Bytes& data) {
    ask_extended(NbdCommand::kWrite, cookie, offset, data.size());
    said_.insert(said_.end(), data.begin(), data.end());
  }
  void write(std::uint64_t cookie, std::uint64_t offset, const Bytes& data) {
    ask(NbdCommand::kWrite, cookie, offset, static_cast<std::uint32_t>(data.size()));
    said_.insert(said_.end(), data.begin(), data.end());
  }
  Bytes take() { return std::exchange(said_, {}); }

 private:
  static Bytes named(const std::string& name, std::uint16_t count) {
    Bytes data;
    add_be(data, static_cast<std::uint32_t>(name.size()));
    data.insert(data.end(), name.begin(), name.end());
    add_be(data, count);
    add_be<std::uint16_t>(data, 3);
    return data;
  }
  Bytes said_;
};

inline Bytes server_greeting() {
  Bytes said;
  add_be<std::uint64_t>(said, 0x4e42444d41474943);
  add_be<std::uint64_t>(said, 0x49484156454f5054);
  add_be<std::uint16_t>(said, 3);
  for (const std::uint32_t option : {8u, 7u}) {
    add_be<std::uint64_t>(said, 0x0003e889045565a9);
    add_be(said, option);
    add_be<std::uint32_t>(said, option == 7 ? 3 : 1);
    add_be<std::uint32_t>(said, option == 7 ? 12 : 0);
    said.resize(said.size() + (option == 7 ? 12 : 0));
  }
  return said;
}
inline Bytes simple_reply(std::uint64_t cookie, std::uint32_t error = 0) {
  Bytes said;
  add_be<std::uint32_t>(said, 0x67446698);
  add_be(said, error);
  add_be(said, cookie);
  return said;
}
inline Bytes reply_chunk(std::uint64_t cookie, std::uint16_t flags, std::uint16_t type,
                         const Bytes& data = {}) {
  Bytes said;
  add_be<std::uint32_t>(said, 0x668e33ef);
  add_be(said, flags);
  add_be(said, type);
  add_be(said, cookie);
  add_be(said, static_cast<std::uint32_t>(data.size()));
  said.insert(said.end(), data.begin(), data.end());
  return said;
}

inline Bytes extended_reply(std::uint64_t cookie, std::uint16_t flags, std::uint16_t type,
                            const Bytes& data = {}) {
  Bytes said;
  add_be<std::uint32_t>(said, 0x6e8a278c);
  add_be(said, flags);
  add_be(said, type);
  add_be(said, cookie);
  add_be<std::uint64_t>(said, 0);
  add_be<std::uint64_t>(said, data.size());
  said.insert(said.end(), data.begin(), data.end());
  return said;
}

// The destination's disks as they are now. Tests write into them when "the server" does.
class TestDisks : public DiskReader {
 public:
  Status read(const std::string& export_name, std::span<const std::uint64_t> offsets,
              std::span<std::uint8_t> out) override {
    ++reads;
    for (const std::uint64_t offset : offsets) {
      const auto disk = disks.find(export_name);
      if (disk == disks.end() || offset + kBlockBytes > disk->second.size()) {
        return fail(ErrorCode::kNotFound, "No block there.");
      }
      std::copy_n(disk->second.begin() + static_cast<std::ptrdiff_t>(offset), kBlockBytes,
                  out.begin());
      out = out.subspan(kBlockBytes);
    }
    return {};
  }
  void write(const std::string& export_name, std::uint64_t offset, const Bytes& data) {
    Bytes& disk = disks[export_name];
    disk.resize(std::max(disk.size(), offset + data.size()));
    std::copy(data.begin(), data.end(), disk.begin() + static_cast<std::ptrdiff_t>(offset));
  }

  std::map<std::string, Bytes> disks;
  int reads = 0;
};

}  // namespace drover::content
