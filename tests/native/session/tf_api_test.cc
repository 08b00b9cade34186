#include "session/tf_api.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "session/test_model.h"
#include "session/tf_layout.h"

namespace fastserve {
namespace {

namespace fs = std::filesystem;

// Ends the process with what Load() answers; the process must not have loaded TensorFlow before.
[[noreturn]] void ExitWithAnswerOfLoad(const std::string& directory) {
  const Result<const TfApi*> api = TfApi::Load(directory);
  std::fprintf(stderr, "%s\n", api.status().ToString().c_str());
  std::_Exit(static_cast<int>(api.status().code()));
}

auto ExitsWith(StatusCode code) { return testing::ExitedWithCode(static_cast<int>(code)); }

class TfApiDeathTest : public testing::Test {
 protected:
  TfApiDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(TfApiDeathTest, LoadNamesTheLibraryThatItCannotOpen) {
  EXPECT_EXIT(ExitWithAnswerOfLoad("/no/such/package"), ExitsWith(StatusCode::kNotFound),
              "NOT_FOUND: cannot open TensorFlow's library "
              "/no/such/package/libtensorflow_framework.so.2: ");
}

TEST_F(TfApiDeathTest, LoadNamesTheFunctionThatTheLibraryLacks) {
  const fs::path directory = fs::path(testing::TempDir()) / "not_tensorflow";
  fs::create_directories(directory);
  Dl_info libc;
  ASSERT_NE(::dladdr(reinterpret_cast<void*>(&::gnu_get_libc_version), &libc), 0);
  for (const char* name : {"libtensorflow_framework.so.2", "libtensorflow_cc.so.2"}) {
    fs::remove(directory / name);
    fs::create_symlink(libc.dli_fname, directory / name);
  }
  EXPECT_EXIT(ExitWithAnswerOfLoad(directory), ExitsWith(StatusCode::kFailedPrecondition),
              "the installed TensorFlow has no TF_Version; fastserve needs TensorFlow 2.16 or "
              "newer");
}

TEST_F(TfApiDeathTest, LoadMaySucceedAfterAFailure) {
  EXPECT_EXIT(
      {
        if (TfApi::Load("/no/such/package").ok()) std::_Exit(99);
        ExitWithAnswerOfLoad(FASTSERVE_TENSORFLOW_DIR);
      },
      ExitsWith(StatusCode::kOk), "OK");
}

TEST(TfApiTest, LoadAnswersTheSameTableAgain) {
  const TfApi& api = TensorFlow();
  const Result<const TfApi*> again = TfApi::Load("/not/looked/at");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, &api);
}

TEST(TfApiTest, VersionIsThatOfASupportedTensorFlow) {
  int major = 0, minor = 0;
  ASSERT_EQ(std::sscanf(TensorFlow().version().c_str(), "%d.%d", &major, &minor), 2);
  EXPECT_EQ(major, 2);
  EXPECT_GE(minor, 16);
}

TEST(TfApiTest, TensorFlowsSymbolsStayOutOfTheProcessesScope) {
  TensorFlow();
  EXPECT_EQ(::dlsym(RTLD_DEFAULT, "TF_Version"), nullptr);
}

}  // namespace
}  // namespace fastserve
