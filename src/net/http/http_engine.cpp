// SPDX-License-Identifier: Apache-2.0
#include "net/http/http_engine.h"

#include <httplib.h>

#include "base/log.h"

namespace drover::net {
namespace {

bool takes_body(const std::string& method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

// What the library's callbacks need to know of the connection they run for: they run on its thread.
struct Serving {
  HttpHandler& handler;
  const Origin& origin;
  std::atomic<bool>& trusted;
  HttpRequest head;
  std::optional<HttpAnswer> refusal;
};
thread_local Serving* serving = nullptr;

class ReaderStream final : public httplib::Stream {
 public:
  explicit ReaderStream(RequestReader& reader) : reader_(reader) {}
  bool is_readable() const override { return true; }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, std::size_t size) override {
    return static_cast<ssize_t>(reader_.read(std::span(to, size)));
  }
  ssize_t write(const char* from, std::size_t size) override {
    if (!reader_.write(std::string_view(from, size))) return -1;
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  // The library compares it with FD_SETSIZE and otherwise leaves it alone.
  socket_t socket() const override { return 0; }

 private:
  RequestReader& reader_;
};

std::optional<std::string> header(const httplib::Request& request, const char* name) {
  if (!request.has_header(name)) return std::nullopt;
  return request.get_header_value(name);
}

HttpRequest head_of(const httplib::Request& request, const Origin& origin) {
  HttpRequest head{request.method,
                   request.path,
                   {},
                   {},
                   header(request, "Authorization"),
                   header(request, "Content-Type"),
                   header(request, "Drover-User"),
                   origin};
  for (const auto& [name, value] : request.params) head.query.emplace_back(name, value);
  return head;
}

// What no handler should have to think of.
std::optional<HttpAnswer> refuse_by_form(const httplib::Request& request, HttpHandler& handler) {
  for (const char* name :
       {"Authorization", "Content-Type", "Drover-User", "Content-Length", "Host"}) {
    if (request.get_header_value_count(name) > 1) {
      return handler.bad_request(400, fmt::format("The header {} is there more than once.", name));
    }
  }
  // Its library side has no size limit, and no client of ours needs it.
  if (request.has_header("Transfer-Encoding") || request.has_header("Content-Encoding")) {
    return handler.bad_request(400, "Send the body as it is, with a Content-Length.");
  }
  const std::string length = request.get_header_value("Content-Length");
  if (length.find_first_not_of("0123456789") != std::string::npos) {
    return handler.bad_request(400, "The Content-Length is no number.");
  }
  if (length.size() > 9 || (!length.empty() && std::stoul(length) > kBodyBytesMax)) {
    return handler.bad_request(413,
                               fmt::format("The body is larger than {} bytes.", kBodyBytesMax));
  }
  const bool has_body = !length.empty() && std::stoul(length) > 0;
  if (has_body && !takes_body(request.method)) {
    return handler.bad_request(400, fmt::format("A {} request has no body.", request.method));
  }
  if (has_body && !request.get_header_value("Content-Type").starts_with("application/json")) {
    return handler.bad_request(400, "The body must be JSON: send Content-Type: application/json.");
  }
  return std::nullopt;
}

void fill(httplib::Response& response, HttpAnswer&& answer) {
  response.status = answer.status;
  if (!answer.stream) {
    response.set_content(answer.body, "application/json");
    return;
  }
  response.set_chunked_content_provider(
      "text/event-stream", [run = std::move(answer.stream)](std::size_t, httplib::DataSink& sink) {
        bool alive = true;
        run([&](std::string_view bytes) {
          if (alive && !bytes.empty()) alive = sink.write(bytes.data(), bytes.size());
          return alive;
        });
        if (alive) sink.done();
        return alive;
      });
}

}  // namespace

class HttpEngine::Parser : public httplib::Server {
 public:
  explicit Parser(HttpHandler& handler) : handler_(handler) {
    svr_sock_ = 0;  // no socket of its own; the library takes an invalid one for "stopping"
    set_default_headers({{"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
    // Only what answers say of it; RequestReader::Limits is what holds.
    set_keep_alive_timeout(10);
    set_keep_alive_max_count(1000);
    set_payload_max_length(kBodyBytesMax);
    set_pre_routing_handler([](const httplib::Request& request, httplib::Response& response) {
      if (serving->refusal) {
        fill(response, std::move(*serving->refusal));
        return HandlerResponse::Handled;
      }
      if (takes_body(request.method)) return HandlerResponse::Unhandled;
      fill(response, serving->handler.answer(serving->head));
      return HandlerResponse::Handled;
    });
    // Only these have a body, and the library reads it on its way to a handler. The pattern matches
    // at once: routes are ours, and std::regex is no parser for strangers' paths.
    const auto with_body = [](const httplib::Request& request, httplib::Response& response) {
      serving->head.body = request.body;
      fill(response, serving->handler.answer(serving->head));
    };
    Post(".*", with_body);
    Put(".*", with_body);
    Patch(".*", with_body);
    set_exception_handler([](const httplib::Request& request, httplib::Response& response,
                             std::exception_ptr fault) {
      std::string text = "unknown exception";
      try {
        std::rethrow_exception(fault);
      } catch (const std::exception& error) {
        text = error.what();
      } catch (...) {
      }
      log::error("{} {} failed inside droverd: {}", request.method, request.path, text);
      fill(response,
           serving->handler.bad_request(500, "droverd failed at this request; its log says more."));
    });
  }

  bool one(ReaderStream& stream, bool last, bool& closed) {
    return process_request(stream, last, closed, [](httplib::Request& request) { admit(request); });
  }
  void end() { svr_sock_ = INVALID_SOCKET; }
  bool ending() const { return svr_sock_ == INVALID_SOCKET; }
  HttpHandler& handler() { return handler_; }

 private:
  static void admit(httplib::Request& request) {
    request.headers.erase(
        "Accept-Encoding");  // compressing secrets beside strangers' words is a known leak
    if (request.path.size() > 1024) request.path.resize(1024);
    serving->head = head_of(request, serving->origin);
    serving->refusal = refuse_by_form(request, serving->handler);
    if (!serving->refusal) serving->refusal = serving->handler.refuse(serving->head);
    if (!serving->refusal) {
      serving->trusted = true;
      return;
    }
    // The body stays unread, so this connection cannot go on.
    request.headers.erase("Connection");
    request.headers.emplace("Connection", "close");
    request.headers.erase("Expect");
  }

  HttpHandler& handler_;
};

namespace {

void write_plainly(RequestReader& reader, const HttpAnswer& answer) {
  static_cast<void>(reader.write(
      fmt::format("HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nConnection: close\r\n"
                  "Content-Length: {}\r\n\r\n{}",
                  answer.status, "Bad Request", answer.body.size(), answer.body)));
}

}  // namespace

HttpEngine::HttpEngine(HttpHandler& handler) : parser_(std::make_unique<Parser>(handler)) {}
HttpEngine::~HttpEngine() = default;
void HttpEngine::stop() { parser_->end(); }

void HttpEngine::serve(ByteStream& stream, const Origin& origin,
                       const RequestReader::Limits& limits, std::atomic<bool>& trusted) {
  RequestReader reader(stream, limits);
  ReaderStream adapter(reader);
  HttpHandler& handler = parser_->handler();
  while (!parser_->ending()) {
    switch (reader.next()) {
      case RequestReader::Head::kReady:
        break;
      case RequestReader::Head::kClosed:
        return;
      case RequestReader::Head::kNonsense:
        return write_plainly(reader, handler.bad_request(400, "This is not an HTTP/1.1 request."));
      case RequestReader::Head::kTooLarge:
        return write_plainly(reader, handler.bad_request(431, "The request's head is too large."));
      case RequestReader::Head::kRange:
        return write_plainly(reader, handler.bad_request(400, "Range requests are not supported."));
    }
    Serving now{handler, origin, trusted, {}, {}};
    serving = &now;
    bool closed = false;
    const bool fine = parser_->one(adapter, parser_->ending(), closed);
    serving = nullptr;
    if (!fine || closed || now.refusal) return;
  }
}

}  // namespace drover::net
