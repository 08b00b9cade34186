#include "codec/predict_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <vector>

namespace fastserve {
namespace {

Signature SignatureOf(std::initializer_list<std::pair<const char*, DataType>> inputs) {
  Signature signature;
  for (const auto& [alias, dtype] : inputs) {
    signature.inputs.push_back({.alias = alias, .tensor_name = "t:0", .dtype = dtype});
  }
  return signature;
}

Signature One(DataType dtype) { return SignatureOf({{"x", dtype}}); }

Signature Three() {
  return SignatureOf({{"a", DataType::kFloat}, {"b", DataType::kInt64}, {"s", DataType::kString}});
}

// The body is gone when the tensors are looked at.
Result<JsonInputs> Read(const Signature& signature, std::string_view body) {
  const std::string copy(body);
  Result<PredictJson> request =
      ParsePredictJson(copy, [&](std::string_view) { return &signature; });
  if (!request.ok()) return request.status();
  return std::move(request->inputs);
}

Result<std::string> SignatureName(std::string_view body) {
  const Result<PredictJson> request =
      ParsePredictJson(body, [](std::string_view) { return nullptr; });
  if (!request.ok()) return request.status();
  return request->signature_name;
}

// The text of an INVALID_ARGUMENT.
std::string Error(const Signature& signature, std::string_view body) {
  const Result<JsonInputs> result = Read(signature, body);
  if (result.ok()) return "(no error)";
  EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument) << result.status().ToString();
  return result.status().message();
}

std::string FloatError(std::string_view body) { return Error(One(DataType::kFloat), body); }

HostTensor Only(DataType dtype, std::string_view body) {
  Result<JsonInputs> result = Read(One(dtype), body);
  if (!result.ok()) {
    ADD_FAILURE() << result.status().ToString();
    return {};
  }
  EXPECT_EQ(result->inputs.size(), 1u);
  EXPECT_EQ(result->inputs[0].first, "x");
  return std::move(result->inputs[0].second);
}

template <class T>
std::vector<T> Elements(const HostTensor& tensor) {
  std::vector<T> elements(tensor.data.size() / sizeof(T));
  EXPECT_EQ(static_cast<int64_t>(elements.size()), ElementCount(tensor.dims));
  if (!elements.empty()) std::memcpy(elements.data(), tensor.data.data(), tensor.data.size());
  return elements;
}

std::vector<float> Floats(std::string_view body) {
  return Elements<float>(Only(DataType::kFloat, body));
}

std::vector<std::string> Strings(std::string_view body) {
  const HostTensor tensor = Only(DataType::kString, body);
  EXPECT_EQ(static_cast<int64_t>(tensor.strings.size()), ElementCount(tensor.dims));
  return {tensor.strings.begin(), tensor.strings.end()};
}

std::string Nested(size_t levels, std::string_view inner) {
  return std::string(levels, '[') + std::string(inner) + std::string(levels, ']');
}

struct Case {
  std::string_view body;
  std::string_view error;
};

void ExpectErrors(const Signature& signature, std::initializer_list<Case> cases) {
  for (const auto& [body, error] : cases) EXPECT_EQ(Error(signature, body), error) << body;
}

// ------------------------------------------------------------------------------------ syntax

TEST(PredictJsonTest, SyntaxErrorsHaveRapidJsonsReasonAndOffset) {
  ExpectErrors(One(DataType::kFloat),
               {{"", "JSON Parse error: The document is empty"},
                {"  ", "JSON Parse error: The document is empty. at offset: 2"},
                {"{", "JSON Parse error: Missing a name for object member. at offset: 1"},
                {R"({"a":})", "JSON Parse error: Invalid value. at offset: 5"},
                {R"({"a" 1})",
                 "JSON Parse error: Missing a colon after a name of object member. at offset: 5"},
                {R"({"a":1,})", "JSON Parse error: Missing a name for object member. at offset: 7"},
                {R"({"a":1 "b":2})",
                 "JSON Parse error: Missing a comma or '}' after an object member. at offset: 7"},
                {R"({"instances":[1.0 2]})",
                 "JSON Parse error: Missing a comma or ']' after an array element. at offset: 18"},
                {"instances=1.0", "JSON Parse error: Invalid value. at offset: 0"},
                {R"({/* c */"instances": [1.0]})",
                 "JSON Parse error: Missing a name for object member. at offset: 1"}});
}

TEST(PredictJsonTest, BadNumbersAreSyntaxErrors) {
  ExpectErrors(
      One(DataType::kFloat),
      {{R"({"inputs": [01]})",
        "JSON Parse error: Missing a comma or ']' after an array element. at offset: 13"},
       {R"({"inputs": [+1]})", "JSON Parse error: Invalid value. at offset: 12"},
       {R"({"inputs": [nan]})", "JSON Parse error: Invalid value. at offset: 13"},
       {R"({"inputs": [5.]})", "JSON Parse error: Miss fraction part in number. at offset: 14"},
       {R"({"inputs": [1e]})", "JSON Parse error: Miss exponent in number. at offset: 14"},
       {R"({"inputs": [-1e309]})",
        "JSON Parse error: Number too big to be stored in double. at offset: 12"}});
}

TEST(PredictJsonTest, BadStringsAreSyntaxErrors) {
  ExpectErrors(One(DataType::kString),
               {{R"({"inputs": ["\u00e"]})",
                 "JSON Parse error: Incorrect hex digit after \\u escape in string. at offset: 13"},
                {R"({"inputs": ["\ud83d"]})",
                 "JSON Parse error: The surrogate pair in string is invalid. at offset: 13"},
                {"{\"inputs\": [\"a\nb\"]}",
                 "JSON Parse error: Invalid escape character in string. at offset: 14"},
                {R"({"inputs": ["abc]})",
                 "JSON Parse error: Missing a closing quotation mark in string. at offset: 18"}});
}

