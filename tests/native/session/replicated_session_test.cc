#include "session/replicated_session.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "codec/wire_building.h"
#include "session/test_model.h"

namespace fastserve {
namespace {

namespace fs = std::filesystem;

// ConfigProto { device_count { key: "CPU" value: 2 } allow_soft_placement: true }
const std::string kTwoCpus =
    BytesField(1, BytesField(1, "CPU") + VarintField(2, 2)) + VarintField(7, 1);

SavedModelOptions HalfPlusTwoOn(std::vector<std::string> devices) {
  return {.directory = ModelDirectory("half_plus_two"),
          .tags = {"serve"},
          .config_proto = kTwoCpus,
          .devices = std::move(devices)};
}

TEST(ReplicatedSessionTest, EachReplicaGivesTheModelsAnswer) {
  const fs::path scratch = fs::path(testing::TempDir()) / "replicated_session_test";
  fs::create_directories(scratch);
  ::setenv("TMPDIR", scratch.c_str(), 1);
  const auto loaded =
      Session::LoadSavedModel(TensorFlow(), HalfPlusTwoOn({"/device:CPU:0", "/device:CPU:1"}));
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  ::unsetenv("TMPDIR");
  EXPECT_TRUE(fs::is_empty(scratch));
  const Session& session = **loaded;
  EXPECT_FALSE(session.meta_graph_def().empty());
  const Result<TF_Output> x = session.Resolve("serving_default_x:0");
  const Result<TF_Output> y = session.Resolve("StatefulPartitionedCall:0");
  ASSERT_TRUE(x.ok() && y.ok());
  EXPECT_EQ(session.Resolve("serving_default_x:0")->oper, x->oper);
  for (float value = 0; value < 4; ++value) {
    EXPECT_EQ(HalfPlusTwoOf(session, value), value / 2 + 2);
  }
  EXPECT_EQ(session.replica_runs(),
            (Session::ReplicaRuns{{"/device:CPU:0", 2}, {"/device:CPU:1", 2}}));
}

TEST(ReplicatedSessionTest, ATensorThatIsNotInTheGraphIsNotFound) {
  const auto loaded =
      Session::LoadSavedModel(TensorFlow(), HalfPlusTwoOn({"/device:CPU:0", "/device:CPU:1"}));
  ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
  EXPECT_EQ((*loaded)->Resolve("no:0").status().code(), StatusCode::kNotFound);
}

TEST(ReplicatedSessionTest, ADeviceThatIsNotThereFailsTheLoad) {
  const Status status =
      Session::LoadSavedModel(TensorFlow(), HalfPlusTwoOn({"/device:CPU:0", "/device:GPU:1"}))
          .status();
  EXPECT_EQ(status.ToString(),
            "FAILED_PRECONDITION: TensorFlow does not have all devices for replicas of the model: "
            "it has /job:localhost/replica:0/task:0/device:CPU:0, "
            "/job:localhost/replica:0/task:0/device:CPU:1, but not /device:GPU:1");
}

TEST(ReplicatedSessionTest, WithoutAFolderForTemporaryFilesTheReplicaIsNamed) {
  ::setenv("TMPDIR", "/no/such/folder", 1);
  const Status status =
      Session::LoadSavedModel(TensorFlow(), HalfPlusTwoOn({"/device:CPU:0", "/device:CPU:1"}))
          .status();
  ::unsetenv("TMPDIR");
  EXPECT_EQ(status.code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(
      status.message().starts_with("the replica on /device:CPU:1: no folder for temporary "
                                   "files (TMPDIR): "))
      << status.message();
}

}  // namespace
}  // namespace fastserve
