#include "serving/routing.h"

#include <gtest/gtest.h>

namespace fastserve {
namespace {

Status ErrorOf(const RoutingSnapshot& snapshot, std::string_view name,
               std::optional<int64_t> version = std::nullopt,
               std::optional<std::string_view> label = std::nullopt) {
  return snapshot.Find(name, version, label).status();
}

const RoutingSnapshot& NothingLoaded() {
  static const RoutingSnapshot snapshot(
      {}, {{"m", {{"next", 3}, {"old", 1}}}, {"labelled", {{"only", 1}}}},
      {{"m", {{2, "START"}, {3, "LOADING"}}}, {"unseen", {}}});
  return snapshot;
}

TEST(RoutingSnapshotTest, AModelThatIsNotThereIsNotFound) {
  EXPECT_EQ(ErrorOf(NothingLoaded(), "x").ToString(),
            "NOT_FOUND: Servable not found for request: Latest(x)");
  EXPECT_EQ(ErrorOf(NothingLoaded(), "x", 3).ToString(),
            "NOT_FOUND: Servable not found for request: Specific(x, 3)");
}

TEST(RoutingSnapshotTest, WithoutVersionAllThatArePendingAreNamed) {
  EXPECT_EQ(ErrorOf(NothingLoaded(), "m").ToString(),
            "UNAVAILABLE: Servable not found for request: Latest(m). Model m is not ready yet: "
            "version 2 is START, version 3 is LOADING");
}

TEST(RoutingSnapshotTest, AModelWhoseVersionsAreBeingLookedForIsUnavailable) {
  EXPECT_EQ(ErrorOf(NothingLoaded(), "unseen").ToString(),
            "UNAVAILABLE: Servable not found for request: Latest(unseen). Model unseen is not "
            "ready yet: looking for versions");
  EXPECT_EQ(ErrorOf(NothingLoaded(), "unseen", 3).ToString(),
            "UNAVAILABLE: Servable not found for request: Specific(unseen, 3). Model unseen is "
            "not ready yet: looking for versions");
}

TEST(RoutingSnapshotTest, APendingVersionIsUnavailable) {
  EXPECT_EQ(ErrorOf(NothingLoaded(), "m", 2).ToString(),
            "UNAVAILABLE: Servable not found for request: Specific(m, 2). Model m is not ready "
            "yet: version 2 is START");
}

TEST(RoutingSnapshotTest, ALabelOfAPendingVersionIsUnavailable) {
  EXPECT_EQ(ErrorOf(NothingLoaded(), "m", std::nullopt, "next").ToString(),
            "UNAVAILABLE: Servable not found for request: Specific(m, 3). Model m is not ready "
            "yet: version 3 is LOADING");
}

TEST(RoutingSnapshotTest, AVersionBesidePendingOnesIsNotFound) {
  EXPECT_EQ(ErrorOf(NothingLoaded(), "m", 1).ToString(),
            "NOT_FOUND: Servable not found for request: Specific(m, 1)");
  EXPECT_EQ(ErrorOf(NothingLoaded(), "m", std::nullopt, "old").ToString(),
            "NOT_FOUND: Servable not found for request: Specific(m, 1)");
}

TEST(RoutingSnapshotTest, AnUnknownLabelIsOneWhateverIsPending) {
  EXPECT_EQ(ErrorOf(NothingLoaded(), "m", std::nullopt, "x").ToString(),
            "INVALID_ARGUMENT: Unrecognized servable version label: x");
  EXPECT_EQ(ErrorOf(NothingLoaded(), "x", std::nullopt, "next").ToString(),
            "INVALID_ARGUMENT: Unrecognized servable version label: next");
}

TEST(RoutingSnapshotTest, ALabelledModelWithoutVersionsIsNotFound) {
  EXPECT_EQ(ErrorOf(NothingLoaded(), "labelled").code(), StatusCode::kNotFound);
}

}  // namespace
}  // namespace fastserve