TEST(PredictJsonTest, TextAfterTheDocumentAndALeadingByteOrderMarkAreIgnored) {
  EXPECT_EQ(Floats("{\"inputs\": [1.0]} xyz"), std::vector<float>{1});
  EXPECT_EQ(Floats("{\"inputs\": [1.0]}}"), std::vector<float>{1});
  EXPECT_EQ(Floats(std::string_view("{\"inputs\": [1.0]}\0", 18)), std::vector<float>{1});
  EXPECT_EQ(Floats("\xef\xbb\xbf\r\n{\"inputs\": [1.0]}"), std::vector<float>{1});
}

TEST(PredictJsonTest, RootMustBeAnObject) {
  ExpectErrors(One(DataType::kFloat),
               {{"[1.0]", "JSON Value: [1.0] Is not object"},
                {"null", "JSON Value: null Is not object"},
                {"NaN", "JSON Value:  Is not object"},
                {R"([{"instances": [1.0]}, 2, "x"])",
                 "JSON Value: [{\n        \"instances\": [1.0]\n    }, 2, \"x\"] Is not object"}});
}

TEST(PredictJsonTest, SignatureNameIsTheFirstOneGivenAndMustBeAString) {
  EXPECT_EQ(*SignatureName("{}"), "");
  EXPECT_EQ(*SignatureName(R"({"signature_name": ""})"), "");
  EXPECT_EQ(*SignatureName(R"({"signature_name": "a", "signature_name": "b"})"), "a");
  EXPECT_EQ(*SignatureName(R"({"signature_name": "a\u0000"})"), std::string("a\0", 2));
  EXPECT_EQ(SignatureName(R"({"signature_name": 5, "instances": [1.0]})").status().message(),
            "JSON Value: {\n    \"signature_name\": 5,\n    \"instances\": [1.0]\n} not formatted "
            "correctly. 'signature_name' key must be a string value.");
}

TEST(PredictJsonTest, SignatureMayBeNamedBehindTheValues) {
  const Signature floats = One(DataType::kFloat);
  const Signature ints = One(DataType::kInt32);
  const FindSignature find = [&](std::string_view name) {
    return name == "ints" ? &ints : name.empty() ? &floats : nullptr;
  };
  for (const char* body : {R"({"signature_name": "ints", "instances": [1, 2]})",
                           R"({"instances": [1, 2], "signature_name": "ints"})"}) {
    const Result<PredictJson> request = ParsePredictJson(body, find);
    ASSERT_TRUE(request.ok() && request->inputs.ok()) << body;
    EXPECT_EQ(request->signature_name, "ints");
    EXPECT_EQ(Elements<int32_t>(request->inputs->inputs[0].second), (std::vector<int32_t>{1, 2}));
  }
  const auto error = [&](std::string_view body) {
    return ParsePredictJson(body, find)->inputs.status().message();
  };
  EXPECT_EQ(error(R"({"inputs": 1.5, "signature_name": "ints"})"),
            "JSON Value: 1.5 Type: Number is not of expected type: int32");
  EXPECT_EQ(ParsePredictJson(R"({"inputs": 1.5, "signature_name": "none"})", find)->signature_name,
            "none");
}

