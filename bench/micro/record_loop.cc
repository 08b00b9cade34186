// What it costs to count one request: a RequestRecord from its start to its end, and the run.
// usage: record_loop [requests=5000000] [threads=1]

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "metrics/request_record.h"

namespace {

using fastserve::ApiMethod;
using fastserve::Protocol;
using fastserve::RequestRecord;
using fastserve::SignatureMetrics;
using fastserve::StatusCode;

void Count(const std::shared_ptr<SignatureMetrics>& signature, int requests) {
  for (int i = 0; i < requests; ++i) {
    RequestRecord record;
    record.Start(Protocol::kGrpc, "ipv4:127.0.0.1:1");
    record.Received(1000);
    record.Ask(ApiMethod::kPredict, "a_model_with_a_long_name");
    record.Route(signature);
    signature->RecordRun(ApiMethod::kPredict, std::chrono::nanoseconds(10000 + i % 100000));
    record.End(StatusCode::kOk, 1000);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int requests = argc > 1 ? std::atoi(argv[1]) : 5'000'000;
  const int threads = argc > 2 ? std::atoi(argv[2]) : 1;
  const auto signature = std::make_shared<SignatureMetrics>("a_model_with_a_long_name", 1, "s");
  const std::clock_t begun = std::clock();  // CPU time, so that other processes do not count
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&] { Count(signature, requests); });
  }
  for (std::thread& thread : running) thread.join();
  const double seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  std::printf("%.0f ns of CPU a request\n", seconds * 1e9 / requests / threads);
}
