#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "metrics/report_queue.h"
#include "metrics/signature_metrics.h"

namespace fastserve {

// One request that has ended.
struct EndedRequest {
  std::chrono::system_clock::time_point ended;
  RequestOutcome outcome;
  std::string model;
  std::string version;    // empty when none was found
  std::string signature;  // as version
  std::string peer;
  std::string traceparent;  // as the client sent it; empty without one
};

// The parts of a request's way, in order. Python's STAGES (observe/stages.py) names them.
enum class Stage : uint8_t {
  kRequest,    // all of it, up to the decision how it ends
  kReceive,    // from its header to its last byte
  kReadQueue,  // a long REST body waits for a thread that reads it
  kParse,      // a REST body is read
  kDecode,     // the signature's inputs are found, and their protobuf is decoded
  kQueue,      // the wait for a worker thread, or for a batch
  kBatch,      // rows are put together with others', run, and taken apart
  kRun,        // the session's run
  kSerialise,  // outputs become an answer
};
constexpr size_t kStages = 9;

// When the parts of one request began and ended. A request may end, by its deadline, while another
// thread still runs it: what is not noted by then has no end.
// Threads: any, but `ended` is written by the one that ends the request, and read after that.
class RequestTrace {
 public:
  using Clock = std::chrono::steady_clock;
  // Nanoseconds of Clock; 0: it has not, or not yet.
  struct Interval {
    int64_t begun;
    int64_t ended;
  };
  struct Batching {
    int64_t rows;     // of the request
    int64_t batches;  // that had some of them: several where it was cut up, none without batching
    int64_t batch_rows;  // of all these, padding included
  };

  // Of a part that begins more than once, as where a request is cut up, the first time counts.
  void Begin(Stage stage);
  // And here the last one.
  void End(Stage stage);
  // So many of its rows are in a batch of so many.
  void AddBatch(int64_t rows, int64_t batch_rows);

  Interval Read(Stage stage) const;
  Batching batching() const;

  EndedRequest ended;

 private:
  struct Times {
    std::atomic<int64_t> begun{0};
    std::atomic<int64_t> ended{0};
  };

  Times& Of(Stage stage) { return times_[static_cast<size_t>(stage)]; }

  std::array<Times, kStages> times_;
  std::atomic<int64_t> rows_{0};
  std::atomic<int64_t> batches_{0};
  std::atomic<int64_t> batch_rows_{0};
};

// A part that lasts as long as this object; `trace` may be null.
class TimedStage {
 public:
  TimedStage(RequestTrace* trace, Stage stage) : trace_(trace), stage_(stage) {
    if (trace_ != nullptr) trace_->Begin(stage_);
  }
  ~TimedStage() {
    if (trace_ != nullptr) trace_->End(stage_);
  }
  TimedStage(const TimedStage&) = delete;
  TimedStage& operator=(const TimedStage&) = delete;

 private:
  RequestTrace* const trace_;
  const Stage stage_;
};

// Whether a request is traced, as its traceparent says (W3C Trace Context, 3.2); nothing where that
// is none, or is malformed.
std::optional<bool> TracedByParent(std::string_view traceparent);

// Traces of requests over gRPC, and the choice of those to be traced. Threads: any.
class TraceQueue : public ReportQueue<std::shared_ptr<const RequestTrace>> {
 public:
  using ReportQueue::ReportQueue;

  // From now on requests are traced: those whose clients say so, and of those whose clients say
  // nothing a share of `ratio`, from 0 to 1.
  void Enable(double ratio);
  // Whether to trace a request whose client says nothing; false before Enable().
  bool Choose() const { return on() && ChooseByRatio(); }

 private:
  bool ChooseByRatio() const;

  std::atomic<double> ratio_{0};
};

}  // namespace fastserve
