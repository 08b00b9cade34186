#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "load/arrivals.h"
#include "load/expected_answers.h"
#include "load/load_client.h"
#include "load/tally.h"

namespace fastserve::bench {

// One load on one server.
struct LoadPlan {
  bool rest = false;  // HTTP/1.1 in place of gRPC
  std::string host;   // IPv4
  uint16_t port = 0;
  LoadRequest request;
  size_t connections = 1;
  size_t streams = 1;            // calls at a time on each connection, at most; 1 for REST
  size_t threads = 1;            // connections are dealt to them in turn
  std::optional<OpenLoop> open;  // of all threads together; without it the loop is closed
  double warm_up_s = 1;
  double measure_s = 5;
  double drain_s = 10;        // how long the last answers may take; later ones are errors
  std::vector<pid_t> cpu_of;  // processes whose CPU over the window is reported
};

struct LoadReport {
  Tally tally;
  double window_s;               // length of the measured window
  std::vector<uint64_t> cpu_ns;  // user + system, over the window, in the order of cpu_of
  uint64_t client_cpu_ns;        // this process, over the window
  bool ended_early;              // every connection was lost
  // Of an open loop: requests due within the window, and those of them that were never sent, as all
  // calls were taken until the end.
  uint64_t offered;
  uint64_t unsent;
};

// Blocks for the whole run. Dies when the server cannot be reached, or a process of cpu_of is gone.
LoadReport RunLoad(const LoadPlan& plan, const ExpectedAnswers& expected);

}  // namespace fastserve::bench
