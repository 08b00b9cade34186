// The model's ceiling: TF_SessionRun in a loop on one thread, with the caller-runs option, on one
// fixed input. What a server adds to this is the server's cost.
//
//   session_loop --tensorflow DIR --model VERSION_DIR --request request.pb --expect response.pb
//                [--signature serving_default] [--tolerance 0] [--warm_up 1] [--duration 3]
//
// --tensorflow is the installed `tensorflow` package's folder; --request is a PredictRequest whose
// inputs are fed. The first and the last answer must agree with --expect, or there is no figure.
// One JSON object on stdout; the CPU time is the whole process's, TensorFlow's threads included.

#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "codec/predict_wire.h"
#include "codec/signature.h"
#include "load/expected_answers.h"
#include "load/flags.h"
#include "load/histogram.h"
#include "load/tally.h"
#include "session/session.h"
#include "session/tf_api.h"

namespace fastserve::bench {
namespace {

template <class T>
T OrDie(Result<T> result) {
  if (!result.ok()) Die(result.status().ToString());
  return std::move(result).value();
}

void OrDie(const Status& status) {
  if (!status.ok()) Die(status.ToString());
}

// One signature of a loaded model with its input tensors made: all but the run itself.
class PreparedRun {
 public:
  PreparedRun(const Session& session, const std::string& signature_name, ByteView request)
      : session_(session), signature_(FindSignature(signature_name)) {
    const ByteBuffer owner = ByteBuffer::Copy(request);
    const auto parsed = OrDie(ParsePredictRequest(owner.view()));
    for (const auto& [alias, proto] : parsed.inputs) {
      const TensorInfo* info = signature_.FindInput(alias);
      if (!info) Die("the signature has no input " + std::string(alias));
      feeds_.push_back(OrDie(session_.Resolve(info->tensor_name)));
      inputs_.push_back(
          OrDie(RuntimeTensor::FromHost(session_.api(), OrDie(DecodeTensorProto(proto, owner)))));
      values_.push_back(inputs_.back().get());
    }
    for (const TensorInfo& info : signature_.outputs) {
      fetches_.push_back(OrDie(session_.Resolve(info.tensor_name)));
    }
  }

  std::vector<RuntimeTensor> Run() const { return OrDie(session_.Run(feeds_, values_, fetches_)); }

  // The outputs of Run() as a PredictResponse without a model spec.
  std::string Response(const std::vector<RuntimeTensor>& outputs) const {
    ByteChain chain;
    PredictResponseWriter writer(chain, TensorEncoding::kTypedFields);
    for (size_t i = 0; i < outputs.size(); ++i) {
      OrDie(writer.AddOutput(signature_.outputs[i].alias, outputs[i].View(), nullptr));
    }
    return chain.Flatten();
  }

 private:
  Signature FindSignature(const std::string& name) const {
    auto parsed = OrDie(ParseMetaGraphSignatures(session_.meta_graph_def()));
    const auto found = parsed.signatures.find(name);
    if (found == parsed.signatures.end()) Die("the model has no signature " + name);
    return found->second;
  }

  const Session& session_;
  const Signature signature_;
  std::vector<TF_Output> feeds_;
  std::vector<RuntimeTensor> inputs_;
  std::vector<TF_Tensor*> values_;
  std::vector<TF_Output> fetches_;
};

// The expected outputs; what a server adds about the model is not the session's to answer.
ExpectedAnswers ExpectedOutputs(const std::string& response, double tolerance) {
  std::optional<PredictAnswer> expected = PredictAnswer::Parse(response);
  if (!expected) Die("--expect is no PredictResponse");
  expected->model_name.clear();
  expected->signature_name.clear();
  expected->version.reset();
  return ExpectedAnswers::Predict({*std::move(expected)}, tolerance);
}

uint64_t ProcessCpuNs() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

struct LoopFigures {
  LatencyHistogram wall;
  double seconds;
  double cpu_us;  // of the whole loop
};

LoopFigures Loop(const PreparedRun& run, double seconds) {
  LoopFigures figures{};
  const uint64_t cpu_before = ProcessCpuNs();
  const uint64_t begin = NowNs();
  const uint64_t end = begin + static_cast<uint64_t>(seconds * 1e9);
  uint64_t now = begin;
  while (now < end) {
    run.Run();
    const uint64_t after = NowNs();
    figures.wall.Add(after - now);
    now = after;
  }
  figures.seconds = static_cast<double>(now - begin) * 1e-9;
  figures.cpu_us = static_cast<double>(ProcessCpuNs() - cpu_before) / 1000;
  return figures;
}

void Print(const LoopFigures& figures) {
  const auto runs = static_cast<double>(figures.wall.count());
  const auto us = [&](double q) { return static_cast<double>(figures.wall.Quantile(q)) / 1000; };
  std::printf("{\n  \"runs\": %lu,\n  \"runs_per_s\": %.1f,\n  \"cpu_us_per_run\": %.3f,\n",
              figures.wall.count(), runs / figures.seconds, figures.cpu_us / runs);
  std::printf("  \"wall_us\": {\"mean\": %.2f, \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, ",
              figures.wall.Mean() / 1000, us(0.5), us(0.9), us(0.99));
  std::printf("\"p99.9\": %.2f, \"max\": %.2f}\n}\n", us(0.999),
              static_cast<double>(figures.wall.max()) / 1000);
}

int Main(int argc, char** argv) {
  const Flags flags(argc, argv,
                    {"tensorflow", "model", "signature", "request", "expect", "tolerance",
                     "warm_up", "duration"});
  const TfApi* api = OrDie(TfApi::Load(flags.Required("tensorflow")));
  const std::unique_ptr<Session> session = OrDie(Session::LoadSavedModel(
      *api, {.directory = flags.Required("model"), .tags = {"serve"}, .config_proto = ""}));
  const PreparedRun run(*session, flags.Text("signature", "serving_default"),
                        ReadFile(flags.Required("request")));
  const ExpectedAnswers expected =
      ExpectedOutputs(ReadFile(flags.Required("expect")), flags.Number("tolerance", 0));

  if (!expected.Match(run.Response(run.Run()))) Die("the first answer is wrong");
  Loop(run, flags.Number("warm_up", 1));
  const LoopFigures figures = Loop(run, flags.Number("duration", 3));
  if (!expected.Match(run.Response(run.Run()))) Die("the last answer is wrong");
  Print(figures);
  return 0;
}

}  // namespace
}  // namespace fastserve::bench

int main(int argc, char** argv) { return fastserve::bench::Main(argc, argv); }
