#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace fastserve {
namespace {

TEST(StatusTest, DefaultIsOkWithoutMessage) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), StatusCode::kOk);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.ToString(), "OK");
}

TEST(StatusTest, OkCodeDropsTheMessage) {
  const Status status(StatusCode::kOk, "ignored");
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.message(), "");
}

TEST(StatusTest, FactoriesCarryTheirCode) {
  EXPECT_EQ(Status::Cancelled("").code(), StatusCode::kCancelled);
  EXPECT_EQ(Status::Unknown("").code(), StatusCode::kUnknown);
  EXPECT_EQ(Status::InvalidArgument("").code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Status::DeadlineExceeded("").code(), StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Status::NotFound("").code(), StatusCode::kNotFound);
  EXPECT_EQ(Status::ResourceExhausted("").code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Status::FailedPrecondition("").code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(Status::Unimplemented("").code(), StatusCode::kUnimplemented);
  EXPECT_EQ(Status::Internal("").code(), StatusCode::kInternal);
  EXPECT_EQ(Status::Unavailable("").code(), StatusCode::kUnavailable);
}

TEST(StatusTest, ToStringNamesTheCode) {
  EXPECT_EQ(Status::NotFound("no such thing").ToString(), "NOT_FOUND: no such thing");
  EXPECT_EQ(Status::Internal("").ToString(), "INTERNAL: ");
}

TEST(StatusTest, CopiesAreEqualAndOutliveTheOriginal) {
  Status copy;
  {
    const Status status = Status::Unavailable("later");
    copy = status;
  }
  EXPECT_EQ(copy.code(), StatusCode::kUnavailable);
  EXPECT_EQ(copy.message(), "later");
}

TEST(StatusTest, EveryCodeHasItsGrpcName) {
  EXPECT_EQ(StatusCodeName(StatusCode::kOk), "OK");
  EXPECT_EQ(StatusCodeName(StatusCode::kResourceExhausted), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(StatusCodeName(StatusCode::kUnauthenticated), "UNAUTHENTICATED");
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(17)), "UNKNOWN");
  EXPECT_EQ(StatusCodeName(static_cast<StatusCode>(-1)), "UNKNOWN");
}

TEST(ResultTest, HoldsAValueThatMayOnlyMove) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  ASSERT_TRUE(result.ok());
  EXPECT_TRUE(result.status().ok());
  EXPECT_EQ(**result, 7);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 7);
}

TEST(ResultTest, HoldsTheStatusOfAFailure) {
  const Result<std::string> result = Status::NotFound("gone");
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), StatusCode::kNotFound);
  EXPECT_EQ(result.status().message(), "gone");
}

Status FailsAfter(bool fail, bool* reached) {
  FASTSERVE_RETURN_IF_ERROR(fail ? Status::Internal("stop") : Status());
  *reached = true;
  return {};
}

TEST(StatusTest, ReturnIfErrorLeavesWithTheErrorOnly) {
  bool reached = false;
  EXPECT_EQ(FailsAfter(true, &reached).message(), "stop");
  EXPECT_FALSE(reached);
  EXPECT_TRUE(FailsAfter(false, &reached).ok());
  EXPECT_TRUE(reached);
}

}  // namespace
}  // namespace fastserve