TEST(PredictJsonTest, SyntaxIsToldOfBeforeValues) {
  ExpectErrors(
      One(DataType::kFloat),
      {{R"({"instances": ["x"], "more": })", "JSON Parse error: Invalid value. at offset: 29"},
       {R"({"inputs": {"y": {"z": [}]}})", "JSON Parse error: Invalid value. at offset: 24"},
       {R"({"instances": ["x"], "signature_name": 5})",
        "JSON Value: {\n    \"instances\": [\"x\"],\n    \"signature_name\": 5\n} not formatted "
        "correctly. 'signature_name' key must be a string value."}});
}

TEST(PredictJsonTest, SignatureWithoutInputsIsNamed) {
  const Signature none;
  EXPECT_EQ(Error(none, R"({"inputs": {}})"), "Failed to get input map for signature: DEFAULT");
  EXPECT_EQ(Error(none, R"({"signature_name": "empty"})"),
            "Failed to get input map for signature: empty");
}

TEST(PredictJsonTest, ExactlyOneOfInstancesAndInputsIsGiven) {
  ExpectErrors(
      One(DataType::kFloat),
      {{"{}", "Missing 'inputs' or 'instances' key"},
       {R"({"Inputs": [1.0]})", "Missing 'inputs' or 'instances' key"},
       {R"({"instances\u0000": [1.0]})", "Missing 'inputs' or 'instances' key"},
       {R"({"instances": [1.0], "inputs": null})",
        "JSON Value: {\n    \"instances\": [1.0],\n    \"inputs\": null\n} Not formatted correctly "
        "expecting only one of 'inputs' or 'instances' keys to exist "}});
  EXPECT_EQ(Floats(R"({"\u0069nputs": [1.0], "other": [1], "": 2})"), std::vector<float>{1});
}

// ---------------------------------------------------------------------------------- row format

TEST(PredictJsonTest, InstancesMustBeAListThatIsNotEmpty) {
  ExpectErrors(One(DataType::kFloat),
               {{R"({"instances": 1.0})",
                 "JSON Value: {\n    \"instances\": 1.0\n} Expecting 'instances' to be an "
                 "list/array"},
                {R"({"instances": []})",
                 "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"}});
}

TEST(PredictJsonTest, PlainRowsGetOneMoreDimension) {
  EXPECT_EQ(Floats(R"({"instances": [1.0, 2, 5]})"), (std::vector<float>{1, 2, 5}));
  const HostTensor tensor =
      Only(DataType::kFloat, R"({"instances": [[[1, 2, 3], [4, 5, 6]], [[0, 0, 0], [7, 8, 9]]]})");
  EXPECT_EQ(tensor.dims, (Dims{2, 2, 3}));
  EXPECT_EQ(Elements<float>(tensor), (std::vector<float>{1, 2, 3, 4, 5, 6, 0, 0, 0, 7, 8, 9}));
}

TEST(PredictJsonTest, RowsMayBeEmptyLists) {
  const HostTensor tensor = Only(DataType::kFloat, R"({"instances": [[], []]})");
  EXPECT_EQ(tensor.dims, (Dims{2, 0}));
  EXPECT_TRUE(tensor.data.empty());
}

TEST(PredictJsonTest, NamedRowsAreMergedInputByInput) {
  const Result<JsonInputs> result = Read(Three(), R"({"instances": [
      {"s": "x", "b": 3, "a": [1.0, 2.0]}, {"a": [4.0, 5.0], "b": 6, "s": {"b64": "/w=="}}]})");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->format, JsonFormat::kRow);
  ASSERT_EQ(result->inputs.size(), 3u);
  EXPECT_EQ(result->inputs[0].first, "a");
  EXPECT_EQ(result->inputs[0].second.dims, (Dims{2, 2}));
  EXPECT_EQ(Elements<float>(result->inputs[0].second), (std::vector<float>{1, 2, 4, 5}));
  EXPECT_EQ(result->inputs[1].first, "b");
  EXPECT_EQ(Elements<int64_t>(result->inputs[1].second), (std::vector<int64_t>{3, 6}));
  EXPECT_EQ(result->inputs[2].first, "s");
  EXPECT_EQ(result->inputs[2].second.strings, (std::vector<std::string_view>{"x", "\xff"}));
}

