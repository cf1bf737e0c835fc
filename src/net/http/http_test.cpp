// SPDX-License-Identifier: Apache-2.0
// The server and the client against each other and against raw bytes, on real sockets.
#include <gtest/gtest.h>

#include "base/random.h"
#include "net/http/http_client.h"
#include "net/http/http_server.h"
#include "net/unix_socket.h"

namespace drover::net {
namespace {

using namespace std::chrono_literals;

// Echoes; refuses paths that begin with /no before their body is read.
class Echo final : public HttpHandler {
 public:
  std::optional<HttpAnswer> refuse(const HttpRequest& head) override {
    if (head.path.starts_with("/no")) return HttpAnswer{403, "no", nullptr};
    return std::nullopt;
  }
  HttpAnswer answer(const HttpRequest& request) override {
    if (request.path == "/throw") throw std::runtime_error("on purpose");
    if (request.path == "/stream") {
      return {200, "", [](const StreamWrite& write) {
                for (int i = 0; i < 3 && write(fmt::format("data: {}\n\n", i)); ++i) {
                }
              }};
    }
    std::string text = request.method + " " + request.path;
    for (const auto& [name, value] : request.query) text += " " + name + "=" + value;
    if (request.origin.local) text += fmt::format(" uid={}", request.origin.uid == ::getuid());
    return {200, text + " " + request.body, nullptr};
  }
  HttpAnswer bad_request(int status, std::string_view sentence) override {
    return {status, std::string(sentence), nullptr};
  }
};

class HttpTest : public ::testing::Test {
 protected:
  void SetUp() override {
    HttpServer::Limits limits;
    limits.connections = 8;
    limits.strangers = 4;
    limits.handshake = 500ms;
    limits.requests = {400ms, 400ms, 400ms, 2s};
    server_ = std::make_unique<HttpServer>(echo_, limits);
    server_->listen_local(*listen_unix(path_, SocketKind::kStream, 0600));
    auto tcp = *listen_tcp({"127.0.0.1", 0});
    tcp_ = *local_address(tcp.get());
    server_->listen_tls(std::move(tcp), std::make_shared<TlsServerContext>(identity_, nullptr));
    ASSERT_TRUE(server_->start());
  }
  void TearDown() override {
    server_->stop();
    std::filesystem::remove(path_);
  }
  UniqueFd dial() { return *connect_unix(path_, SocketKind::kStream, Deadline::after(2s)); }
  HttpClient client() { return HttpClient(plain_stream(dial())); }
  Result<std::unique_ptr<TlsStream>> tls() {
    return TlsClientContext(nullptr).connect(*dial_tcp(tcp_, Deadline::after(2s)),
                                             identity_.public_key(), Deadline::after(2s));
  }
  // What the server says to these bytes until it closes.
  static std::string say(UniqueFd fd, std::string_view bytes) {
    const auto stream = plain_stream(std::move(fd));
    static_cast<void>(stream->write(bytes, Deadline::after(2s)));
    std::string heard;
    char buffer[4096];
    while (true) {
      const auto n = stream->read(buffer, Deadline::after(5s));
      if (!n || *n == 0) return n ? heard : heard + "(no end)";
      heard.append(buffer, *n);
    }
  }
  static HttpCall get(std::string target) {
    return {"GET", std::move(target), "", {}, Deadline::after(2s)};
  }

