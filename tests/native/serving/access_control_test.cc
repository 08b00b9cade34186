#include "serving/access_control.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

namespace fastserve {
namespace {

const std::string kClient = "client-token-0001";
const std::string kAdministrator = "administrator-token-0001";

StatusCode CodeOf(const AccessControl& control, Access access, std::string_view authorization) {
  return control.Check(access, authorization).code();
}

bool SetContains(const std::vector<std::string>& tokens, std::string_view token) {
  return (*TokenSet::Create(tokens))->Contains(token);
}

TEST(AccessOfTest, ServicesOfModelsNeedAClientAndProbesNobody) {
  for (const char* path : {"/tensorflow.serving.PredictionService/Predict",
                           "/tensorflow.serving.PredictionService/GetModelMetadata",
                           "/tensorflow.serving.ModelService/GetModelStatus",
                           "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                           "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    EXPECT_EQ(AccessOf(path), Access::kPredict) << path;
  }
  EXPECT_EQ(AccessOf("/grpc.health.v1.Health/Check"), Access::kOpen);
  EXPECT_EQ(AccessOf("/grpc.health.v1.Health/Watch"), Access::kOpen);
}

TEST(AccessOfTest, WhatIsNotKnownIsAdministration) {
  for (const char* path : {"/tensorflow.serving.ModelService/HandleReloadConfigRequest",
                           "/tensorflow.serving.ModelService/GetModelStatusOfAll",
                           "/fastserve.RequestCapture/CapturePredict", "/new.Service/Method",
                           "/grpc.health.v1.Health/List", "/", "", "*"}) {
    EXPECT_EQ(AccessOf(path), Access::kAdminister) << path;
  }
}

TEST(TokenSetTest, ContainsItsTokensWhole) {
  const std::string longest(TokenSet::kMaxTokenBytes, 'l');
  const std::vector<std::string> tokens = {"first", "second", longest};
  for (const std::string& token : tokens) EXPECT_TRUE(SetContains(tokens, token));
  for (const std::string& other :
       {std::string(), std::string("firs"), std::string("first "), std::string("First"),
        std::string("firstsecond"), std::string("first\0", 6), longest + "l", longest.substr(1),
        longest.substr(1) + "m"}) {
    EXPECT_FALSE(SetContains(tokens, other)) << other;
  }
  EXPECT_FALSE(SetContains({}, "first"));
}

TEST(TokenSetTest, RefusesTokensThatHaveNoRoomWithoutShowingThem) {
  const Status status = TokenSet::Create({std::string(TokenSet::kMaxTokenBytes + 1, 'x')}).status();
  EXPECT_EQ(status.ToString(),
            "INVALID_ARGUMENT: a token has 513 bytes; it must have from 1 to 512");
  EXPECT_EQ(TokenSet::Create({""}).status().code(), StatusCode::kInvalidArgument);
}

class AccessControlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(control_.SetTokens(Access::kPredict, {"another-token-0001", kClient}).ok());
    ASSERT_TRUE(control_.SetTokens(Access::kAdminister, {kAdministrator}).ok());
  }

