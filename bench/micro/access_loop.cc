// What it costs to check the token of one request: AccessControl::Check() of a Predict.
// usage: access_loop [tokens=1] [requests=5000000] [threads=1]

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

#include "serving/access_control.h"

namespace {

using fastserve::Access;
using fastserve::AccessControl;

void Check(const AccessControl& control, const std::string& authorization, int requests) {
  for (int i = 0; i < requests; ++i) {
    if (!control.Check(Access::kPredict, authorization).ok()) std::abort();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int size = argc > 1 ? std::atoi(argv[1]) : 1;
  const int requests = argc > 2 ? std::atoi(argv[2]) : 5'000'000;
  const int count = argc > 3 ? std::atoi(argv[3]) : 1;
  std::vector<std::string> tokens;
  for (int i = 0; i < size; ++i) {
    std::string token = std::to_string(i);
    tokens.push_back(token.insert(0, 64 - token.size(), 'x'));
  }
  AccessControl control;
  if (!control.SetTokens(Access::kPredict, tokens).ok()) std::abort();
  const std::string authorization = "Bearer " + tokens.back();
  const std::clock_t begun = std::clock();  // CPU time, so that other processes do not count
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&] { Check(control, authorization, requests); });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  std::printf("%.0f ns of CPU a request\n", seconds * 1e9 / requests / count);
}
