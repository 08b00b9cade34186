// The load generator: unary gRPC (or HTTP/1.1 POST) on a few connections, where an answer counts
// only if its status is OK and its value is right. One JSON object on stdout.
//
//   loadgen --port 8500 --path /tensorflow.serving.PredictionService/Predict
//           --body request.pb --expect_predict answer.pb [--tolerance 1e-5]
//           --connections 8 --streams 32 --threads 1 --warm_up 1 --duration 5 --cpu_of PID
//   loadgen --rest 1 --port 8501 --path /v1/models/m:predict --body body.json --expect_bytes a.json
//
// --body is the request message (REST: the body); --expect_predict (a serialized PredictResponse),
// --expect_infer (a ModelInferResponse of KServe's protocol) and --expect_bytes (the message or the
// body itself) may be repeated: any of them is right.
// The loop is closed: every call is followed by the next. With --rate (requests a second) it is
// open: requests fall due at moments that --seed alone fixes (--arrival poisson or constant), and
// a latency counts from when its request was due. One that finds every call taken waits for one.
// Exits with 0 when every answer of the whole run was right, 1 when not, 2 when it could not run.

#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "load/flags.h"
#include "load/load_run.h"

namespace fastserve::bench {
namespace {

LoadPlan PlanOf(const Flags& flags) {
  LoadPlan plan;
  plan.rest = flags.Integer("rest", 0) != 0;
  plan.host = flags.Text("host", "127.0.0.1");
  plan.port = static_cast<uint16_t>(flags.Integer("port", 0));
  plan.connections = static_cast<size_t>(flags.Integer("connections", 1));
  plan.streams = static_cast<size_t>(flags.Integer("streams", 1));
  plan.threads = static_cast<size_t>(flags.Integer("threads", 1));
  plan.warm_up_s = flags.Number("warm_up", 1);
  plan.measure_s = flags.Number("duration", 5);
  plan.drain_s = flags.Number("drain", 10);
  if (plan.connections < 1 || plan.streams < 1 || plan.threads < 1) {
    Die("--connections, --streams and --threads must be at least 1");
  }
  if (const double rate = flags.Number("rate", 0); rate > 0) {
    const std::string arrival = flags.Text("arrival", "poisson");
    if (arrival != "poisson" && arrival != "constant") Die("--arrival is poisson or constant");
    plan.open = {.rate = rate,
                 .poisson = arrival == "poisson",
                 .seed = static_cast<uint64_t>(flags.Integer("seed", 1))};
  }
  if (plan.rest && plan.streams != 1) Die("--rest has one request at a time on each connection");
  for (const std::string& pid : flags.All("cpu_of")) plan.cpu_of.push_back(std::stoi(pid));

  const std::string body = ReadFile(flags.Required("body"));
  plan.request.authority = plan.host + ":" + std::to_string(plan.port);
  plan.request.path = flags.Required("path");
  plan.request.wire = plan.rest ? FrameRestRequest(plan.request.authority, plan.request.path, body)
                                : FrameGrpcMessage(body);
  return plan;
}

ExpectedAnswers ExpectedOf(const Flags& flags) {
  const std::vector<std::string> bytes = flags.All("expect_bytes");
  const std::vector<std::string> predict = flags.All("expect_predict");
  const std::vector<std::string> infer = flags.All("expect_infer");
  if ((bytes.empty() ? 0 : 1) + (predict.empty() ? 0 : 1) + (infer.empty() ? 0 : 1) != 1) {
    Die("give one of --expect_predict, --expect_infer and --expect_bytes");
  }
  if (!bytes.empty()) {
    std::vector<std::string> answers;
    for (const std::string& path : bytes) answers.push_back(ReadFile(path));
    return ExpectedAnswers::Bytes(std::move(answers));
  }
  const AnswerParser parse = infer.empty() ? PredictAnswer::Parse : PredictAnswer::ParseInfer;
  std::vector<PredictAnswer> answers;
  for (const std::string& path : infer.empty() ? predict : infer) {
    std::optional<PredictAnswer> answer = parse(ReadFile(path));
    if (!answer || answer->outputs.empty()) Die(path + " is no answer with outputs");
    answers.push_back(*std::move(answer));
  }
  return ExpectedAnswers::Outputs(std::move(answers), flags.Number("tolerance", 0), parse);
}

// A sample of an error as a JSON string: printable ASCII, the rest as \u00XX, cut off.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const unsigned char c : text.substr(0, 200)) {
    if (c == '"' || c == '\\' || c < 0x20 || c > 0x7e) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      quoted += escape;
    } else {
      quoted += static_cast<char>(c);
    }
  }
  return quoted + "\"";
}