  AccessControl control_;
};

TEST_F(AccessControlTest, TokensOpenWhatTheyAreFor) {
  EXPECT_EQ(CodeOf(control_, Access::kPredict, "Bearer " + kClient), StatusCode::kOk);
  EXPECT_EQ(CodeOf(control_, Access::kPredict, "Bearer " + kAdministrator), StatusCode::kOk);
  EXPECT_EQ(CodeOf(control_, Access::kAdminister, "Bearer " + kAdministrator), StatusCode::kOk);
  EXPECT_EQ(CodeOf(control_, Access::kAdminister, "Bearer " + kClient),
            StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf(control_, Access::kOpen, ""), StatusCode::kOk);
}

TEST_F(AccessControlTest, SchemeIsTakenInAnyCaseAndMayBeLeftOut) {
  for (const char* before : {"", "Bearer ", "bearer ", "BEARER   "}) {
    EXPECT_EQ(CodeOf(control_, Access::kPredict, before + kClient), StatusCode::kOk) << before;
  }
  for (const char* before : {"Basic ", "Bearer", "Bearer\t", " ", "Bearer Bearer "}) {
    EXPECT_EQ(CodeOf(control_, Access::kPredict, before + kClient), StatusCode::kUnauthenticated)
        << before;
  }
}

TEST_F(AccessControlTest, ATokenMayBeginWithTheSchemesLetters) {
  ASSERT_TRUE(control_.SetTokens(Access::kPredict, {"bearer-token-0001"}).ok());
  EXPECT_EQ(CodeOf(control_, Access::kPredict, "bearer-token-0001"), StatusCode::kOk);
  EXPECT_EQ(CodeOf(control_, Access::kPredict, "Bearer bearer-token-0001"), StatusCode::kOk);
}

TEST_F(AccessControlTest, WithoutATokenTheAnswerSaysHowToSendOne) {
  for (const char* none : {"", "Bearer", "bearer  "}) {
    EXPECT_EQ(control_.Check(Access::kPredict, none).ToString(),
              "UNAUTHENTICATED: No token: send one as \"authorization: Bearer TOKEN\", or TOKEN "
              "alone");
  }
}

TEST_F(AccessControlTest, NoRefusalShowsAToken) {
  for (const Access access : {Access::kPredict, Access::kAdminister}) {
    for (const std::string& token : {kClient, kClient + "x", kAdministrator + "x"}) {
      const std::string text = control_.Check(access, "Bearer " + token).ToString();
      EXPECT_EQ(text.find(token.substr(0, 6)), std::string::npos) << text;
    }
  }
}

TEST_F(AccessControlTest, SeveralValuesTogetherAreNoToken) {
  EXPECT_EQ(CodeOf(control_, Access::kPredict, "Bearer " + kClient + ", Bearer " + kClient),
            StatusCode::kUnauthenticated);
}

TEST_F(AccessControlTest, NewTokensTakeThePlaceOfThoseBefore) {
  ASSERT_TRUE(control_.SetTokens(Access::kPredict, {"next-client-0001"}).ok());
  EXPECT_EQ(CodeOf(control_, Access::kPredict, kClient), StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(control_, Access::kPredict, "next-client-0001"), StatusCode::kOk);
  EXPECT_EQ(CodeOf(control_, Access::kAdminister, kAdministrator), StatusCode::kOk);
}

TEST_F(AccessControlTest, TokensThatAreRefusedChangeNothing) {
  EXPECT_FALSE(control_.SetTokens(Access::kPredict, {"next-client-0001", ""}).ok());
  EXPECT_EQ(CodeOf(control_, Access::kPredict, kClient), StatusCode::kOk);
}

TEST_F(AccessControlTest, ChecksGoOnWhileTokensAreReplaced) {
  std::thread writer([this] {
    for (int i = 0; i < 1'000; ++i) {
      EXPECT_TRUE(control_.SetTokens(Access::kPredict, {kClient, std::to_string(i)}).ok());
    }
  });
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(CodeOf(control_, Access::kPredict, kClient), StatusCode::kOk);
  }
  writer.join();
}

TEST(AccessControlWithoutClientsTest, PredictionsNeedNoTokenButAdministrationDoes) {
  AccessControl control;
  ASSERT_TRUE(control.SetTokens(Access::kAdminister, {kAdministrator}).ok());
  EXPECT_EQ(CodeOf(control, Access::kPredict, ""), StatusCode::kOk);
  EXPECT_EQ(CodeOf(control, Access::kPredict, "Bearer whatever"), StatusCode::kOk);
  EXPECT_EQ(CodeOf(control, Access::kAdminister, ""), StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(control, Access::kAdminister, kAdministrator), StatusCode::kOk);
}

TEST(AccessControlWithoutAdministratorsTest, AdministrationIsClosed) {
  AccessControl control;
  ASSERT_TRUE(control.SetTokens(Access::kPredict, {kClient}).ok());
  EXPECT_EQ(CodeOf(control, Access::kPredict, kClient), StatusCode::kOk);
  EXPECT_EQ(CodeOf(control, Access::kAdminister, ""), StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(control, Access::kAdminister, kClient), StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf(control, Access::kAdminister, kAdministrator), StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace fastserve
