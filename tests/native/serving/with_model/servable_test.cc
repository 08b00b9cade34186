#include "serving/servable.h"

#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "serving/routing.h"
#include "serving/with_model/load_servable.h"

namespace fastserve {
namespace {

constexpr char kModel[] = "half_plus_two";

// A servable, and the thread that its session was freed on.
struct Watched {
  std::promise<std::thread::id> freed_on;
  ServablePtr servable =
      LoadServable(kModel, 1, [this] { freed_on.set_value(std::this_thread::get_id()); });
};

TEST(ServableTest, TheThreadThatDropsTheLastReferenceDoesNotFreeTheSession) {
  Watched watched;
  std::thread::id dropped_on;
  std::thread request([&] {
    dropped_on = std::this_thread::get_id();
    watched.servable.reset();
  });
  const std::thread::id freed_on = watched.freed_on.get_future().get();
  request.join();
  EXPECT_NE(freed_on, dropped_on);
  EXPECT_NE(freed_on, std::this_thread::get_id());
}

TEST(ServableTest, TheThreadThatDropsTheLastSnapshotDoesNotFreeTheSession) {
  Watched watched;
  Router router;
  router.Publish(std::make_shared<const RoutingSnapshot>(
      std::vector<ServablePtr>{std::exchange(watched.servable, nullptr)},
      std::map<std::string, VersionLabels>()));
  std::promise<void> held;
  std::promise<void> replaced;
  std::thread::id dropped_on;
  std::thread request([&] {
    dropped_on = std::this_thread::get_id();
    auto snapshot = router.Current();
    held.set_value();
    replaced.get_future().wait();
    snapshot.reset();
  });
  held.get_future().wait();
  router.Publish(std::make_shared<const RoutingSnapshot>());
  replaced.set_value();
  const std::thread::id freed_on = watched.freed_on.get_future().get();
  request.join();
  EXPECT_NE(freed_on, dropped_on);
  EXPECT_NE(freed_on, std::this_thread::get_id());
}

TEST(RoutingSnapshotTest, ALoadedVersionAnswersWhileAnotherIsOnItsWay) {
  const RoutingSnapshot snapshot({LoadServable(kModel, 1), LoadServable(kModel, 2)},
                                 {{kModel, {{"stable", 1}, {"canary", 3}}}},
                                 {{kModel, {{3, "LOADING"}}}});
  EXPECT_EQ((*snapshot.Find(kModel, std::nullopt, std::nullopt))->version(), 2);
  EXPECT_EQ((*snapshot.Find(kModel, std::nullopt, "stable"))->version(), 1);
  EXPECT_EQ(snapshot.Find(kModel, 3, std::nullopt).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(snapshot.Find(kModel, std::nullopt, "canary").status().code(),
            StatusCode::kUnavailable);
  EXPECT_EQ(snapshot.Find(kModel, 4, std::nullopt).status().code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace fastserve