void PrintErrors(const Tally& tally) {
  uint64_t total = 0;
  std::printf("  \"errors\": {");
  const char* separator = "";
  for (const auto& [kind, error] : tally.errors()) {
    std::printf("%s%s: {\"count\": %lu, \"sample\": %s}", separator, Quoted(kind).c_str(),
                error.count, Quoted(error.sample).c_str());
    separator = ", ";
    total += error.count;
  }
  std::printf("},\n  \"error_count\": %lu,\n", total);
}

void PrintList(const char* name, const std::vector<uint64_t>& values) {
  std::printf("  \"%s\": [", name);
  for (size_t i = 0; i < values.size(); ++i) std::printf("%s%lu", i ? ", " : "", values[i]);
  std::printf("],\n");
}

double Us(uint64_t ns) { return static_cast<double>(ns) / 1000; }

void PrintQuantiles(const char* name, const LatencyHistogram& times) {
  std::printf("  \"%s\": {\"mean\": %.2f, ", name, times.Mean() / 1000);
  constexpr std::array<std::pair<const char*, double>, 4> kQuantiles = {
      {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}}};
  for (const auto& [label, q] : kQuantiles) {
    std::printf("\"%s\": %.2f, ", label, Us(times.Quantile(q)));
  }
  std::printf("\"max\": %.2f},\n", Us(times.max()));
}

void PrintOpenLoop(const LoadReport& report) {
  constexpr uint64_t kLateNs = 1'000'000;
  std::printf("  \"offered\": %lu,\n  \"unsent\": %lu,\n", report.offered, report.unsent);
  std::printf("  \"late\": %lu,\n", report.tally.lags().CountAbove(kLateNs));
  PrintQuantiles("lag_us", report.tally.lags());
}

void PrintBuckets(const LatencyHistogram& times) {
  std::printf("  \"latency_buckets_us\": [");
  const char* separator = "";
  for (const auto& [upper_ns, count] : times.Buckets()) {
    std::printf("%s[%.3f, %lu]", separator, Us(upper_ns), count);
    separator = ", ";
  }
  std::printf("]\n");
}

void Print(const LoadReport& report) {
  const uint64_t right = report.tally.right_in_window();
  const auto ok = static_cast<double>(right);
  std::printf("{\n  \"ok\": %lu,\n  \"window_s\": %.6f,\n", right, report.window_s);
  std::printf("  \"ok_per_s\": %.1f,\n", ok / report.window_s);
  std::printf("  \"ok_outside_window\": %lu,\n", report.tally.right_outside_window());
  PrintErrors(report.tally);
  PrintList("right_by_expected", report.tally.by_answer());
  PrintList("cpu_ns", report.cpu_ns);
  std::printf("  \"client_cpu_us_per_ok\": %.3f,\n", ok > 0 ? Us(report.client_cpu_ns) / ok : 0);
  std::printf("  \"ended_early\": %s,\n", report.ended_early ? "true" : "false");
  PrintOpenLoop(report);
  PrintQuantiles("latency_us", report.tally.latencies());
  PrintBuckets(report.tally.latencies());
  std::printf("}\n");
}

int Main(int argc, char** argv) {
  const Flags flags(argc, argv,
                    {"rest", "host", "port", "path", "body", "expect_bytes", "expect_predict",
                     "expect_infer", "tolerance", "connections", "streams", "threads", "rate",
                     "arrival", "seed", "warm_up", "duration", "drain", "cpu_of"});
  const ExpectedAnswers expected = ExpectedOf(flags);
  const LoadReport report = RunLoad(PlanOf(flags), expected);
  Print(report);
  return report.tally.errors().empty() && report.tally.right_in_window() > 0 ? 0 : 1;
}

}  // namespace
}  // namespace fastserve::bench

int main(int argc, char** argv) { return fastserve::bench::Main(argc, argv); }
