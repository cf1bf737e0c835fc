// SPDX-License-Identifier: Apache-2.0
#include "gate/migration_calls.h"

#include <bit>

#include "base/random.h"
#include "gate/xdr.h"

namespace drover::gate {
namespace {

ParamValue read_value(XdrReader& in, std::uint32_t type, bool& known) {
  switch (type) {
    case 1:
      return in.i32();
    case 2:
      return in.u32();
    case 3:
      return static_cast<std::int64_t>(in.u64());
    case 4:
      return in.u64();
    case 5:
      return std::bit_cast<double>(in.u64());
    case 6:
      return in.boolean();
    case 7:
      return in.bytes(kStringBytesMax);
    default:
      known = false;
      return 0;
  }
}

Result<std::vector<TypedParam>> read_params(XdrReader& in) {
  const std::uint32_t count = in.u32();
  if (count > kParamsMax) {
    return fail(ErrorCode::kProtocol, "A migration call has {} parameters; {} are the limit.",
                count, kParamsMax);
  }
  std::vector<TypedParam> params;
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    TypedParam param;
    param.field = in.bytes(kParamNameMax);
    const std::uint32_t type = in.u32();
    bool known = true;
    param.value = read_value(in, type, known);
    if (!known) {
      return fail(ErrorCode::kProtocol, "A migration parameter has the unknown type {}.", type);
    }
    params.push_back(std::move(param));
  }
  return params;
}

void write_params(XdrWriter& out, const std::vector<TypedParam>& params) {
  out.u32(static_cast<std::uint32_t>(params.size()));
  for (const TypedParam& param : params) {
    out.bytes(param.field);
    out.u32(static_cast<std::uint32_t>(param.value.index() + 1));
    std::visit(
        [&](const auto& value) {
          using Value = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<Value, std::int32_t>)
            out.i32(value);
          else if constexpr (std::is_same_v<Value, std::uint32_t>)
            out.u32(value);
          else if constexpr (std::is_same_v<Value, std::int64_t>)
            out.u64(static_cast<std::uint64_t>(value));
          else if constexpr (std::is_same_v<Value, std::uint64_t>)
            out.u64(value);
          else if constexpr (std::is_same_v<Value, double>)
            out.u64(std::bit_cast<std::uint64_t>(value));
          else if constexpr (std::is_same_v<Value, bool>)
            out.boolean(value);
          else
            out.bytes(value);
        },
        param.value);
  }
}

std::optional<std::string> read_optional(XdrReader& in) {
  if (!in.boolean()) return std::nullopt;
  return in.bytes(kStringBytesMax);
}

void write_optional(XdrWriter& out, const std::optional<std::string>& value) {
  out.boolean(value.has_value());
  if (value) out.bytes(*value);
}

std::unexpected<Error> malformed(const char* what) {
  return fail(ErrorCode::kProtocol, "The payload of {} is malformed.", what);
}

// remote_nonnull_network, without its presence flag.
void skip_network(XdrReader& in) {
  in.bytes(kStringBytesMax);
  in.fixed(16);
}

}  // namespace

Result<PrepareCall> decode_prepare_call(std::span<const std::uint8_t> payload) {
  XdrReader in(payload);
  PrepareCall call;
  ASSIGN_OR_RETURN(call.params, read_params(in));
  call.cookie = in.bytes(kCookieBytesMax);
  call.flags = in.u32();
  if (!in.finished()) return malformed("PREPARE");
  return call;
}

Result<FinishCall> decode_finish_call(std::span<const std::uint8_t> payload) {
  XdrReader in(payload);
  FinishCall call;
  ASSIGN_OR_RETURN(call.params, read_params(in));
  call.cookie = in.bytes(kCookieBytesMax);
  call.flags = in.u32();
  // libvirt tests it for "not zero"; more than 0 and 1 is never sent, and is refused.
  call.cancelled = in.boolean();
  if (!in.finished()) return malformed("FINISH");
  return call;
}

