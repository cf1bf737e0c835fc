// SPDX-License-Identifier: Apache-2.0
#include "net/http/http_client.h"

#include <httplib.h>
#include <unistd.h>

#include "base/percent.h"

namespace drover::net {
namespace {

constexpr std::size_t kReplyBytesMax = 64 * 1024 * 1024;

}  // namespace

std::string encode_part(std::string_view text) { return percent_encoded(text, Slash::kLetter); }

std::string encode_query(const Pairs& query) {
  std::string out;
  for (const auto& [name, value] : query) {
    out += fmt::format("{}{}={}", out.empty() ? "?" : "&", encode_part(name), encode_part(value));
  }
  return out;
}

// The library's client on a stream that is connected already.
class HttpClient::Writer : public httplib::ClientImpl {
 public:
  explicit Writer(std::unique_ptr<ByteStream> stream)
      : ClientImpl("localhost"), stream_(std::move(stream)) {
    set_keep_alive(true);
    set_decompress(false);
  }
  // The base class would close the library's copy of the socket only after our virtual functions
  // are gone.
  ~Writer() override { stop(); }

  ByteStream& bytes() { return *stream_; }
  bool usable() const { return !broken_; }

  Result<HttpReply> run(const HttpCall& call, std::chrono::milliseconds silence,
                        const OnBytes* on_bytes) {
    deadline_ = call.deadline;
    silence_ = silence;
    read_left_ = kReplyBytesMax;
    fault_.reset();
    httplib::Request request;
    request.method = call.method;
    request.path = call.target;
    request.body = call.body;
    request.headers.emplace("Accept-Encoding", "identity");
    if (!call.body.empty()) request.headers.emplace("Content-Type", "application/json");
    for (const auto& [name, value] : call.headers) request.headers.emplace(name, value);
    std::string refusal;
    bool enough = false;
    int status = 0;
    if (on_bytes != nullptr) {
      request.response_handler = [&](const httplib::Response& response) {
        status = response.status;
        streaming_ = status == 200;
        return true;
      };
      request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t,
                                     std::uint64_t) {
        if (!streaming_)
          refusal.append(data, size);
        else if (!(*on_bytes)({data, size}))
          enough = true;
        return !enough;
      };
    }
    httplib::Response response;
    httplib::Error error = httplib::Error::Success;
    const bool sent = send(request, response, error);
    streaming_ = false;
    if (enough) {
      broken_ = true;
      return fail(ErrorCode::kCancelled, "The stream was left.");
    }
    if (!sent) return give_up(error);
    if (response.get_header_value("Connection") == "close") broken_ = true;
    return HttpReply{response.status,
                     on_bytes == nullptr ? std::move(response.body) : std::move(refusal)};
  }

 private:
  class Adapter final : public httplib::Stream {
   public:
    explicit Adapter(Writer& writer) : writer_(writer) {}
    bool is_readable() const override { return true; }
    bool is_writable() const override { return true; }
    ssize_t read(char* to, std::size_t size) override { return writer_.read(to, size); }
    ssize_t write(const char* from, std::size_t size) override { return writer_.write(from, size); }
    void get_remote_ip_and_port(std::string&, int&) const override {}
    void get_local_ip_and_port(std::string&, int&) const override {}
    socket_t socket() const override { return 0; }

   private:
    Writer& writer_;
  };

  std::unexpected<Error> give_up(httplib::Error error) {
    broken_ = true;
    if (fault_ && fault_->code == ErrorCode::kTimeout) {
      return fail(ErrorCode::kTimeout, "The answer did not come in time.");
    }
    Error out{ErrorCode::kUnavailable,
              Retry::kLater,
              "The connection broke before the answer was complete.",
              {}};
    out.causes.push_back(fault_ ? fault_->text() : httplib::to_string(error));
    return std::unexpected(std::move(out));
  }

  // The library reads heads byte by byte; hand them out of a buffer.
  ssize_t read(char* to, std::size_t size) {
    if (at_ == buffer_.size()) {
      buffer_.resize(8192);
      at_ = 0;
      const Deadline until = streaming_ ? Deadline::after(silence_) : deadline_;
      auto n = stream_->read(buffer_, until);
      buffer_.resize(n.value_or(0));
      if (!n) fault_ = std::move(n).error();
      if (buffer_.empty()) return -1;
    }
    const std::size_t n = std::min(size, buffer_.size() - at_);
    if (!streaming_ && n > read_left_) return -1;
    read_left_ -= streaming_ ? 0 : n;
    std::copy_n(buffer_.data() + at_, n, to);
    at_ += n;
    return static_cast<ssize_t>(n);
  }

  ssize_t write(const char* from, std::size_t size) {
    auto status = stream_->write({from, size}, deadline_);
    if (status) return static_cast<ssize_t>(size);
    fault_ = std::move(status).error();
    return -1;
  }

  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override {
    // Asked again: the library found the connection dead.
    error = httplib::Error::Connection;
    if (broken_ || connected_) return false;
    connected_ = true;
    socket.sock = ::dup(stream_->descriptor());  // the library closes its own
    return socket.sock >= 0;
  }
  bool process_socket(const Socket&, std::function<bool(httplib::Stream&)> callback) override {
    Adapter adapter(*this);
    return callback(adapter);
  }

  std::unique_ptr<ByteStream> stream_;
  bool connected_ = false;
  bool broken_ = false;
  bool streaming_ = false;
  Deadline deadline_ = Deadline::never();
  std::chrono::milliseconds silence_{0};
  std::size_t read_left_ = 0;
  std::string buffer_;
  std::size_t at_ = 0;
  std::optional<Error> fault_;
};

HttpClient::HttpClient(std::unique_ptr<ByteStream> stream)
    : writer_(std::make_unique<Writer>(std::move(stream))) {}
HttpClient::~HttpClient() = default;

Result<HttpReply> HttpClient::call(const HttpCall& call) {
  return writer_->run(call, std::chrono::milliseconds(0), nullptr);
}

Result<HttpReply> HttpClient::stream(const HttpCall& call, std::chrono::milliseconds silence,
                                     const OnBytes& on_bytes) {
  return writer_->run(call, silence, &on_bytes);
}

bool HttpClient::usable() const { return writer_->usable(); }
void HttpClient::shut_down() { writer_->bytes().shut_down(); }
ByteStream& HttpClient::bytes() { return writer_->bytes(); }

}  // namespace drover::net
