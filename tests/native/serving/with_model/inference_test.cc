#include "serving/inference.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "codec/wire_building.h"
#include "serving/with_model/load_servable.h"

namespace fastserve {
namespace {

// The model `heads` of the compatibility recordings: x (default 1) and n (default 0) of an Example
// -> scores [x, 2x, x/4]; first = x + n.
const Servable& Heads() {
  static const ServablePtr servable = [] {
    Result<ServablePtr> loaded = Servable::Load(
        TensorFlow(), "heads", 7,
        {.directory = FASTSERVE_RECORDED_MODELS "/heads/7", .tags = {"serve"}, .config_proto = ""},
        std::nullopt, nullptr);
    EXPECT_TRUE(loaded.ok()) << loaded.status().ToString();
    return loaded.ok() ? *loaded : nullptr;
  }();
  return *servable;
}

std::string Example(float x) {
  return BytesField(1, MapEntryField(1, "x", BytesField(2, BytesField(1, Bits<float>({x})))));
}
std::string Spec(const std::string& signature) {
  return BytesField(1, BytesField(1, "any name") + BytesField(3, signature));
}
// The input field of every request: these examples.
std::string Examples(std::initializer_list<float> xs) {
  std::string list;
  for (const float x : xs) list += BytesField(1, Example(x));
  return BytesField(2, BytesField(1, list));
}
std::string Task(const std::string& signature, const std::string& method) {
  return BytesField(1, Spec(signature) + BytesField(2, "tensorflow/serving/" + method));
}

std::string FloatField(uint32_t field, float value) {
  return Varint(field << 3 | 5) + Bits<float>({value});
}
std::string AnswerSpec(uint32_t field, const std::string& signature) {
  return BytesField(field, BytesField(1, "any name") + BytesField(2, VarintField(1, 7)) +
                               BytesField(3, signature));
}
std::string Scores(std::initializer_list<float> scores) {
  std::string classes;
  for (const float score : scores) classes += BytesField(1, FloatField(2, score));
  return BytesField(1, classes);
}
std::string Value(float value) { return BytesField(1, FloatField(1, value)); }

// The answer's bytes, or the error's text.
std::string Answer(InferenceRpc rpc, const std::string& request,
                   const InferenceOptions& options = {}) {
  Result<InferenceJob> job = InferenceJob::Parse(rpc, ByteBuffer::Copy(request));
  if (!job.ok()) return job.status().ToString();
  if (Status bound = job->Bind(Heads(), options); !bound.ok()) return bound.ToString();
  const Result<RunRequest> run = job->Prepare();
  if (!run.ok()) return run.status().ToString();
  const Result<RunOutputs> ran = RunNow(Heads().session(), *run);
  if (!ran.ok()) return ran.status().ToString();
  const Result<ByteChain> answer = job->Answer(*ran);
  return answer.ok() ? answer->Flatten() : answer.status().ToString();
}

constexpr InferenceOptions kChecked{.check_method_names = true};

TEST(InferenceAnswerTest, ClassifyAnswersEachExample) {
  EXPECT_EQ(Answer(InferenceRpc::kClassify, Spec("scores_only") + Examples({2, 4})),
            BytesField(1, Scores({2, 4, 0.5}) + Scores({4, 8, 1})) + AnswerSpec(2, "scores_only"));
}

TEST(InferenceAnswerTest, RegressAnswersEachExample) {
  EXPECT_EQ(Answer(InferenceRpc::kRegress, Spec("regress") + Examples({2, 4})),
            BytesField(1, Value(2) + Value(4)) + AnswerSpec(2, "regress"));
  EXPECT_EQ(Answer(InferenceRpc::kRegress, Spec("regress_column") + Examples({2})),
            BytesField(1, Value(2)) + AnswerSpec(2, "regress_column"));
}

TEST(InferenceAnswerTest, MultiInferenceAnswersTaskByTask) {
  EXPECT_EQ(Answer(InferenceRpc::kMultiInference,
                   Task("regress", "regress") + Task("scores_only", "classify") + Examples({2})),
            BytesField(1, AnswerSpec(1, "regress") + BytesField(3, Value(2))) +
                BytesField(1, AnswerSpec(1, "scores_only") + BytesField(2, Scores({2, 4, 0.5}))));
}

TEST(InferenceAnswerTest, ContextGoesBeforeEachExample) {
  const std::string input = BytesField(
      2, BytesField(2, BytesField(2, Example(8)) + BytesField(1, "") + BytesField(1, Example(3))));
  EXPECT_EQ(Answer(InferenceRpc::kRegress, Spec("regress") + input),
            BytesField(1, Value(8) + Value(3)) + AnswerSpec(2, "regress"));
}

TEST(InferenceAnswerTest, AContextThatMultipliesToTooMuchIsRefused) {
  const std::string context = BytesField(2, BytesField(15, std::string(1 << 20, 'c')));
  std::string examples;
  for (int i = 0; i < 4096; ++i) examples += BytesField(1, "");
  const std::string input = BytesField(2, BytesField(2, context + examples));
  EXPECT_TRUE(Answer(InferenceRpc::kRegress, Spec("regress") + input)
                  .starts_with("RESOURCE_EXHAUSTED: The examples with their context take 4294"));
}

TEST(InferenceAnswerTest, SignatureIsCheckedBeforeTheInput) {
  EXPECT_EQ(Answer(InferenceRpc::kClassify, Spec("nope")),
            "INVALID_ARGUMENT: No signature was found with the name: nope");
  EXPECT_EQ(Answer(InferenceRpc::kClassify, Spec("scores_only")),
            "INVALID_ARGUMENT: Input is empty.");
  EXPECT_EQ(Answer(InferenceRpc::kMultiInference, Task("nope", "regress")),
            "INVALID_ARGUMENT: Requested signature not found in model graph: nope");
}

TEST(InferenceAnswerTest, TheInputMustBeNamedInputsAndBeTheOnlyOne) {
  const std::string text = Answer(InferenceRpc::kClassify, Spec("bad_input_alias") + Examples({1}));
  EXPECT_TRUE(
      text.starts_with("INVALID_ARGUMENT: No classification inputs found in SignatureDef: "
                       "goo.gle/debugproto  \ninputs {\n  key: \"examples\"\n"))
      << text;
  EXPECT_TRUE(Answer(InferenceRpc::kRegress, Spec("bad_regress_input") + Examples({1}))
                  .starts_with("INVALID_ARGUMENT: No regression inputs found in SignatureDef: "));
  EXPECT_EQ(Answer(InferenceRpc::kClassify, Spec("bad_two_inputs") + Examples({1})),
            "INVALID_ARGUMENT: Expected one input Tensor.");
}

struct Refused {
  InferenceRpc rpc;
  const char* signature;
  const char* text;
};

TEST(InferenceAnswerTest, OutputsMustFitTheMethod) {
  for (const Refused& c : {
           Refused{InferenceRpc::kClassify, "bad_three_outputs",
                   "Expected one or two output Tensors, found 3"},
           Refused{InferenceRpc::kClassify, "bad_scores_rank",
                   "Expected Tensor shape: [batch_size num_classes] but got [2]"},
           Refused{InferenceRpc::kClassify, "bad_scores_dtype",
                   "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"},
           Refused{InferenceRpc::kClassify, "bad_scores_batch",
                   "Expected scores output batch size of 2. Got: 1"},
           Refused{InferenceRpc::kClassify, "bad_classes_rank",
                   "Expected Tensor shape: [batch_size num_classes] but got [2]"},
           Refused{InferenceRpc::kClassify, "bad_classes_dtype",
                   "Expected classes Tensor of DT_STRING. Got: DT_INT64"},
           Refused{InferenceRpc::kClassify, "bad_classes_batch",
                   "Expected classes output batch size of 2. Got: 1"},
           Refused{InferenceRpc::kClassify, "bad_width",
                   "Tensors class and score should match in dim_size(1). Got 2 vs. 3"},
           Refused{InferenceRpc::kRegress, "bad_regress_two", "Expected one output Tensor."},
           Refused{InferenceRpc::kRegress, "bad_regress_rank",
                   "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but "
                   "got [2,3]"},
           Refused{InferenceRpc::kRegress, "bad_regress_batch",
                   "Input batch size did not match output batch size: 2 vs. 1"},
           Refused{InferenceRpc::kRegress, "bad_regress_dtype",
                   "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"},
       }) {
    EXPECT_EQ(Answer(c.rpc, Spec(c.signature) + Examples({1, 2})),
              std::string("INVALID_ARGUMENT: ") + c.text)
        << c.signature;
  }
}

TEST(InferenceAnswerTest, TasksAreOfOneModelAndOfDifferentSignatures) {
  const std::string good = Task("regress", "regress");
  const std::string input = Examples({1});
  const auto answer = [&](const std::string& task) {
    return Answer(InferenceRpc::kMultiInference, good + task + input);
  };
  EXPECT_EQ(answer(BytesField(1, "")),
            "INVALID_ARGUMENT: Found ModelSpec with an empty model name.");
  EXPECT_EQ(
      answer(BytesField(1, BytesField(1, BytesField(1, "other")))),
      "INVALID_ARGUMENT: All ModelSpecs in a MultiInferenceRequest must access the same model "
      "name.");
  EXPECT_EQ(answer(good), "INVALID_ARGUMENT: Duplicate evaluation of signature: regress");
  EXPECT_EQ(answer(Task("", "classify") + Task("serving_default", "classify")),
            "INVALID_ARGUMENT: Duplicate evaluation of signature: serving_default");
  EXPECT_EQ(answer(Task("predict", "predict")),
            "UNIMPLEMENTED: Unsupported signature method_name: tensorflow/serving/predict");
}

TEST(InferenceAnswerTest, TheMethodNameOfASignatureCountsOnlyWhenChecked) {
  const std::string request = Spec("regress_as_predict") + Examples({1});
  EXPECT_EQ(Answer(InferenceRpc::kRegress, request),
            BytesField(1, Value(1)) + AnswerSpec(2, "regress_as_predict"));
  EXPECT_EQ(Answer(InferenceRpc::kRegress, request, kChecked),
            "INVALID_ARGUMENT: Expected regression signature method_name to be "
            "tensorflow/serving/regress. Was: tensorflow/serving/predict");
  EXPECT_EQ(Answer(InferenceRpc::kClassify, Spec("classify_as_predict") + Examples({1}), kChecked),
            "INVALID_ARGUMENT: Expected classification signature method_name to be "
            "tensorflow/serving/classify. Was: tensorflow/serving/predict");
  EXPECT_EQ(Answer(InferenceRpc::kRegress, Spec("regress") + Examples({1}), kChecked),
            BytesField(1, Value(1)) + AnswerSpec(2, "regress"));
}

TEST(InferenceAnswerTest, BytesThatDoNotParseAreAnInternalError) {
  for (const InferenceRpc rpc :
       {InferenceRpc::kClassify, InferenceRpc::kRegress, InferenceRpc::kMultiInference}) {
    EXPECT_EQ(Answer(rpc, "\x0a\x7f"), "INTERNAL: ");
  }
}

TEST(InferenceJobTest, TellsWhichModelIsAskedFor) {
  const auto parse = [](InferenceRpc rpc, const std::string& message) {
    return *InferenceJob::Parse(rpc, ByteBuffer::Copy(message));
  };
  EXPECT_EQ(parse(InferenceRpc::kClassify, "").model_spec().status().message(),
            "Missing ModelSpec");
  const std::string spec = Spec("regress");
  EXPECT_EQ(parse(InferenceRpc::kRegress, spec).model_spec()->name, "any name");
  EXPECT_EQ(parse(InferenceRpc::kMultiInference, "").model_spec()->name, "");
  const std::string tasks = Task("regress", "regress") + BytesField(1, "");
  EXPECT_EQ(parse(InferenceRpc::kMultiInference, tasks).model_spec()->name, "any name");
}

TEST(InferenceJobTest, IsCheapOnceAllItsSignaturesAre) {
  const BoundSignature* regress = Heads().FindSignature("regress_column");
  const BoundSignature* scores = Heads().FindSignature("classify_and_other");
  const std::string request =
      Task("regress_column", "regress") + Task("classify_and_other", "classify") + Examples({1});
  Result<InferenceJob> job =
      InferenceJob::Parse(InferenceRpc::kMultiInference, ByteBuffer::Copy(request));
  ASSERT_TRUE(job.ok() && job->Bind(Heads(), {}).ok());
  const auto learn = [&](const BoundSignature* signature) {
    for (int i = 0; i < 100; ++i) {
      signature->cost.Record(std::chrono::microseconds(1), request.size());
    }
  };
  learn(regress);
  EXPECT_FALSE(job->subject().IsCheap());
  learn(scores);
  EXPECT_TRUE(job->subject().IsCheap());
}

}  // namespace
}  // namespace fastserve
