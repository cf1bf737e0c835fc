// SPDX-License-Identifier: Apache-2.0
#include "net/resolve.h"

#include <memory>

#include <netdb.h>
#include <sys/socket.h>

namespace drover::net {

Result<std::vector<std::string>> addresses_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw); code != 0) {
    return std::unexpected(Error{ErrorCode::kUnavailable,
                                 Retry::kLater,
                                 fmt::format("The name {} has no address.", host),
                                 {::gai_strerror(code)}});
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> list(raw, freeaddrinfo);
  std::vector<std::string> addresses;
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    char text[NI_MAXHOST];
    if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0,
                      NI_NUMERICHOST) != 0)
      return fail(ErrorCode::kSystem, "An address of {} cannot be written.", host);
    std::string address = text;
    if (address.starts_with("::ffff:") && address.find('.') != std::string::npos)
      address.erase(0, 7);
    addresses.push_back(std::move(address));
  }
  return addresses;
}

}  // namespace drover::net
