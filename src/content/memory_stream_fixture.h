// SPDX-License-Identifier: Apache-2.0
// For tests: writes migration streams as QEMU does, and reads them as QEMU's other side does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/big_endian.h"
#include "base/error.h"
#include "content/ops.h"

namespace drover::content {

using Bytes = std::vector<std::uint8_t>;

template <std::unsigned_integral T>
void add_be(Bytes& to, T value) {
  to.resize(to.size() + sizeof value);
  store_be(to.data() + to.size() - sizeof value, value);
}
inline void add_text(Bytes& to, const std::string& text) {
  to.push_back(static_cast<std::uint8_t>(text.size()));
  to.insert(to.end(), text.begin(), text.end());
}

// A page whose content follows from a number; 0 is the zero page.
inline Bytes page_of(std::uint64_t content) {
  Bytes bytes(kBlockBytes);
  std::uint64_t state = content * 0x9e3779b97f4a7c15;
  for (std::size_t i = 0; content != 0 && i < bytes.size(); i += 8) {
    store_be(bytes.data() + i, state);
    if (i % 64 == 0) state = state * 6364136223846793005 + content;
  }
  return bytes;
}

class MemoryStream {
 public:
  using Blocks = std::vector<std::pair<std::string, std::uint64_t>>;  // name, pages

  explicit MemoryStream(const Blocks& blocks) {
    add_be<std::uint32_t>(bytes, 0x5145564d);
    add_be<std::uint32_t>(bytes, 3);
    bytes.push_back(7);
    add_be<std::uint32_t>(bytes, 10);
    bytes.insert(bytes.end(), {'p', 'c', '-', 'q', '3', '5', '-', '7', '.', '2'});
    command(1, {});
    command(2, {0, 0, 0, 1});
    section(1);
    add_text(bytes, "ram");
    add_be<std::uint32_t>(bytes, 0);
    add_be<std::uint32_t>(bytes, 4);
    std::uint64_t total = 0;
    for (const auto& [name, pages] : blocks) total += pages * kBlockBytes;
    add_be<std::uint64_t>(bytes, total | 4);
    for (const auto& [name, pages] : blocks) {
      add_text(bytes, name);
      add_be<std::uint64_t>(bytes, pages * kBlockBytes);
    }
    end_section();
  }
  void command(std::uint16_t number, const Bytes& data) {
    bytes.push_back(8);
    add_be(bytes, number);
    add_be(bytes, static_cast<std::uint16_t>(data.size()));
    bytes.insert(bytes.end(), data.begin(), data.end());
  }
  void part() { section(2); }
  void last_part() { section(3); }
  void end_section() {
    add_be<std::uint64_t>(bytes, 0x10);
    bytes.push_back(0x7e);
    add_be<std::uint32_t>(bytes, kSection);
  }
  // Content 0 is a zero page.
  void page(const std::string& block, std::uint64_t number, std::uint64_t content) {
    page_bytes(block, number, content == 0 ? Bytes{} : page_of(content));
    last_[{block, number}] = content;
  }
  // Without a body: a zero page.
  void page_bytes(const std::string& block, std::uint64_t number, const Bytes& body) {
    const std::uint64_t flags = body.empty() ? kFlagZero : kFlagPage;
    const bool known = block == last_block_;
    add_be(bytes, number * kBlockBytes | flags | (known ? kFlagContinue : 0));
    if (!known) add_text(bytes, block);
    last_block_ = block;
    if (body.empty()) bytes.push_back(0);
    bytes.insert(bytes.end(), body.begin(), body.end());
  }
  void device_state(std::size_t size) {
    bytes.push_back(4);
    add_be<std::uint32_t>(bytes, 9);
    add_text(bytes, "cpu");
    for (std::size_t i = 0; i < size; ++i) bytes.push_back(static_cast<std::uint8_t>(i * 7));
    bytes.push_back(0);
  }

  // What was said last of a page.
  Bytes last_content(const std::pair<std::string, std::uint64_t>& page) const {
    return page_of(last_.at(page));
  }

  Bytes bytes;

 private:
  static constexpr std::uint32_t kSection = 2;
  void section(std::uint8_t type) {
    bytes.push_back(type);
    add_be<std::uint32_t>(bytes, kSection);
  }
  std::string last_block_;
  std::map<std::pair<std::string, std::uint64_t>, std::uint64_t> last_;
};

// What the other QEMU has after it read a stream: each page's content, and all bytes that are no
// page record, in order. Aborts on what QEMU would refuse.
struct ReceivedMemory {
  std::map<std::pair<std::string, std::uint64_t>, Bytes> pages;
  Bytes rest;
  std::size_t records = 0;

  explicit ReceivedMemory(std::span<const std::uint8_t> stream) : bytes_(stream) {
    keep(8);
    while (!bytes_.empty()) {
      const std::uint8_t type = bytes_[0];
      if (type == 7) {
        keep(5u + load_be<std::uint32_t>(bytes_.data() + 1));
      } else if (type == 8) {
        keep(5u + load_be<std::uint16_t>(bytes_.data() + 3));
      } else if (type == 1 && bytes_[5] == 3) {
        start();
      } else if (type == 2 || type == 3) {
        keep(5);
        records_until_end();
      } else if (type == 0x7e) {
        keep(5);
      } else {
        keep(bytes_.size());
      }
    }
  }

 private:
  void keep(std::size_t count) {
    DROVER_CHECK(count <= bytes_.size());
    rest.insert(rest.end(), bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(count));
    bytes_ = bytes_.subspan(count);
  }
  void start() {
    std::uint64_t left = load_be<std::uint64_t>(bytes_.data() + 17) - 4;
    for (keep(25); left > 0; keep(1u + bytes_[0] + 8u)) {
      left -= load_be<std::uint64_t>(bytes_.data() + 1 + bytes_[0]);
    }
    records_until_end();
  }
  void records_until_end() {
    while (true) {
      const std::uint64_t header = load_be<std::uint64_t>(bytes_.data());
      if ((header & 0x210) != 0) {
        keep(8);
        if ((header & 0x10) != 0) return;
        continue;
      }
      bytes_ = bytes_.subspan(8);
      if ((header & kFlagContinue) == 0) {
        block_.assign(bytes_.begin() + 1, bytes_.begin() + 1 + bytes_[0]);
        bytes_ = bytes_.subspan(1u + bytes_[0]);
      }
      const std::size_t size = (header & kFlagZero) != 0 ? 1 : kBlockBytes;
      DROVER_CHECK(!block_.empty() && bytes_.size() >= size);
      Bytes content(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(size));
      content.resize(kBlockBytes);
      pages[{block_, header / kBlockBytes}] = std::move(content);
      bytes_ = bytes_.subspan(size);
      ++records;
    }
  }

  std::span<const std::uint8_t> bytes_;
  std::string block_;
};

}  // namespace drover::content
