// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "api/test_host.h"

namespace drover::api {
namespace {

using namespace std::chrono_literals;
using News = EventHub::MoveNews;

Move move_in(MoveState state, int percent = 0) {
  Move move = FakeBackend::make_move("x");
  move.state = state;
  move.progress.percent = percent;
  return move;
}

TEST(EventStream, FollowsAMoveToItsEnd) {
  TestHost host("host1");
  host.backend.put(move_in(MoveState::kRunning));
  std::string seen;
  const auto status = host.local().follow_move("m1", [&](std::string_view event, const Move& move) {
    seen += fmt::format("{} {} {};", event, move_state_name(move.state), move.progress.percent);
    if (move.progress.percent == 0)
      host.hub->publish_move(News::kProgress, move_in(MoveState::kRunning, 50));
    if (move.progress.percent == 50)
      host.hub->publish_move(News::kState, move_in(MoveState::kDone, 100));
    return true;
  });
  EXPECT_TRUE(status) << status.error().text();
  EXPECT_EQ(seen, "state running 0;progress running 50;state done 100;");
}

TEST(EventStream, OfAMoveThatHasEndedIsOneEvent) {
  TestHost host("host1");
  host.backend.put(move_in(MoveState::kFailed));
  int events = 0;
  EXPECT_TRUE(
      host.local().follow_move("m1", [&](std::string_view, const Move&) { return ++events > 0; }));
  EXPECT_EQ(events, 1);
  EXPECT_EQ(host.local().follow_move("none", [](auto, const auto&) { return true; }).error().code,
            ErrorCode::kNotFound);
}

TEST(EventStream, CanBeLeftFromAnotherThread) {
  TestHost host("host1");
  host.backend.put(move_in(MoveState::kRunning));
  auto api = host.local();
  std::jthread leaver;
  const auto status = api.follow_move("m1", [&](std::string_view, const Move&) {
    leaver = std::jthread([&] { api.stop(); });
    return true;
  });
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
}

TEST(EventStream, BreaksWhenTheServerStops) {
  TestHost host("host1");
  host.backend.put(move_in(MoveState::kRunning));
  std::jthread stopper;
  const auto status = host.local().follow_move("m1", [&](std::string_view, const Move&) {
    stopper = std::jthread([&] { host.servers->stop(); });
    return true;
  });
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
}

TEST(EventStream, IsCarriedFromAnotherHost) {
  TestHost one("host1"), two("host2");
  ASSERT_TRUE(pair_hosts(one, two, {true, true, true, false}));
  one.backend.put(move_in(MoveState::kRunning));
  int events = 0;
  const auto status = two.local("host1").follow_move("m1", [&](std::string_view, const Move& move) {
    if (++events == 1) one.hub->publish_move(News::kState, move_in(MoveState::kDone));
    return move.id == "m1";
  });
  EXPECT_TRUE(status) << status.error().text();
  EXPECT_EQ(events, 2);
  EXPECT_EQ(
      two.local("host1").follow_move("none", [](auto, const auto&) { return true; }).error().code,
      ErrorCode::kNotFound);
}

TEST(EventStream, TellsOfVmsMovesAndHosts) {
  TestHost host("host1");
  std::string seen;
  std::jthread publisher([&](const std::stop_token& stop) {
    // Until the stream listens, what is published reaches nobody.
    while (!stop.stop_requested()) {
      host.hub->publish_vm("u1", "web", "started");
      std::this_thread::sleep_for(5ms);
    }
  });
  const auto status = host.local().follow_events([&](const client::StreamEvent& event) {
    seen = event.name + " " + event.body;
    return false;
  });
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(seen, R"(vm {"change":"started","name":"web","uuid":"u1"})");
}

TEST(EventStream, NumberIsBounded) {
  TestHost host("host1", [](ServerOptions& options) { options.event_streams = 1; });
  host.backend.put(move_in(MoveState::kRunning));
  const auto status = host.local().follow_move("m1", [&](std::string_view, const Move&) {
    EXPECT_EQ(host.local().follow_events([](const auto&) { return false; }).error().code,
              ErrorCode::kUnavailable);
    return false;
  });
  EXPECT_EQ(status.error().code, ErrorCode::kCancelled);
}

TEST(Subscriber, SlowReadersLoseOldProgressOnly) {
  EventHub hub;
  Subscriber subscriber(hub, "");
  for (int i = 0; i < 5000; ++i)
    hub.publish_move(News::kProgress, move_in(MoveState::kRunning, i % 100));
  hub.publish_move(News::kState, move_in(MoveState::kDone, 100));
  const auto first = subscriber.next(Deadline::after(1s));
  EXPECT_EQ(first->name, "progress");
  EXPECT_NE(first->body.find("\"percent\":99"), std::string::npos);
  const auto second = subscriber.next(Deadline::after(1s));
  EXPECT_EQ(second->name, "state");
  EXPECT_TRUE(second->last);
  EXPECT_FALSE(subscriber.next(Deadline::after(0ms)));
  hub.close();
  EXPECT_FALSE(subscriber.next(Deadline::after(1s)));
}

TEST(Subscriber, HoldsABoundedNumber) {
  EventHub hub;
  Subscriber subscriber(hub, "");
  for (int i = 0; i < 10'000; ++i) hub.publish_vm(std::to_string(i), "vm", "started");
  int held = 0;
  while (subscriber.next(Deadline::after(0ms))) ++held;
  EXPECT_LE(held, 256);
}

}  // namespace
}  // namespace drover::api