TEST(PredictJsonTest, NamedRowsHaveExactlyTheSignaturesKeys) {
  EXPECT_EQ(FloatError(R"({"instances": [{"x": 1.0}, {}]})"),
            "Failed to process element: 1 of 'instances' list. JSON object: {} keys must be equal "
            "to: x");
  ExpectErrors(
      Three(),
      {{R"({"instances": [{"a": 1.0, "s": ""}]})",
        "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1.0,\n    "
        "\"s\": \"\"\n} keys must be equal to: a,b,s"},
       {R"({"instances": [{"a": [1.0, 2.0], "b": 3, "s": "x", "z": 1}]})",
        "Failed to process element: 0 key: z of 'instances' list. Error: INVALID_ARGUMENT: JSON "
        "object: does not have named input: z"}});
}

TEST(PredictJsonTest, SeveralInputsNeedNamedRows) {
  EXPECT_EQ(Error(Three(), R"({"instances": [1.0, 2.0]})"),
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map");
  EXPECT_EQ(Error(Three(), R"({"instances": [{"b64": "AA=="}]})"),
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON "
            "Value: {\n    \"b64\": \"AA==\"\n} Type: Object is not of expected type: float");
}

TEST(PredictJsonTest, PlainAndNamedRowsDoNotMix) {
  ExpectErrors(One(DataType::kString),
               {{R"({"instances": [{"x": ""}, ""]})",
                 "Expecting object but got list at item 1 of input list"},
                {R"({"instances": ["", {"x": ""}]})",
                 "Expecting value/list but got object at item 1 of input list"},
                {R"({"instances": [{"b64": "YQ=="}, {"x": "b"}]})",
                 "Expecting value/list but got object at item 1 of input list"}});
}

TEST(PredictJsonTest, RowsMustHaveTheFirstOnesShape) {
  const std::string prefix =
      "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: ";
  ExpectErrors(
      One(DataType::kFloat),
      {{R"({"instances": [[1.0], [1.0, 2.0]]})", prefix + "Expecting tensor size: 1 but got: 2"},
       {R"({"instances": [[1.0], 2.0]})", prefix + "Expecting shape [1] but got: []"},
       {R"({"instances": [1.0, [2.0]]})", prefix + "Expecting shape [] but got: [1]"},
       {R"({"instances": [[[1, 2], [3, 4]], [[1, 2, 3, 4]]]})",
        prefix + "Expecting shape [2,2] but got: [1,4]"},
       {R"({"instances": [[], [1.0]]})", prefix + "Expecting tensor size: 0 but got: 1"}});
  EXPECT_EQ(Error(Three(), R"({"instances": [{"a": [1.0, 2.0], "b": 3, "s": "x"},
                                             {"a": [4.0], "b": 6, "s": "y"}]})"),
            "Failed to process element: 1 key: a of 'instances' list. Error: INVALID_ARGUMENT: "
            "Expecting tensor size: 2 but got: 1");
}

TEST(PredictJsonTest, ARowMuchLongerThanTheFirstIsRefusedWithoutBeingStored) {
  std::string body = R"({"instances": [[1], [)";
  for (int i = 0; i < 1000; ++i) body += i ? ",7" : "7";
  EXPECT_EQ(FloatError(body + "]]}"),
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting "
            "tensor size: 1 but got: 1000");
}

TEST(PredictJsonTest, AnInputGivenTwiceInARowCountsOnce) {
  EXPECT_EQ(Floats(R"({"instances": [{"x": 1.0, "x": 2.0}, {"x": 3.0, "x": "no float"}]})"),
            (std::vector<float>{1, 3}));
}

TEST(PredictJsonTest, ANameInARowEndsAtANul) {
  EXPECT_EQ(Floats(R"({"instances": [{"x\u0000y": 1.0}]})"), std::vector<float>{1});
}

// ------------------------------------------------------------------------------- column format

TEST(PredictJsonTest, TheOnlyInputNeedsNoNameInColumnFormat) {
  EXPECT_EQ(Floats(R"({"inputs": [1.0, 2.0]})"), (std::vector<float>{1, 2}));
  EXPECT_EQ(Floats(R"({"inputs": {"x": [1.0, 2.0], "y": [3]}})"), (std::vector<float>{1, 2}));
  const HostTensor scalar = Only(DataType::kFloat, R"({"inputs": 3.0})");
  EXPECT_EQ(scalar.dims.size(), 0u);
  EXPECT_EQ(Elements<float>(scalar), std::vector<float>{3});
  EXPECT_EQ(Strings(R"({"inputs": {"b64": "aGVsbG8="}})"), std::vector<std::string>{"hello"});
}

