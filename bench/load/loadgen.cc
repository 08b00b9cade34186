// The load generator: closed-loop unary gRPC (or HTTP/1.1 POST) on a few connections, where an
// answer counts only if its status is OK and its value is right. One JSON object on stdout.
//
//   loadgen --port 8500 --path /tensorflow.serving.PredictionService/Predict
//           --body request.pb --expect_predict answer.pb [--tolerance 1e-5]
//           --connections 8 --streams 32 --threads 1 --warm_up 1 --duration 5 --cpu_of PID
//   loadgen --rest 1 --port 8501 --path /v1/models/m:predict --body body.json --expect_bytes a.json
//
// --body is the request message (REST: the body); --expect_predict (a serialized PredictResponse)
// and --expect_bytes (the message or the body itself) may be repeated: any of them is right.
// Exits with 0 when every answer of the whole run was right, 1 when not, 2 when it could not run.

#include <unistd.h>

#include <cstdio>
#include <string>
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
  std::vector<std::string> bytes;
  std::vector<PredictAnswer> predictions;
  for (const std::string& path : flags.All("expect_bytes")) bytes.push_back(ReadFile(path));
  for (const std::string& path : flags.All("expect_predict")) {
    std::optional<PredictAnswer> answer = PredictAnswer::Parse(ReadFile(path));
    if (!answer || answer->outputs.empty()) Die(path + " is no PredictResponse");
    predictions.push_back(*std::move(answer));
  }
  if (bytes.empty() == predictions.empty()) Die("give either --expect_predict or --expect_bytes");
  if (predictions.empty()) return ExpectedAnswers::Bytes(std::move(bytes));
  return ExpectedAnswers::Predict(std::move(predictions), flags.Number("tolerance", 0));
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

void Print(const LoadReport& report) {
  const LatencyHistogram& latencies = report.tally.latencies();
  const auto ok = static_cast<double>(latencies.count());
  const auto us = [](uint64_t ns) { return static_cast<double>(ns) / 1000; };
  std::printf("{\n  \"ok\": %lu,\n  \"window_s\": %.6f,\n", latencies.count(), report.window_s);
  std::printf("  \"ok_per_s\": %.1f,\n", ok / report.window_s);
  std::printf("  \"ok_outside_window\": %lu,\n", report.tally.right_outside_window());
  PrintErrors(report.tally);
  PrintList("right_by_expected", report.tally.by_answer());
  PrintList("cpu_ns", report.cpu_ns);
  std::printf("  \"client_cpu_us_per_ok\": %.3f,\n", ok > 0 ? us(report.client_cpu_ns) / ok : 0);
  std::printf("  \"ended_early\": %s,\n", report.ended_early ? "true" : "false");
  std::printf("  \"latency_us\": {\"mean\": %.2f, \"p50\": %.2f, \"p90\": %.2f, \"p99\": %.2f, ",
              latencies.Mean() / 1000, us(latencies.Quantile(0.5)), us(latencies.Quantile(0.9)),
              us(latencies.Quantile(0.99)));
  std::printf("\"p99.9\": %.2f, \"max\": %.2f}\n}\n", us(latencies.Quantile(0.999)),
              us(latencies.max()));
}

int Main(int argc, char** argv) {
  const Flags flags(
      argc, argv,
      {"rest", "host", "port", "path", "body", "expect_bytes", "expect_predict", "tolerance",
       "connections", "streams", "threads", "warm_up", "duration", "drain", "cpu_of"});
  const ExpectedAnswers expected = ExpectedOf(flags);
  const LoadReport report = RunLoad(PlanOf(flags), expected);
  Print(report);
  return report.tally.errors().empty() && report.tally.latencies().count() > 0 ? 0 : 1;
}

}  // namespace
}  // namespace fastserve::bench

int main(int argc, char** argv) { return fastserve::bench::Main(argc, argv); }
