#include "serving/request_tap.h"

#include <gtest/gtest.h>

#include <thread>

namespace fastserve {
namespace {

using std::chrono::milliseconds;
using Requests = std::vector<std::string>;

constexpr milliseconds kNoWait(0);
constexpr std::chrono::minutes kLong(5);

TEST(RequestTapTest, OffItKeepsNothing) {
  RequestTap tap;
  tap.Offer("m", "request");
  EXPECT_EQ(tap.Take(kLong), Requests());
  EXPECT_EQ(tap.Stop(), 0u);
}

TEST(RequestTapTest, RequestsForItsModelAreTakenInOrder) {
  RequestTap tap;
  ASSERT_TRUE(tap.Start("m", 10).ok());
  tap.Offer("m", "first");
  tap.Offer("other", "x");
  tap.Offer("m", "second");
  EXPECT_EQ(tap.Take(kLong), (Requests{"first", "second"}));
  EXPECT_EQ(tap.Take(kNoWait), Requests());
  EXPECT_EQ(tap.Stop(), 0u);
}

TEST(RequestTapTest, WhatDoesNotFitIsDroppedAndCounted) {
  RequestTap tap;
  ASSERT_TRUE(tap.Start("m", 2).ok());
  for (const char* request : {"1", "2", "3", "4", "5"}) tap.Offer("m", request);
  EXPECT_EQ(tap.Take(kNoWait), (Requests{"1", "2"}));
  tap.Offer("m", "6");
  EXPECT_EQ(tap.Stop(), 4u) << "three that did not fit and one that nobody took";
}

TEST(RequestTapTest, BytesAreBoundedToo) {
  RequestTap tap;
  ASSERT_TRUE(tap.Start("m", 10).ok());
  const std::string half(RequestTap::kMaxBytes / 2 + 1, 'x');
  tap.Offer("m", half);
  tap.Offer("m", half);
  EXPECT_EQ(tap.Take(kNoWait).size(), 1u);
  tap.Offer("m", half);
  EXPECT_EQ(tap.Take(kNoWait).size(), 1u) << "there is room again";
  EXPECT_EQ(tap.Stop(), 1u);
}

TEST(RequestTapTest, ThereIsOneCaptureAtATime) {
  RequestTap tap;
  ASSERT_TRUE(tap.Start("m", 1).ok());
  EXPECT_EQ(tap.Start("n", 1).ToString(),
            "FAILED_PRECONDITION: requests for model m are being captured already");
  tap.Stop();
  ASSERT_TRUE(tap.Start("n", 1).ok());
  tap.Offer("n", "request");
  EXPECT_EQ(tap.Take(kNoWait).size(), 1u);
}

TEST(RequestTapTest, ACaptureNeedsANameAndALimit) {
  RequestTap tap;
  EXPECT_EQ(tap.Start("", 1).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(tap.Start("m", 0).code(), StatusCode::kInvalidArgument);
}

TEST(RequestTapTest, StopEndsAWait) {
  RequestTap tap;
  ASSERT_TRUE(tap.Start("m", 1).ok());
  std::thread taker([&] { EXPECT_EQ(tap.Take(kLong), Requests()); });
  tap.Stop();
  taker.join();
}

TEST(RequestTapTest, NothingIsLostBetweenThreads) {
  constexpr size_t kThreads = 4;
  constexpr size_t kEach = 500;
  RequestTap tap;
  ASSERT_TRUE(tap.Start("m", kThreads * kEach).ok());
  std::vector<std::thread> offering;
  for (size_t t = 0; t < kThreads; ++t) {
    offering.emplace_back([&] {
      for (size_t i = 0; i < kEach; ++i) tap.Offer("m", "request");
    });
  }
  size_t taken = 0;
  while (taken < kThreads * kEach) taken += tap.Take(kLong).size();
  for (std::thread& thread : offering) thread.join();
  EXPECT_EQ(taken, kThreads * kEach);
  EXPECT_EQ(tap.Stop(), 0u);
}

}  // namespace
}  // namespace fastserve
