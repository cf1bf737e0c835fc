// SPDX-License-Identifier: Apache-2.0
// Any bytes on a connection: our reader and the HTTP library behind it neither crash nor hang nor
// read without bound.
#include <cstdint>
#include <cstring>

#include "net/http/http_engine.h"

namespace {

using namespace drover;
using namespace drover::net;

// Gives the input in small pieces, then ends; drops what is written.
class Input final : public ByteStream {
 public:
  explicit Input(std::string_view bytes) : rest_(bytes) {}
  Result<std::size_t> read(std::span<char> into, Deadline) override {
    const std::size_t n = std::min({into.size(), rest_.size(), std::size_t{97}});
    std::memcpy(into.data(), rest_.data(), n);
    rest_.remove_prefix(n);
    return n;
  }
  Status write(std::string_view, Deadline) override { return {}; }
  int descriptor() const override { return -1; }

 private:
  std::string_view rest_;
};

class Handler final : public HttpHandler {
 public:
  std::optional<HttpAnswer> refuse(const HttpRequest& head) override {
    if (head.path == "/no") return HttpAnswer{403, "no", nullptr};
    return std::nullopt;
  }
  HttpAnswer answer(const HttpRequest& request) override {
    return {200, request.path + request.body, nullptr};
  }
  HttpAnswer bad_request(int status, std::string_view sentence) override {
    return {status, std::string(sentence), nullptr};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static Handler handler;
  static HttpEngine engine(handler);
  Input input({reinterpret_cast<const char*>(bytes), size});
  std::atomic<bool> trusted = false;
  engine.serve(input, Origin{}, {}, trusted);
  return 0;
}