TEST(PredictJsonTest, ColumnsMayDifferInShape) {
  const Result<JsonInputs> result =
      Read(Three(), R"({"inputs": {"z": 0, "s": "t", "b": [1, 2, 3], "a": [[], []]}})");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->format, JsonFormat::kColumn);
  EXPECT_EQ(result->inputs[0].second.dims, (Dims{2, 0}));
  EXPECT_EQ(result->inputs[1].second.dims, (Dims{3}));
  EXPECT_EQ(result->inputs[2].second.dims, Dims{});
}

TEST(PredictJsonTest, ColumnsMustAllBeThere) {
  ExpectErrors(One(DataType::kFloat),
               {{R"({"inputs": {"y": [1.0]}})", "Missing named input: x in 'inputs' object."},
                {R"({"inputs": {"b64": 5}})", "Missing named input: x in 'inputs' object."}});
  ExpectErrors(Three(),
               {{R"({"inputs": {"a": 1, "b": 2}})", "Missing named input: s in 'inputs' object."},
                {R"({"inputs": [1.0]})",
                 "inputs is a plain value/list, but expecting an object as multiple input "
                 "tensors required as per tensorinfo_map"},
                {R"({"inputs": {"b64": "AAAA"}})",
                 "inputs is a plain value/list, but expecting an object as multiple input "
                 "tensors required as per tensorinfo_map"}});
}

TEST(PredictJsonTest, TheFirstOfTwoColumnsOfOneNameCounts) {
  EXPECT_EQ(Floats(R"({"inputs": {"x": [1.0], "x": [2.0]}})"), std::vector<float>{1});
}

// --------------------------------------------------------------------------------------- shape

TEST(PredictJsonTest, RaggedListsAreRefused) {
  ExpectErrors(
      One(DataType::kFloat),
      {{R"({"inputs": [[1.0, 2.0], [3.0]]})",
        "Encountered list at unexpected size: 1 at level: 1 expected size: 2"},
       {R"({"inputs": [[1.0], 2.0]})",
        "JSON Value: 2.0 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"},
       {R"({"inputs": [1.0, [2.0]]})", "Encountered list at unexpected level: 1 expected < 1"},
       {R"({"inputs": [[], [1]]})",
        "Encountered list at unexpected size: 1 at level: 1 expected size: 0"},
       {R"({"instances": [[[1.0], [1.0, 2.0]]]})",
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: Encountered "
        "list at unexpected size: 2 at level: 1 expected size: 1"}});
}

TEST(PredictJsonTest, ListsSizeIsToldOfBeforeWhatIsWrongInTheList) {
  ExpectErrors(One(DataType::kFloat),
               {{R"({"inputs": [[1, 2], [3, "x", 5]]})",
                 "Encountered list at unexpected size: 3 at level: 1 expected size: 2"},
                {R"({"inputs": [[1, 2], [3, "x"]]})",
                 "JSON Value: \"x\" Type: String is not of expected type: float"},
                {R"({"inputs": [[[1], [2]], [["x"], [3, 4], 5]]})",
                 "Encountered list at unexpected size: 3 at level: 1 expected size: 2"},
                {R"({"inputs": [[[1], [2]], [[["x"], 1], [3]]]})",
                 "Encountered list at unexpected size: 2 at level: 2 expected size: 1"},
                {R"({"inputs": [["x"], [1, 2]]})",
                 "JSON Value: \"x\" Type: String is not of expected type: float"}});
}

TEST(PredictJsonTest, FaultsOfColumnsAreToldOfInTheSignaturesOrder) {
  ExpectErrors(Three(),
               {{R"({"inputs": {"s": 1, "b": "x", "a": [[1], 2]}})",
                 "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"},
                {R"({"inputs": {"s": 1, "b": "x"}})", "Missing named input: a in 'inputs' object."},
                {R"({"inputs": {"s": 1, "b": {"c": [1]}, "a": 1}})",
                 "JSON Value: {\n    \"c\": [1]\n} Type: Object is not of expected type: int64"}});
}

TEST(PredictJsonTest, TensorsOfVeryDifferentSizesGrowAsTheyMust) {
  std::string body = R"({"inputs": {"b": 7, "s": ["x,y", ","], "a": [0)";
  for (int i = 1; i < 1000; ++i) body += "," + std::to_string(i);
  const Result<JsonInputs> result = Read(Three(), body + "]}}");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  const std::vector<float> floats = Elements<float>(result->inputs[0].second);
  ASSERT_EQ(floats.size(), 1000u);
  for (size_t i = 0; i < floats.size(); ++i) EXPECT_EQ(floats[i], static_cast<float>(i));
  EXPECT_EQ(Elements<int64_t>(result->inputs[1].second), std::vector<int64_t>{7});
  EXPECT_EQ(result->inputs[2].second.strings, (std::vector<std::string_view>{"x,y", ","}));
}

