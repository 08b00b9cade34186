#include "codec/inference_wire.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "codec/wire_building.h"

namespace fastserve {
namespace {

// The fields of a Feature, by kind.
std::string Floats(std::initializer_list<float> values) {
  return BytesField(2, BytesField(1, Bits<float>(values)));
}
std::string Ints(const std::string& packed) { return BytesField(3, BytesField(1, packed)); }
std::string Strings(const std::string& value) { return BytesField(1, BytesField(1, value)); }

// An Example of one feature.
std::string Example(const std::string& name, const std::string& feature) {
  return BytesField(1, MapEntryField(1, name, feature));
}
std::string Plain(float value) { return Example("x", Floats({value})); }

std::string Spec(const std::string& name) { return BytesField(1, BytesField(1, name)); }
std::string Input(const std::string& kinds) { return BytesField(2, kinds); }
std::string List(const std::string& examples) { return BytesField(1, examples); }
std::string WithContext(const std::string& fields) { return BytesField(2, fields); }
std::string Element(const std::string& example) { return BytesField(1, example); }
std::string Context(const std::string& example) { return BytesField(2, example); }

// The request's bytes stay where they are while its view is looked at.
struct Parsed {
  explicit Parsed(std::string message)
      : bytes(std::move(message)), result(ParseInferenceRequest(bytes)) {}

  bool ok() const { return result.ok(); }
  const std::vector<ByteView>& examples() const { return result->input.examples; }
  std::vector<ByteView> context() const {
    return {result->input.context.begin(), result->input.context.end()};
  }

  std::string bytes;
  Result<InferenceRequestView> result;
};

using Views = std::vector<ByteView>;

void ExpectInternal(const std::string& message, const std::string& what) {
  const Parsed parsed(message);
  ASSERT_FALSE(parsed.ok()) << what;
  EXPECT_EQ(parsed.result.status().code(), StatusCode::kInternal) << what;
  EXPECT_EQ(parsed.result.status().message(), "") << what;
}

TEST(ParseInferenceRequestTest, ExamplesAreSlicesOfTheRequest) {
  const std::string first = Plain(1);
  const std::string second = Example("s", Strings("\xff")) + Example("n", Ints(Varint(300)));
  const Parsed parsed(Spec("m") + Input(List(Element(first) + Element(second) + Element(""))));
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(parsed.result->has_model_spec);
  EXPECT_EQ(parsed.result->model_spec.name, "m");
  EXPECT_EQ(parsed.examples(), (Views{first, second, ""}));
  EXPECT_EQ(parsed.context(), Views());
  EXPECT_GE(parsed.examples()[0].data(), parsed.bytes.data());
  EXPECT_LT(parsed.examples()[0].data(), parsed.bytes.data() + parsed.bytes.size());
}

TEST(ParseInferenceRequestTest, AnEmptyMessageHasNeitherSpecNorExamples) {
  const Parsed parsed("");
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed.result->has_model_spec);
  EXPECT_EQ(parsed.examples(), Views());
}

TEST(ParseInferenceRequestTest, ContextComesBeforeOrAfterTheExamples) {
  const std::string context = Plain(8);
  const std::string example = Plain(1);
  for (const std::string& fields :
       {Context(context) + Element(example), Element(example) + Context(context)}) {
    const Parsed parsed(Input(WithContext(fields)));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(parsed.examples(), Views{example});
    EXPECT_EQ(parsed.context(), Views{context});
  }
}

TEST(ParseInferenceRequestTest, PiecesOfOneKindAddUp) {
  const Parsed lists(Input(List(Element(Plain(1)))) + Input(List(Element(Plain(2)))));
  ASSERT_TRUE(lists.ok());
  EXPECT_EQ(lists.examples(), (Views{Plain(1), Plain(2)}));
  const Parsed contexts(
      Input(WithContext(Context(Plain(1))) + WithContext(Context(Plain(2)) + Element(""))));
  ASSERT_TRUE(contexts.ok());
  EXPECT_EQ(contexts.examples(), Views{""});
  EXPECT_EQ(contexts.context(), (Views{Plain(1), Plain(2)}));
}

TEST(ParseInferenceRequestTest, OfTwoKindsTheLastOneCounts) {
  const std::string list = List(Element(Plain(1)));
  const std::string with_context = WithContext(Context(Plain(8)) + Element(Plain(2)));
  const Parsed first(Input(list + with_context + list));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first.examples(), Views{Plain(1)});
  EXPECT_EQ(first.context(), Views());
  const Parsed second(Input(list) + Input(with_context));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second.examples(), Views{Plain(2)});
  EXPECT_EQ(second.context(), Views{Plain(8)});
  const Parsed emptied(Input(list) + Input(WithContext("")));
  ASSERT_TRUE(emptied.ok());
  EXPECT_EQ(emptied.examples(), Views());
}

TEST(ParseInferenceRequestTest, UnknownFieldsAndOtherWireTypesAreSkipped) {
  const std::string unknown = VarintField(1, 5) + BytesField(9, "?") + VarintField(77, 1) +
                              Varint(8 << 3 | 3) + Varint(8 << 3 | 4);
  const Parsed parsed(unknown + Input(unknown + List(VarintField(1, 5) + BytesField(2, "\xff") +
                                                     Element(unknown + Plain(1)))));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.examples(), Views{unknown + Plain(1)});
}

