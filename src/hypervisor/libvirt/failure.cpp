// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/libvirt/failure.h"

#include <utility>

namespace drover::libvirt {
namespace {

struct Meaning {
  ErrorCode code;
  Retry retry;
};

Meaning meaning_of(int code, int domain) {
  switch (code) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_NETWORK:
    case VIR_ERR_NO_STORAGE_POOL:
    case VIR_ERR_NO_STORAGE_VOL:
    case VIR_ERR_NO_SECRET:
      return {ErrorCode::kNotFound, Retry::kNever};
    case VIR_ERR_DOM_EXIST:
    case VIR_ERR_OPERATION_INVALID:
    case VIR_ERR_RESOURCE_BUSY:
      return {ErrorCode::kConflict, Retry::kNever};
    case VIR_ERR_INVALID_ARG:
    case VIR_ERR_XML_ERROR:
    case VIR_ERR_XML_DETAIL:
    case VIR_ERR_XML_INVALID_SCHEMA:
      return {ErrorCode::kInvalidArgument, Retry::kNever};
    case VIR_ERR_OPERATION_TIMEOUT:
      return {ErrorCode::kTimeout, Retry::kLater};
    case VIR_ERR_OPERATION_ABORTED:
      return {ErrorCode::kCancelled, Retry::kNever};
    case VIR_ERR_AUTH_FAILED:
    case VIR_ERR_AUTH_CANCELLED:
    case VIR_ERR_AUTH_UNAVAILABLE:
    case VIR_ERR_ACCESS_DENIED:
    case VIR_ERR_OPERATION_DENIED:
      return {ErrorCode::kPermission, Retry::kNever};
    case VIR_ERR_NO_CONNECT:
    case VIR_ERR_INVALID_CONN:
    case VIR_ERR_RPC:
      return {ErrorCode::kUnavailable, Retry::kLater};
    case VIR_ERR_SYSTEM_ERROR:
    case VIR_ERR_INTERNAL_ERROR:
      // A connection that was cut or cannot be made reports these out of the RPC layer itself.
      if (domain == VIR_FROM_RPC || domain == VIR_FROM_REMOTE)
        return {ErrorCode::kUnavailable, Retry::kLater};
      return {ErrorCode::kHypervisor, Retry::kNever};
    default:
      return {ErrorCode::kHypervisor, Retry::kNever};
  }
}

}  // namespace

std::unexpected<Error> fail_libvirt(std::string what) {
  const virErrorPtr last = virGetLastError();
  Error error{ErrorCode::kHypervisor, Retry::kNever, std::move(what) + ".", {}};
  if (last == nullptr || last->code == VIR_ERR_OK) {
    error.causes.emplace_back("libvirt gave no reason");
    return std::unexpected(std::move(error));
  }
  const auto meaning = meaning_of(last->code, last->domain);
  error.code = meaning.code;
  error.retry = meaning.retry;
  error.causes.push_back(fmt::format("libvirt error {} of domain {}: {}", last->code, last->domain,
                                     last->message != nullptr ? last->message : "no text"));
  return std::unexpected(std::move(error));
}

int last_error_code() { return virGetLastErrorCode(); }

void silence_stderr() {
  virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
}

}  // namespace drover::libvirt