TEST(PredictJsonTest, AShapeFarLargerThanTheDocumentIsRefusedWithoutItsMemory) {
  // The first elements promise 100^20 values.
  std::string list = "1";
  for (int level = 0; level < 20; ++level) {
    list = "[" + list;
    for (int i = 0; i < 99; ++i) list += ",1";
    list += "]";
  }
  EXPECT_EQ(FloatError("{\"inputs\": " + list + "}"),
            "JSON Value: 1 found at incorrect level: 20 in the JSON DOM. Expected at level: 20");
}

TEST(PredictJsonTest, RankIsLimitedToTensorFlows) {
  EXPECT_EQ(Only(DataType::kFloat, "{\"inputs\": " + Nested(254, "1") + "}").dims.size(), 254u);
  EXPECT_EQ(FloatError("{\"inputs\": " + Nested(255, "1") + "}"), "tensor parsing error: x");
  EXPECT_EQ(FloatError("{\"instances\": " + Nested(255, "1") + "}"), "tensor parsing error: x");
}

TEST(PredictJsonTest, NestingOfAnyDepthIsReadWithoutRecursion) {
  constexpr size_t kDeep = 1'000'000;
  EXPECT_EQ(FloatError("{\"inputs\": " + Nested(kDeep, "1") + "}"), "tensor parsing error: x");
  EXPECT_EQ(FloatError("{\"inputs\": [1, " + Nested(kDeep, "1") + "]}"),
            "Encountered list at unexpected level: 1 expected < 1");
  EXPECT_EQ(FloatError("{\"inputs\": " + Nested(kDeep, "") + "}"), "tensor parsing error: x");
  std::string objects = "{\"inputs\": ";
  for (size_t i = 0; i < kDeep; ++i) objects += "{\"x\":";
  objects += "1" + std::string(kDeep + 1, '}');
  EXPECT_TRUE(FloatError(objects).ends_with("\"x\" Type: Object is not of expected type: float"));
}

// -------------------------------------------------------------------------------------- values

TEST(PredictJsonTest, BuffersAreAligned) {
  const HostTensor tensor = Only(DataType::kFloat, R"({"instances": [[1, 2, 3], [4, 5, 6]]})");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data.data()) % kTensorAlignment, 0u);
  EXPECT_EQ(tensor.owner.data(), tensor.data.data());
}

TEST(PredictJsonTest, FloatsTakeAnyNumber) {
  const std::vector<float> floats =
      Floats(R"({"inputs": [1, -2, 1.5, 1e39, 9007199254740993, 18446744073709551616, -0.0]})");
  EXPECT_EQ(floats, (std::vector<float>{1, -2, 1.5, HUGE_VALF, 9007199254740992.0f,
                                        18446744073709551616.0f, 0}));
  EXPECT_TRUE(std::signbit(floats.back()));
}

TEST(PredictJsonTest, FloatsTakeTheWordsForNanAndInfinity) {
  const std::vector<float> floats =
      Floats(R"({"inputs": [Inf, Infinity, -Inf, -Infinity, NaN, -NaN]})");
  EXPECT_EQ(std::vector<float>(floats.begin(), floats.begin() + 4),
            (std::vector<float>{HUGE_VALF, HUGE_VALF, -HUGE_VALF, -HUGE_VALF}));
  EXPECT_TRUE(std::isnan(floats[4]) && std::isnan(floats[5]));
}

TEST(PredictJsonTest, DenormalNumbersBecomeZero) {
  EXPECT_EQ(Floats(R"({"inputs": [1e-40, 1.4e-45, 1e-99999, 1e-37]})"),
            (std::vector<float>{0, 0, 0, 1e-37f}));
  EXPECT_EQ(Elements<double>(Only(DataType::kDouble, R"({"inputs": [5e-324, 1e-40]})")),
            (std::vector<double>{0, 1e-40}));
}

