// SPDX-License-Identifier: Apache-2.0
// The two calls that make a migration, their replies, and RPC errors (libvirt's remote_protocol.x).
// Decoders take payloads from elsewhere and never throw; limits are libvirt's own.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "gate/rpc_message.h"

namespace drover::gate {

inline constexpr std::size_t kParamsMax = 64;            // REMOTE_DOMAIN_MIGRATE_PARAM_LIST_MAX
inline constexpr std::size_t kParamNameMax = 79;         // VIR_TYPED_PARAM_FIELD_LENGTH - 1
inline constexpr std::size_t kStringBytesMax = 4194304;  // REMOTE_STRING_MAX
inline constexpr std::size_t kCookieBytesMax = 4194304;  // REMOTE_MIGRATE_COOKIE_MAX

// In the order of VIR_TYPED_PARAM_*: INT is 1, so the type on the wire is index() + 1.
using ParamValue = std::variant<std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, double,
                                bool, std::string>;

struct TypedParam {
  std::string field;
  ParamValue value;
  bool operator==(const TypedParam&) const = default;
};

struct PrepareCall {  // DOMAIN_MIGRATE_PREPARE3_PARAMS, 303
  std::vector<TypedParam> params;
  std::string cookie;  // NUL-terminated XML, or empty
  std::uint32_t flags = 0;
  bool operator==(const PrepareCall&) const = default;
};

struct FinishCall {  // DOMAIN_MIGRATE_FINISH3_PARAMS, 306
  std::vector<TypedParam> params;
  std::string cookie;
  std::uint32_t flags = 0;
  bool cancelled = false;
  bool operator==(const FinishCall&) const = default;
};

struct PrepareReply {
  std::string cookie;
  std::optional<std::string> uri;
  bool operator==(const PrepareReply&) const = default;
};

using RawUuid = std::array<std::uint8_t, 16>;

struct FinishReply {
  std::string name;
  RawUuid uuid{};
  std::int32_t domain_id = -1;
  std::string cookie;
  bool operator==(const FinishReply&) const = default;
};

struct RpcError {
  std::int32_t code = 0;    // VIR_ERR_*
  std::int32_t domain = 0;  // VIR_FROM_*
  std::string message;
  std::int32_t level = 2;  // VIR_ERR_ERROR
  bool operator==(const RpcError&) const = default;
};

inline constexpr std::int32_t kErrOperationFailed = 9;
inline constexpr std::int32_t kErrAccessDenied = 88;
inline constexpr std::int32_t kFromRpc = 7;

Result<PrepareCall> decode_prepare_call(std::span<const std::uint8_t> payload);
Result<FinishCall> decode_finish_call(std::span<const std::uint8_t> payload);
Result<PrepareReply> decode_prepare_reply(std::span<const std::uint8_t> payload);
Result<FinishReply> decode_finish_reply(std::span<const std::uint8_t> payload);
// Code, domain, message and level; the rest is checked for form and dropped.
Result<RpcError> decode_error(std::span<const std::uint8_t> payload);

Bytes encode(const PrepareCall& call);
Bytes encode(const FinishCall& call);
Bytes encode(const PrepareReply& reply);
Bytes encode(const FinishReply& reply);
Bytes encode(const RpcError& error);

// A reply to the call that `call` heads.
RpcPacket make_reply(const RpcHeader& call, std::span<const std::uint8_t> payload);
RpcPacket make_error_reply(const RpcHeader& call, const RpcError& error);

// "01234567-89ab-…" and back; kInvalidArgument for other forms.
std::string uuid_text(const RawUuid& uuid);
Result<RawUuid> parse_uuid(std::string_view text);

}  // namespace drover::gate
