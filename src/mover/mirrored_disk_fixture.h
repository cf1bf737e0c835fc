// SPDX-License-Identifier: Apache-2.0
// For tests: a disk as QEMU mirrors it through a pair of sessions. One thread.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "content/nbd_stream_fixture.h"
#include "mover/session_fixture.h"

namespace drover::mover {

// A disk of kBlocks blocks, mirrored as QEMU does: written and answered. Block N holds page_of(N +
// 1).
class MirroredDisk {
 public:
  static constexpr std::uint64_t kBlocks = 1600;
  static constexpr std::uint64_t kBlocksOfWrite = 16;

  MirroredDisk(const SessionPair::Ends& ends, content::TestDisks& disks) {
    say(ends.destination.get(), content::server_greeting());
    hear(ends.source.get(), content::server_greeting().size());
    content::NbdClient client("vda");
    pass_on(ends, client);
    for (std::uint64_t block = 0; block < kBlocks; block += kBlocksOfWrite) {
      content::Bytes data;
      for (std::uint64_t i = 0; i < kBlocksOfWrite; ++i) {
        const content::Bytes page = content::page_of(block + i + 1);
        data.insert(data.end(), page.begin(), page.end());
      }
      client.write(block, block * content::kBlockBytes, data);
      pass_on(ends, client);
      disks.write("vda", block * content::kBlockBytes, data);
      say(ends.destination.get(), content::simple_reply(block));
      hear(ends.source.get(), 16);
    }
  }

 private:
  static void say(int fd, const content::Bytes& bytes) {
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  static content::Bytes hear(int fd, std::size_t count) {
    content::Bytes bytes(count);
    EXPECT_EQ(::recv(fd, bytes.data(), count, MSG_WAITALL), static_cast<ssize_t>(count));
    return bytes;
  }
  static void pass_on(const SessionPair::Ends& ends, content::NbdClient& client) {
    const content::Bytes bytes = client.take();
    say(ends.source.get(), bytes);
    // Not EXPECT_EQ, which would print all of it.
    EXPECT_TRUE(hear(ends.destination.get(), bytes.size()) == bytes);
  }
};

}  // namespace drover::mover