TEST(PredictJsonTest, IntegersAreRangeCheckedAsInt32AndCutForNarrowerTypes) {
  EXPECT_EQ(Elements<int32_t>(Only(DataType::kInt32, R"({"inputs": [2147483647, -2147483648]})")),
            (std::vector<int32_t>{INT32_MAX, INT32_MIN}));
  EXPECT_EQ(Elements<int16_t>(Only(DataType::kInt16, R"({"inputs": [32768, -1]})")),
            (std::vector<int16_t>{INT16_MIN, -1}));
  EXPECT_EQ(Elements<int8_t>(Only(DataType::kInt8, R"({"inputs": [128, 5]})")),
            (std::vector<int8_t>{INT8_MIN, 5}));
  EXPECT_EQ(Elements<uint8_t>(Only(DataType::kUint8, R"({"inputs": [256, -1]})")),
            (std::vector<uint8_t>{0, 255}));
  EXPECT_EQ(Error(One(DataType::kUint8), R"({"inputs": [2147483648]})"),
            "JSON Value: 2147483648 Type: Number is not of expected type: uint8");
}

TEST(PredictJsonTest, WideIntegersTakeTheirWholeRange) {
  EXPECT_EQ(Elements<int64_t>(Only(DataType::kInt64,
                                   R"({"inputs": [9223372036854775807, -9223372036854775808]})")),
            (std::vector<int64_t>{INT64_MAX, INT64_MIN}));
  EXPECT_EQ(Elements<uint64_t>(Only(DataType::kUint64, R"({"inputs": [18446744073709551615]})")),
            std::vector<uint64_t>{UINT64_MAX});
  EXPECT_EQ(Elements<uint32_t>(Only(DataType::kUint32, R"({"inputs": [4294967295, 0]})")),
            (std::vector<uint32_t>{UINT32_MAX, 0}));
  EXPECT_EQ(Error(One(DataType::kUint32), R"({"inputs": [-1]})"),
            "JSON Value: -1 Type: Number is not of expected type: uint32");
  EXPECT_EQ(Error(One(DataType::kInt64), R"({"inputs": [-9223372036854775809]})"),
            "JSON Value: -9223372036854776000.0 Type: Number is not of expected type: int64");
}

TEST(PredictJsonTest, IntegersTakeIntegerLiteralsOnly) {
  ExpectErrors(
      One(DataType::kInt32),
      {{R"({"inputs": [1.0]})", "JSON Value: 1.0 Type: Number is not of expected type: int32"},
       {R"({"inputs": [1e3]})", "JSON Value: 1000.0 Type: Number is not of expected type: int32"},
       {R"({"inputs": [null]})", "JSON Value: null Type: Null is not of expected type: int32"}});
}

TEST(PredictJsonTest, BoolsTakeTrueAndFalseOnly) {
  EXPECT_EQ(Elements<uint8_t>(Only(DataType::kBool, R"({"inputs": [true, false]})")),
            (std::vector<uint8_t>{1, 0}));
  EXPECT_EQ(Error(One(DataType::kBool), R"({"inputs": [1, 0]})"),
            "JSON Value: 1 Type: Number is not of expected type: bool");
}

TEST(PredictJsonTest, WrongTypesAreNamed) {
  ExpectErrors(
      One(DataType::kFloat),
      {{R"({"inputs": "abc"})", "JSON Value: \"abc\" Type: String is not of expected type: float"},
       {R"({"inputs": true})", "JSON Value: true Type: True is not of expected type: float"},
       {R"({"inputs": [{"x": 1.0}]})",
        "JSON Value: {\n    \"x\": 1.0\n} Type: Object is not of expected type: float"},
       {R"({"instances": ["é\u0001\"😀"]})",
        "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON "
        "Value: \"é\\u0001\\\"😀\" Type: String is not of expected type: float"}});
  EXPECT_EQ(Error(One(DataType::kString), R"({"inputs": [false]})"),
            "JSON Value: false Type: False is not of expected type: string");
}

TEST(PredictJsonTest, StringsAreDecodedAndOutliveTheRequest) {
  EXPECT_EQ(
      Strings(R"({"inputs": ["é\u4e2d\ud83d\ude00", "", {"b64": "/w D+"}, "a\u0000"]})"),
      (std::vector<std::string>{"é中😀", "", std::string("\xff\0\xfe", 3), std::string("a\0", 2)}));
}

TEST(PredictJsonTest, AllStringTensorsOfARequestShareOneBuffer) {
  const Signature two = SignatureOf({{"s", DataType::kString}, {"t", DataType::kString}});
  const Result<JsonInputs> result =
      Read(two, R"({"instances": [{"s": "ab", "t": {"b64": "Yw"}}, {"s": "de", "t": "f"}]})");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->inputs[0].second.strings, (std::vector<std::string_view>{"ab", "de"}));
  EXPECT_EQ(result->inputs[1].second.strings, (std::vector<std::string_view>{"c", "f"}));
  EXPECT_EQ(result->inputs[0].second.owner.data(), result->inputs[1].second.owner.data());
}

