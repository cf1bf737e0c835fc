// SPDX-License-Identifier: Apache-2.0
// XDR (RFC 4506) as libvirt's RPC uses it: big-endian, 4-byte units. XdrReader reads bytes that
// come from another host: it never throws, never reads past its end, and after the first fault
// every further read gives zero or nothing. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace drover::gate {

class XdrReader {
 public:
  // The bytes must outlive the reader.
  explicit XdrReader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  std::uint32_t u32();
  std::int32_t i32() { return static_cast<std::int32_t>(u32()); }
  std::uint64_t u64();
  // 0 or 1; all else is a fault.
  bool boolean();
  // Length, bytes, zero padding; a length above `bytes_max` is a fault found before any copy.
  std::string bytes(std::size_t bytes_max);
  // Without a length.
  std::string fixed(std::size_t size);

  bool ok() const { return ok_; }
  // All was well and nothing is left over.
  bool finished() const { return ok_ && rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

 private:
  std::span<const std::uint8_t> take(std::size_t size);

  std::span<const std::uint8_t> rest_;
  bool ok_ = true;
};

class XdrWriter {
 public:
  void u32(std::uint32_t value);
  void i32(std::int32_t value) { u32(static_cast<std::uint32_t>(value)); }
  void u64(std::uint64_t value);
  void boolean(bool value) { u32(value ? 1 : 0); }
  void bytes(std::string_view value);
  void fixed(std::string_view value);

  const std::vector<std::uint8_t>& out() const { return out_; }
  std::vector<std::uint8_t> take() { return std::move(out_); }

 private:
  void pad();

  std::vector<std::uint8_t> out_;
};

}  // namespace drover::gate
