// The model's ceiling: TF_SessionRun in a loop on one thread, with the caller-runs option, on one
// fixed input. What a server adds to this is the server's cost. With --callers, that many threads
// do the same at once.
//
//   session_loop --tensorflow DIR --model VERSION_DIR --request request.pb --expect response.pb
//                [--signature serving_default] [--tolerance 0] [--batch 1] [--callers 1]
//                [--warm_up 1] [--duration 3]
//
// --tensorflow is the installed `tensorflow` package's folder; --request is a PredictRequest whose
// inputs are fed, their rows --batch times over. The first and the last answer must agree with
// --expect, its rows as often, or there is no figure. One JSON object on stdout, in which a request
// is one --request, so --batch of them are a run; the CPU time is the whole process's, TensorFlow's
// threads included.

#include <cstdio>
#include <ctime>
#include <memory>
#include <string>
#include <thread>
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

std::string Repeated(std::string_view bytes, size_t times) {
  std::string repeated;
  repeated.reserve(bytes.size() * times);
  for (size_t i = 0; i < times; ++i) repeated += bytes;
  return repeated;
}

// `tensor` with its rows `times` times over, on its own memory. Dies for one that has no rows.
HostTensor RepeatRows(const HostTensor& tensor, size_t times) {
  if (times == 1) return tensor;
  if (tensor.dims.empty() || !tensor.strings.empty()) Die("--batch needs rows of numbers");
  HostTensor repeated = tensor;
  repeated.dims[0] *= static_cast<int64_t>(times);
  repeated.owner = ByteBuffer::Copy(Repeated(tensor.data, times));
  repeated.data = repeated.owner.view();
  return repeated;
}

// One signature of a loaded model with its input tensors made: all but the run itself.
class PreparedRun {
 public:
  PreparedRun(const Session& session, const std::string& signature_name, ByteView request,
              size_t batch)
      : session_(session), signature_(FindSignature(signature_name)) {
    const ByteBuffer owner = ByteBuffer::Copy(request);
    const auto parsed = OrDie(ParsePredictRequest(owner.view()));
    for (const auto& [alias, proto] : parsed.inputs) {
      const TensorInfo* info = signature_.FindInput(alias);
      if (!info) Die("the signature has no input " + std::string(alias));
      feeds_.push_back(OrDie(session_.Resolve(info->tensor_name)));
      const HostTensor row = OrDie(DecodeTensorProto(proto, owner));
      inputs_.push_back(OrDie(RuntimeTensor::FromHost(session_.api(), RepeatRows(row, batch))));
      values_.push_back(inputs_.back().get());
    }
    for (const TensorInfo& info : signature_.outputs) {
      fetches_.push_back(OrDie(session_.Resolve(info.tensor_name)));
    }
  }

  PooledVector<RuntimeTensor> Run() const { return OrDie(session_.Run(feeds_, values_, fetches_)); }

  // The outputs of Run() as a PredictResponse without a model spec.
  std::string Response(const PooledVector<RuntimeTensor>& outputs) const {
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
  PooledVector<RuntimeTensor> inputs_;
  std::vector<TF_Tensor*> values_;
  std::vector<TF_Output> fetches_;
};

// The expected outputs; what a server adds about the model is not the session's to answer.
ExpectedAnswers ExpectedOutputs(const std::string& response, size_t batch, double tolerance) {
  std::optional<PredictAnswer> expected = PredictAnswer::Parse(response);
  if (!expected) Die("--expect is no PredictResponse");
  expected->model_name.clear();
  expected->signature_name.clear();
  expected->version.reset();
  for (PredictAnswer::Output& output : expected->outputs) {
    if (!output.dims.empty()) output.dims[0] *= static_cast<int64_t>(batch);
    output.elements = Repeated(output.elements, batch);
  }
  return ExpectedAnswers::Outputs({*std::move(expected)}, tolerance);
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

void RunUntil(const PreparedRun& run, uint64_t end_ns, LatencyHistogram& wall) {
  uint64_t now = NowNs();
  while (now < end_ns) {
    run.Run();
    const uint64_t after = NowNs();
    wall.Add(after - now);
    now = after;
  }
}

LoopFigures Loop(const PreparedRun& run, size_t callers, double seconds) {
  LoopFigures figures{};
  std::vector<LatencyHistogram> walls(callers);
  const uint64_t cpu_before = ProcessCpuNs();
  const uint64_t begin = NowNs();
  const uint64_t end = begin + static_cast<uint64_t>(seconds * 1e9);
  std::vector<std::jthread> others;
  for (size_t i = 1; i < callers; ++i) {
    others.emplace_back([&, i] { RunUntil(run, end, walls[i]); });
  }
  RunUntil(run, end, walls[0]);
  others.clear();  // joins
  figures.seconds = static_cast<double>(NowNs() - begin) * 1e-9;
  figures.cpu_us = static_cast<double>(ProcessCpuNs() - cpu_before) / 1000;
  for (const LatencyHistogram& wall : walls) figures.wall.Merge(wall);
  return figures;
}

void Print(const LoopFigures& figures, size_t batch) {
  const auto runs = static_cast<double>(figures.wall.count());
  const auto requests = runs * static_cast<double>(batch);
  const auto us = [&](double q) { return static_cast<double>(figures.wall.Quantile(q)) / 1000; };
  std::printf("{\n  \"runs\": %.0f,\n  \"requests\": %.0f,\n", runs, requests);
  std::printf("  \"requests_per_s\": %.1f,\n  \"cpu_us_per_request\": %.3f,\n",
              requests / figures.seconds, figures.cpu_us / requests);
  std::printf("  \"wall_us\": {\"mean\": %.2f, \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, ",
              figures.wall.Mean() / 1000, us(0.5), us(0.9), us(0.99));
  std::printf("\"p99.9\": %.2f, \"max\": %.2f}\n}\n", us(0.999),
              static_cast<double>(figures.wall.max()) / 1000);
}

int Main(int argc, char** argv) {
  const Flags flags(argc, argv,
                    {"tensorflow", "model", "signature", "request", "expect", "tolerance", "batch",
                     "callers", "warm_up", "duration"});
  const auto batch = static_cast<size_t>(flags.Integer("batch", 1));
  const auto callers = static_cast<size_t>(flags.Integer("callers", 1));
  if (batch < 1 || callers < 1) Die("--batch and --callers must be at least 1");
  const TfApi* api = OrDie(TfApi::Load(flags.Required("tensorflow")));
  const std::unique_ptr<Session> session = OrDie(Session::LoadSavedModel(
      *api, {.directory = flags.Required("model"), .tags = {"serve"}, .config_proto = ""}));
  const PreparedRun run(*session, flags.Text("signature", "serving_default"),
                        ReadFile(flags.Required("request")), batch);
  const ExpectedAnswers expected =
      ExpectedOutputs(ReadFile(flags.Required("expect")), batch, flags.Number("tolerance", 0));

  if (!expected.Match(run.Response(run.Run()))) Die("the first answer is wrong");
  Loop(run, callers, flags.Number("warm_up", 1));
  const LoopFigures figures = Loop(run, callers, flags.Number("duration", 3));
  if (!expected.Match(run.Response(run.Run()))) Die("the last answer is wrong");
  Print(figures, batch);
  return 0;
}

}  // namespace
}  // namespace fastserve::bench

int main(int argc, char** argv) { return fastserve::bench::Main(argc, argv); }