TEST(ParseInferenceRequestTest, BrokenExamplesDoNotParse) {
  const auto one = [](const std::string& example) { return Input(List(Element(example))); };
  ExpectInternal(one("\x0a"), "a length is missing");
  ExpectInternal(one(BytesField(1, "\x0a\x05")), "features end early");
  ExpectInternal(one(Example("\xff", Floats({1}))), "a name is not UTF-8");
  ExpectInternal(one(Example("x", BytesField(2, BytesField(1, "12345")))), "floats of 5 bytes");
  ExpectInternal(one(Example("x", Ints("\x80"))), "an open varint");
  ExpectInternal(one(Example("x", BytesField(1, "\x0a\x7f"))), "a string ends early");
  ExpectInternal(Input(WithContext(Context("\x0a"))), "a broken context");
  // Broken, and then replaced: it must parse all the same.
  ExpectInternal(Input(List(Element("\x0a"))) + Input(WithContext("")), "a replaced list");
}

TEST(ParseInferenceRequestTest, BrokenMessagesDoNotParse) {
  const std::string whole = Spec("m") + Input(List(Element(Plain(1))));
  for (size_t size = 1; size < whole.size(); ++size) {
    if (size == Spec("m").size()) continue;
    ExpectInternal(whole.substr(0, size), "cut after " + std::to_string(size));
  }
  ExpectInternal(Spec("\xff"), "a name is not UTF-8");
  ExpectInternal(Varint(8 << 3 | 3), "an open group");
}

TEST(ParseMultiInferenceRequestTest, ReadsTasksAndInput) {
  const std::string bytes =
      BytesField(1, Spec("m") + BytesField(2, "tensorflow/serving/classify")) + BytesField(1, "") +
      Input(List(Element(Plain(1))));
  const Result<MultiInferenceRequestView> parsed = ParseMultiInferenceRequest(bytes);
  ASSERT_TRUE(parsed.ok());
  ASSERT_EQ(parsed->tasks.size(), 2u);
  EXPECT_EQ(parsed->tasks[0].model_spec.name, "m");
  EXPECT_EQ(parsed->tasks[0].method_name, "tensorflow/serving/classify");
  EXPECT_EQ(parsed->tasks[1].model_spec.name, "");
  EXPECT_EQ(parsed->input.examples, Views{Plain(1)});
}

TEST(ParseMultiInferenceRequestTest, ATextThatIsNotUtf8DoesNotParse) {
  const Status status = ParseMultiInferenceRequest(BytesField(1, BytesField(2, "\xff"))).status();
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_EQ(status.message(), "");
}

constexpr AnsweringModel kModel{"m", 7, "sig"};

std::string SpecField(uint32_t field) {
  return BytesField(field,
                    BytesField(1, "m") + BytesField(2, VarintField(1, 7)) + BytesField(3, "sig"));
}

std::string FloatField(uint32_t field, float value) {
  return Varint(field << 3 | 5) + Bits<float>({value});
}

std::string Class(const std::string& fields) { return BytesField(1, fields); }

TEST(WriteInferenceResponseTest, ClassificationsComeRowByRow) {
  const std::vector<std::string_view> labels = {"a", "", "\xff", "b"};
  const std::string scores = Bits<float>({2, 0, -0.0f, 0.5});
  const ClassificationsView view{2, 2, labels, scores};
  EXPECT_EQ(WriteInferenceResponse({kModel, view}).Flatten(),
            BytesField(1, BytesField(1, Class(BytesField(1, "a") + FloatField(2, 2)) + Class("")) +
                              BytesField(1, Class(BytesField(1, "\xff") + FloatField(2, -0.0f)) +
                                                Class(BytesField(1, "b") + FloatField(2, 0.5)))) +
                SpecField(2));
}

TEST(WriteInferenceResponseTest, WhatTheModelLacksIsLeftOut) {
  const std::vector<std::string_view> labels = {"a"};
  const std::string scores = Bits<float>({1});
  const ClassificationsView only_labels{1, 1, labels, {}};
  const ClassificationsView only_scores{1, 1, {}, scores};
  const ClassificationsView none{2, 0, {}, {}};
  EXPECT_EQ(WriteInferenceResponse({kModel, only_labels}).Flatten(),
            BytesField(1, BytesField(1, Class(BytesField(1, "a")))) + SpecField(2));
  EXPECT_EQ(WriteInferenceResponse({kModel, only_scores}).Flatten(),
            BytesField(1, BytesField(1, Class(FloatField(2, 1)))) + SpecField(2));
  EXPECT_EQ(WriteInferenceResponse({kModel, none}).Flatten(),
            BytesField(1, BytesField(1, "") + BytesField(1, "")) + SpecField(2));
}

TEST(WriteInferenceResponseTest, RegressionsAreOneAnExample) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::string values = Bits<float>({1.5, 0, nan});
  EXPECT_EQ(WriteInferenceResponse({kModel, RegressionsView{values}}).Flatten(),
            BytesField(1, BytesField(1, FloatField(1, 1.5)) + BytesField(1, "") +
                              BytesField(1, FloatField(1, nan))) +
                SpecField(2));
}

TEST(WriteMultiInferenceResponseTest, EachResultHasItsSpecAndKind) {
  const std::string floats = Bits<float>({1});
  const std::vector<InferenceAnswer> answers = {
      {kModel, ClassificationsView{1, 1, {}, floats}},
      {kModel, RegressionsView{floats}},
  };
  EXPECT_EQ(WriteMultiInferenceResponse(answers).Flatten(),
            BytesField(1, SpecField(1) + BytesField(2, BytesField(1, Class(FloatField(2, 1))))) +
                BytesField(1, SpecField(1) + BytesField(3, BytesField(1, FloatField(1, 1)))));
  EXPECT_EQ(WriteMultiInferenceResponse({}).size(), 0u);
}

}  // namespace
}  // namespace fastserve
