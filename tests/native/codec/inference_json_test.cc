#include "codec/inference_json.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "codec/wire_building.h"

namespace fastserve {
namespace {

std::string Floats(std::initializer_list<float> values) {
  return BytesField(2, BytesField(1, Bits<float>(values)));
}
std::string Ints(const std::string& packed) { return BytesField(3, BytesField(1, packed)); }
std::string Strings(std::initializer_list<std::string> values) {
  std::string list;
  for (const std::string& value : values) list += BytesField(1, value);
  return BytesField(1, list);
}
std::string Feature(const std::string& name, const std::string& feature) {
  return MapEntryField(1, name, feature);
}
std::string Example(const std::string& features) { return BytesField(1, features); }

// The only example of a request.
std::string OnlyExample(const std::string& object) {
  const Result<InferenceJson> request = ParseInferenceJson("{\"examples\": [" + object + "]}");
  if (!request.ok()) return request.status().ToString();
  EXPECT_EQ(request->input.examples.size(), 1u);
  EXPECT_TRUE(request->input.context.empty());
  return std::string(request->input.examples[0]);
}

void ExpectError(const std::string& body, const std::string& message) {
  const Status status = ParseInferenceJson(body).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << body;
  EXPECT_EQ(status.message(), message) << body;
}

void ExpectFeatureError(const std::string& value, const std::string& message) {
  ExpectError("{\"examples\": [{\"f\": " + value + "}]}", message);
}

TEST(ParseInferenceJsonTest, ValuesAndListsBecomeFeatures) {
  EXPECT_EQ(OnlyExample(R"({"x": 2.5})"), Example(Feature("x", Floats({2.5}))));
  EXPECT_EQ(OnlyExample(R"({"x": [0.5, -1e3]})"), Example(Feature("x", Floats({0.5, -1000}))));
  EXPECT_EQ(OnlyExample(R"({"n": [1, -1, true, false]})"),
            Example(Feature("n", Ints(Varint(1) + Varint(~uint64_t{0}) + Varint(1) + Varint(0)))));
  EXPECT_EQ(OnlyExample(R"({"s": "ü"})"), Example(Feature("s", Strings({"ü"}))));
  EXPECT_EQ(OnlyExample(R"({"s": ["a\u0000b", {"b64": "/w=="}, ""]})"),
            Example(Feature("s", Strings({std::string("a\0b", 3), "\xff", ""}))));
  EXPECT_EQ(OnlyExample(R"({"s": {"b64": ""}})"), Example(Feature("s", Strings({""}))));
}

TEST(ParseInferenceJsonTest, AnEmptyListIsAFeatureWithoutAKind) {
  EXPECT_EQ(OnlyExample(R"({"x": []})"), Example(Feature("x", "")));
}

TEST(ParseInferenceJsonTest, AnObjectWithoutMembersIsAnEmptyExample) {
  EXPECT_EQ(OnlyExample("{}"), "");
}

TEST(ParseInferenceJsonTest, ExtremeNumbersKeepTheirMeaning) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(OnlyExample(R"({"x": [Infinity, -Inf, 1e39, 18446744073709551616]})"),
            Example(Feature("x", Floats({infinity, -infinity, infinity, 0x1p64f}))));
  EXPECT_EQ(OnlyExample(R"({"x": [1e-40, -1e-40]})"), Example(Feature("x", Floats({0, -0.0f}))));
  EXPECT_EQ(OnlyExample(R"({"n": [9223372036854775807, -9223372036854775808]})"),
            Example(Feature("n", Ints(Varint(INT64_MAX) + Varint(uint64_t{1} << 63)))));
}

TEST(ParseInferenceJsonTest, OfAFeatureGivenTwiceTheLastCounts) {
  EXPECT_EQ(OnlyExample(R"({"x": 1, "y": 2, "x": "a", "z": 3, "y": 2.5})"),
            Example(Feature("x", Strings({"a"})) + Feature("z", Ints(Varint(3))) +
                    Feature("y", Floats({2.5}))));
}

TEST(ParseInferenceJsonTest, AFeatureMayHaveAnyName) {
  EXPECT_EQ(OnlyExample(R"({"": 1})"), Example(Feature("", Ints(Varint(1)))));
  EXPECT_EQ(OnlyExample(R"({"b64": 1})"), Example(Feature("b64", Ints(Varint(1)))));
}

TEST(ParseInferenceJsonTest, ReadsSignatureContextAndAllExamples) {
  const Result<InferenceJson> request = ParseInferenceJson(
      R"({"signature_name": "sig", "context": {"x": 1.5}, "examples": [{"n": 1}, {}], "k": 0})");
  ASSERT_TRUE(request.ok());
  EXPECT_EQ(request->signature_name, "sig");
  ASSERT_EQ(request->input.context.size(), 1u);
  EXPECT_EQ(request->input.context[0], Example(Feature("x", Floats({1.5}))));
  EXPECT_EQ(request->input.examples,
            (std::vector<ByteView>{Example(Feature("n", Ints(Varint(1)))), ""}));
}

TEST(ParseInferenceJsonTest, EmptyContextIsAsNone) {
  const Result<InferenceJson> request = ParseInferenceJson(R"({"context": {}, "examples": [{}]})");
  ASSERT_TRUE(request.ok());
  EXPECT_TRUE(request->input.context.empty());
  EXPECT_EQ(request->input.examples.size(), 1u);
}

TEST(ParseInferenceJsonTest, KindsDoNotMix) {
  const std::string text = "Unexpected element type in feature: f expecting type: ";
  ExpectFeatureError("[1, 2.0]", text + "int64");
  ExpectFeatureError("[true, \"a\"]", text + "int64");
  ExpectFeatureError("[1.0, 2]", text + "float");
  ExpectFeatureError("[1.0, 9223372036854775808]", text + "float");
  ExpectFeatureError("[\"a\", false]", text + "bytes");
  ExpectFeatureError("[{\"b64\": \"\"}, 1.5]", text + "bytes");
}

TEST(ParseInferenceJsonTest, OtherValuesAreRefusedByType) {
  const std::string text = "Feature: f has element with unexpected JSON type: ";
  ExpectFeatureError("null", text + "Null");
  ExpectFeatureError("[[1]]", text + "Array");
  ExpectFeatureError("{\"a\": 1}", text + "Object");
  ExpectFeatureError("{\"b64\": \"\", \"k\": 1}", text + "Object");
  ExpectFeatureError("{\"b64\": 1}", text + "Object");
  ExpectFeatureError("[9223372036854775808]",
                     "Feature: f has uint64_t element. Only int64_t is supported.");
  ExpectFeatureError("{\"b64\": \"*\"}", "Unable to base64 decode");
}

TEST(ParseInferenceJsonTest, ContextIsReadBeforeTheExamples) {
  ExpectError(R"({"context": null})", "Example must be JSON object but got JSON Null");
  ExpectError(R"({"context": {"f": null}, "examples": 1})",
              "Feature: f has element with unexpected JSON type: Null");
}

TEST(ParseInferenceJsonTest, ExamplesMustBeAListOfObjects) {
  ExpectError("{}",
              "JSON Value: {} When method is classify, key 'examples' is expected and was not "
              "found");
  ExpectError(R"({"examples": 1})",
              "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an "
              "list/array");
  ExpectError(R"({"examples": []})",
              "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array");
  ExpectError(R"({"examples": [{}, 1.5]})", "Example must be JSON object but got JSON Number");
  ExpectError(R"({"examples": ["a"]})", "Example must be JSON object but got JSON String");
}

TEST(ParseInferenceJsonTest, TheDocumentIsCheckedFirst) {
  ExpectError("", "JSON Parse error: The document is empty");
  ExpectError("{", "JSON Parse error: Missing a name for object member. at offset: 1");
  ExpectError("[1]", "JSON Value: [1] Is not object");
  ExpectError(R"({"signature_name": 5})",
              "JSON Value: {\n    \"signature_name\": 5\n} not formatted correctly. "
              "'signature_name' key must be a string value.");
}

std::string Written(const InferenceResultView& view) {
  const Result<std::string> body = WriteInferenceJson(view);
  return body.ok() ? *body : body.status().ToString();
}

TEST(WriteInferenceJsonTest, ClassificationsAreListsOfLabelAndScore) {
  const std::vector<std::string_view> labels = {"lab", "\"2\"", "ü", ""};
  const std::string scores = Bits<float>({0.5, 1e-7f, 3, std::numeric_limits<float>::infinity()});
  EXPECT_EQ(Written(ClassificationsView{2, 2, labels, scores}),
            "{\n    \"results\": [[[\"lab\", 0.5], [\"\\\"2\\\"\", 1e-07]], "
            "[[\"ü\", 3.0], [\"\", Infinity]]\n    ]\n}");
}

TEST(WriteInferenceJsonTest, WhatTheModelLacksIsEmptyOrZero) {
  const std::vector<std::string_view> labels = {"a"};
  const std::string scores = Bits<float>({2});
  EXPECT_EQ(Written(ClassificationsView{1, 1, labels, {}}),
            "{\n    \"results\": [[[\"a\", 0.0]]\n    ]\n}");
  EXPECT_EQ(Written(ClassificationsView{1, 1, {}, scores}),
            "{\n    \"results\": [[[\"\", 2.0]]\n    ]\n}");
  EXPECT_EQ(Written(ClassificationsView{2, 0, {}, {}}), "{\n    \"results\": [[], []\n    ]\n}");
}

TEST(WriteInferenceJsonTest, RegressionsAreNumbers) {
  const std::string values = Bits<float>({1, 1 / 3.0f, std::numeric_limits<float>::quiet_NaN()});
  EXPECT_EQ(Written(RegressionsView{values}), "{\n    \"results\": [1.0, 0.333333343, NaN]\n}");
}

TEST(WriteInferenceJsonTest, NoResultIsAnError) {
  EXPECT_EQ(Written(ClassificationsView{}),
            "INVALID_ARGUMENT: Cannot convert empty ClassificationResults to JSON");
  EXPECT_EQ(Written(RegressionsView{}),
            "INVALID_ARGUMENT: Cannot convert empty RegressionResults to JSON");
}

}  // namespace
}  // namespace fastserve
