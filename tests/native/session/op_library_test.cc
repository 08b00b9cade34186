#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "session/session.h"
#include "session/test_model.h"

namespace fastserve {
namespace {

namespace fs = std::filesystem;

// Loads a model whose graph is the op of test_op.cc.
Result<std::unique_ptr<Session>> LoadModelOfTestOp() {
  const fs::path directory = fs::path(testing::TempDir()) / "model_of_test_op";
  fs::create_directories(directory);
  std::ofstream(directory / "saved_model.pbtxt")
      << "saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: 'serve' } "
         "graph_def { node { name: 'y' op: 'FastserveTest' } } }";
  return Session::LoadSavedModel(TensorFlow(),
                                 {.directory = directory, .tags = {"serve"}, .config_proto = ""});
}

TEST(OpLibraryTest, ModelsFindTheOpsOfALoadedLibrary) {
  EXPECT_EQ(LoadModelOfTestOp().status().code(), StatusCode::kNotFound);
  for (int time = 0; time < 2; ++time) {
    const Status loaded = LoadOpLibrary(TensorFlow(), FASTSERVE_TEST_OP_LIBRARY);
    ASSERT_TRUE(loaded.ok()) << loaded.ToString();
  }
  const auto session = LoadModelOfTestOp();
  ASSERT_TRUE(session.ok()) << session.status().ToString();
  const TF_Output y = *(*session)->Resolve("y");
  const auto ran = (*session)->Run({}, {}, {&y, 1});
  ASSERT_TRUE(ran.ok()) << ran.status().ToString();
  const ByteView bytes = (*ran)[0].View().data;
  float value = 0;
  ASSERT_EQ(bytes.size(), sizeof(value));
  std::memcpy(&value, bytes.data(), sizeof(value));
  EXPECT_EQ(value, 42);
}

TEST(OpLibraryTest, AFileThatIsNoLibraryIsNamed) {
  const Status status = LoadOpLibrary(TensorFlow(), "/no/such/ops.so");
  EXPECT_EQ(status.code(), StatusCode::kNotFound);
  EXPECT_TRUE(status.message().starts_with("cannot load the op library /no/such/ops.so: "))
      << status.message();
}

}  // namespace
}  // namespace fastserve