  const std::filesystem::path path_ =
      std::filesystem::temp_directory_path() / ("drover-" + random_name(8));
  const HostIdentity identity_ = *HostIdentity::make();
  Address tcp_;
  Echo echo_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpTest, ServesSeveralRequestsOnOneConnection) {
  HttpClient http = client();
  for (int i = 0; i < 20; ++i) {
    const auto reply = http.call(get("/a%20b?x=1%262"));
    ASSERT_TRUE(reply) << reply.error().text();
    EXPECT_EQ(reply->body, "GET /a b x=1&2 uid=true ");
  }
  for (const std::string method : {"POST", "PUT", "PATCH"}) {
    const auto reply = http.call({method, "/p", "{}", {}, Deadline::after(2s)});
    ASSERT_TRUE(reply) << reply.error().text();
    EXPECT_EQ(reply->body, method + " /p uid=true {}");
  }
}

TEST_F(HttpTest, ServesTlsToo) {
  auto stream = tls();
  ASSERT_TRUE(stream) << stream.error().text();
  HttpClient http(std::move(*stream));
  const std::string large(1'000'000, ' ');
  EXPECT_EQ(http.call({"POST", "/p", large, {}, Deadline::after(5s)})->body, "POST /p " + large);
  EXPECT_EQ(http.call(get("/q"))->body, "GET /q ");
}

TEST_F(HttpTest, StreamsUntilEitherSideEnds) {
  std::string heard;
  const auto whole = client().stream(get("/stream"), 2s, [&](std::string_view bytes) {
    heard += bytes;
    return true;
  });
  ASSERT_TRUE(whole) << whole.error().text();
  EXPECT_EQ(heard, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
  const auto left = client().stream(get("/stream"), 2s, [](std::string_view) { return false; });
  EXPECT_EQ(left.error().code, ErrorCode::kCancelled);
  const auto refused = client().stream(get("/no"), 2s, [](std::string_view) { return true; });
  EXPECT_EQ(refused->status, 403);
  EXPECT_EQ(refused->body, "no");
}

TEST_F(HttpTest, RefusesBeforeReadingTheBodyAndCloses) {
  const std::string heard = say(dial(),
                                "POST /no HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                "Content-Length: 1000000\r\n\r\n");
  EXPECT_TRUE(heard.starts_with("HTTP/1.1 403")) << heard;
  EXPECT_EQ(heard.find("(no end)"), std::string::npos);
}

TEST_F(HttpTest, AnswersNonsenseAndCloses) {
  EXPECT_TRUE(say(dial(), "hello\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(say(dial(), "HELLO\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(say(dial(), std::string("\0\1\2\3\xff", 5)).starts_with("HTTP/1.1 400"));
  EXPECT_TRUE(say(dial(), "GET /" + std::string(60'000, 'a')).starts_with("HTTP/1.1 431"));
  EXPECT_TRUE(
      say(dial(), "GET / HTTP/1.1\r\nRaNge: bytes=0-1\r\n\r\n").starts_with("HTTP/1.1 400"));
  EXPECT_EQ(client().call(get("/still-there"))->status, 200);
}

TEST_F(HttpTest, RefusesBodiesItWouldHaveToGuessAt) {
  const auto status = [&](std::string_view head, std::string_view body = "") {
    const std::string heard =
        say(dial(), fmt::format("POST /p HTTP/1.1\r\nHost: x\r\n{}\r\n\r\n{}", head, body));
    return heard.size() > 12 ? heard.substr(9, 3) : heard;
  };
  EXPECT_EQ(status("Content-Type: application/json\r\nContent-Length: 4194305"), "413");
  EXPECT_EQ(status("Content-Type: application/json\r\nContent-Length: 99999999999999999999"),
            "413");
  EXPECT_EQ(status("Content-Type: application/json\r\nContent-Length: -1"), "400");
  EXPECT_EQ(
      status("Content-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 3", "{}"),
      "400");
  EXPECT_EQ(status("Content-Type: application/json\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            "400");
  EXPECT_EQ(
      status("Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 2", "{}"),
      "400");
  EXPECT_EQ(status("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3", "a=b"),
            "400");
  EXPECT_EQ(status("Drover-User: a\r\nDrover-User: b"), "400");
}

TEST_F(HttpTest, SlowHeadsBodiesAndSilenceEnd) {
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_EQ(say(dial(), ""), "");
  EXPECT_EQ(say(dial(), "GET / HTTP/1.1\r\nHost:"), "");
  const auto body = say(
      dial(),
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{");
  EXPECT_EQ(body.find("HTTP/1.1 200"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 4s);
}

TEST_F(HttpTest, ExceptionsOfHandlersBecomeAnswers) {
  EXPECT_EQ(client().call(get("/throw"))->status, 500);
}

TEST_F(HttpTest, StrangersMakeRoomForEachOther) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(*dial_tcp(tcp_, Deadline::after(2s)));
  auto stream = tls();
  ASSERT_TRUE(stream) << stream.error().text();
  EXPECT_EQ(HttpClient(std::move(*stream)).call(get("/q"))->status, 200);
  EXPECT_EQ(client().call(get("/local"))->status, 200);
}

TEST_F(HttpTest, StopsWithConnectionsOpen) {
  HttpClient http = client();
  ASSERT_TRUE(http.call(get("/a")));
  const UniqueFd silent = *dial_tcp(tcp_, Deadline::after(2s));
  server_->stop();
  EXPECT_FALSE(http.call(get("/a")));
  EXPECT_FALSE(http.usable());
}

TEST_F(HttpTest, LateAnswersAreTimeouts) {
  auto pair = *socket_pair(SocketKind::kStream);
  HttpClient http(plain_stream(std::move(pair.first)));
  EXPECT_EQ(http.call({"GET", "/", "", {}, Deadline::after(30ms)}).error().code,
            ErrorCode::kTimeout);
}

}  // namespace
}  // namespace drover::net