TEST(PredictJsonTest, OnlyAnObjectOfOneB64StringIsBase64) {
  ExpectErrors(
      One(DataType::kString),
      {{R"({"inputs": [{"b64": "aGV*bG8="}]})", "Unable to base64 decode"},
       {R"({"inputs": [{"b64": "YQ==", "b64": "Yg=="}]})",
        "JSON Value: {\n    \"b64\": \"YQ==\",\n    \"b64\": \"Yg==\"\n} not formatted correctly "
        "for base64 data"},
       {R"({"inputs": {"x": {"b64": 5}}})",
        "JSON Value: {\n    \"b64\": 5\n} not formatted correctly for base64 data"},
       {R"({"instances": [{"b64": 5}]})",
        "Failed to process element: 0 key: b64 of 'instances' list. Error: INVALID_ARGUMENT: JSON "
        "object: does not have named input: b64"},
       {R"({"instances": [{"x": {"b64": "aGV*bG8="}}]})",
        "Failed to process element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: Unable "
        "to base64 decode"}});
}

TEST(PredictJsonTest, AnInputNamedB64GivenAStringIsBase64Data) {
  const Signature b64 = SignatureOf({{"b64", DataType::kString}});
  const Result<JsonInputs> result = Read(b64, R"({"instances": [{"b64": "YQ=="}]})");
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->inputs[0].second.strings, std::vector<std::string_view>{"a"});
}

TEST(PredictJsonTest, TypesWithoutJsonFormAreUnimplementedInColumnFormat) {
  for (const auto& [dtype, name] :
       {std::pair{DataType::kHalf, "half"}, std::pair{DataType::kUint16, "uint16"},
        std::pair{DataType::kComplex128, "complex128"}, std::pair{DataType::kQint8, "qint8"}}) {
    const Status status = Read(One(dtype), R"({"inputs": [1.5]})").status();
    EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
    EXPECT_EQ(status.message(), std::string("Conversion of JSON Value: 1.5 to type: ") + name);
  }
  EXPECT_EQ(Error(One(DataType::kHalf), R"({"inputs": [{}]})"),
            "JSON Value: {} Type: Object is not of expected type: half");
}

TEST(PredictJsonTest, TypesWithoutJsonFormAreInvalidInRowFormat) {
  EXPECT_EQ(Error(One(DataType::kBfloat16), R"({"instances": [1, 0]})"),
            "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of "
            "JSON Value: 1 to type: bfloat16");
}

// ---------------------------------------------------------------------------------- debug text

TEST(PredictJsonTest, ValuesInErrorsEndWithTheTokenThatPasses256Bytes) {
  std::string numbers;
  for (int i = 0; i < 200; ++i) numbers += i ? ", 1" : "1";
  // "[1" and 85 times ", 1" are 257 bytes.
  EXPECT_EQ(FloatError("[" + numbers + "]"),
            "JSON Value: [" + numbers.substr(0, 256) + " Is not object");
  const std::string word(1000, 'w');
  EXPECT_EQ(FloatError("[\"" + word + "\", 1]"), "JSON Value: [\"" + word + "\" Is not object");
}

TEST(PredictJsonTest, ObjectsInErrorsAreCutAsTheyAreIndented) {
  std::string objects;
  for (int i = 0; i < 30; ++i) objects += "{\"x\":";
  const std::string error =
      FloatError("{\"instances\": [" + objects + "1" + std::string(30, '}') + "]}");
  std::string want =
      "Failed to process element: 0 key: x of 'instances' list. Error: INVALID_ARGUMENT: JSON "
      "Value: {";
  for (size_t depth = 1; depth <= 9; ++depth) {
    want += "\n" + std::string(4 * depth, ' ') + "\"x\": {";
  }
  want += "\n" + std::string(40, ' ') + "\"x\" Type: Object is not of expected type: float";
  EXPECT_EQ(error, want);
}

TEST(PredictJsonTest, NanEndsAValueInAnError) {
  EXPECT_EQ(FloatError(R"({"inputs": ["a", NaN], "instances": 1})"),
            "JSON Value: {\n    \"inputs\": [\"a\",  Not formatted correctly expecting only one of "
            "'inputs' or 'instances' keys to exist ");
}

}  // namespace
}  // namespace fastserve