Result<PrepareReply> decode_prepare_reply(std::span<const std::uint8_t> payload) {
  XdrReader in(payload);
  PrepareReply reply;
  reply.cookie = in.bytes(kCookieBytesMax);
  reply.uri = read_optional(in);
  if (!in.finished()) return malformed("the reply to PREPARE");
  return reply;
}

Result<FinishReply> decode_finish_reply(std::span<const std::uint8_t> payload) {
  XdrReader in(payload);
  FinishReply reply;
  reply.name = in.bytes(kStringBytesMax);
  const std::string uuid = in.fixed(reply.uuid.size());
  if (in.ok()) std::copy(uuid.begin(), uuid.end(), reply.uuid.begin());
  reply.domain_id = in.i32();
  reply.cookie = in.bytes(kCookieBytesMax);
  if (!in.finished()) return malformed("the reply to FINISH");
  return reply;
}

Result<RpcError> decode_error(std::span<const std::uint8_t> payload) {
  XdrReader in(payload);
  RpcError error;
  error.code = in.i32();
  error.domain = in.i32();
  error.message = read_optional(in).value_or("");
  error.level = in.i32();
  if (in.boolean()) {  // domain
    skip_network(in);
    in.i32();
  }
  for (int i = 0; i < 3; ++i) read_optional(in);
  in.i32();
  in.i32();
  if (in.boolean()) skip_network(in);
  if (!in.finished()) return malformed("an error reply");
  return error;
}

Bytes encode(const PrepareCall& call) {
  XdrWriter out;
  write_params(out, call.params);
  out.bytes(call.cookie);
  out.u32(call.flags);
  return out.take();
}

Bytes encode(const FinishCall& call) {
  XdrWriter out;
  write_params(out, call.params);
  out.bytes(call.cookie);
  out.u32(call.flags);
  out.boolean(call.cancelled);
  return out.take();
}

Bytes encode(const PrepareReply& reply) {
  XdrWriter out;
  out.bytes(reply.cookie);
  write_optional(out, reply.uri);
  return out.take();
}

Bytes encode(const FinishReply& reply) {
  XdrWriter out;
  out.bytes(reply.name);
  out.fixed({reinterpret_cast<const char*>(reply.uuid.data()), reply.uuid.size()});
  out.i32(reply.domain_id);
  out.bytes(reply.cookie);
  return out.take();
}

Bytes encode(const RpcError& error) {
  XdrWriter out;
  out.i32(error.code);
  out.i32(error.domain);
  write_optional(out, error.message);
  out.i32(error.level);
  out.boolean(false);                  // domain
  write_optional(out, error.message);  // str1: libvirt puts the text here, too
  for (int i = 0; i < 2; ++i) out.boolean(false);
  out.i32(0);
  out.i32(0);
  out.boolean(false);  // network
  return out.take();
}

RpcPacket make_reply(const RpcHeader& call, std::span<const std::uint8_t> payload) {
  RpcHeader header = call;
  header.type = RpcType::kReply;
  header.status = RpcStatus::kOk;
  return make_packet(header, payload);
}

RpcPacket make_error_reply(const RpcHeader& call, const RpcError& error) {
  RpcHeader header = call;
  header.type = RpcType::kReply;
  header.status = RpcStatus::kError;
  return make_packet(header, encode(error));
}

std::string uuid_text(const RawUuid& uuid) {
  std::string text = to_hex(uuid);
  for (const std::size_t at : {20u, 16u, 12u, 8u}) text.insert(at, "-");
  return text;
}

Result<RawUuid> parse_uuid(std::string_view text) {
  std::string hex;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash_place = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash_place != (text[i] == '-')) hex = "?";
    if (!dash_place) hex += text[i];
  }
  const auto bytes = from_hex(hex);
  RawUuid uuid{};
  if (text.size() != 36 || !bytes || bytes->size() != uuid.size()) {
    return fail(ErrorCode::kInvalidArgument, "'{}' is not a UUID.", text);
  }
  std::copy(bytes->begin(), bytes->end(), uuid.begin());
  return uuid;
}

}  // namespace drover::gate
