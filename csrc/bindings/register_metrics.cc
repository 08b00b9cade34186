#include <pybind11/stl.h>

#include <chrono>

#include "bindings/registry.h"
#include "metrics/metrics.h"

namespace py = pybind11;

namespace fastserve {
namespace {

py::tuple ToPython(const HistogramData& data) { return py::make_tuple(data.counts, data.sum); }

py::list ToPython(const MetricsSnapshot::Rows<RequestSeries, RequestTotals>& rows) {
  py::list list;
  for (const auto& [series, totals] : rows) {
    list.append(py::make_tuple(TextOf(series.model), series.version, TextOf(series.signature),
                               static_cast<int>(series.method), static_cast<int>(series.protocol),
                               static_cast<int>(series.code), ToPython(totals.latency),
                               totals.bytes_in, totals.bytes_out));
  }
  return list;
}

py::list ToPython(const MetricsSnapshot::Rows<RunSeries, HistogramData>& rows) {
  py::list list;
  for (const auto& [series, data] : rows) {
    list.append(py::make_tuple(TextOf(series.model), series.version, TextOf(series.signature),
                               static_cast<int>(series.method), ToPython(data)));
  }
  return list;
}

py::list ToPython(const std::vector<MetricsSnapshot::Batching>& rows) {
  py::list list;
  for (const MetricsSnapshot::Batching& row : rows) {
    list.append(py::make_tuple(TextOf(row.model), row.version, ToPython(row.queued),
                               ToPython(row.rows), row.padding));
  }
  return list;
}

py::list ToPython(const std::vector<MetricsSnapshot::Replicas>& rows) {
  py::list list;
  for (const MetricsSnapshot::Replicas& row : rows) {
    for (const auto& [device, runs] : row.runs) {
      list.append(py::make_tuple(TextOf(row.model), row.version, device, runs));
    }
  }
  return list;
}

template <class Key>
py::dict ToPython(const std::map<Key, HistogramData>& rows) {
  py::dict dict;
  for (const auto& [key, data] : rows) dict[py::cast(key)] = ToPython(data);
  return dict;
}

py::dict ReadMetrics() {
  MetricsSnapshot read;
  {
    const py::gil_scoped_release unlocked;
    read = Metrics::Instance().Read();
  }
  py::dict snapshot;
  snapshot["requests"] = ToPython(read.requests);
  snapshot["retired_requests"] = ToPython(read.retired_requests);
  snapshot["runs"] = ToPython(read.runs);
  snapshot["retired_runs"] = ToPython(read.retired_runs);
  snapshot["batching"] = ToPython(read.batching);
  snapshot["replicas"] = ToPython(read.replicas);
  snapshot["examples"] = ToPython(read.examples);
  snapshot["worker_queue"] = ToPython(read.worker_queue);
  snapshot["queuing_latency"] = ToPython(read.queuing_latency);
  snapshot["input_batch_size"] = ToPython(read.input_batch_size);
  snapshot["processed_batch_size"] = ToPython(read.processed_batch_size);
  snapshot["padding_size"] = ToPython(read.padding_size);
  snapshot["in_flight"] = py::make_tuple(read.in_flight[0], read.in_flight[1]);
  snapshot["access_log_dropped"] = read.access_log_dropped;
  snapshot["request_log_dropped"] = read.request_log_dropped;
  snapshot["traces_dropped"] = read.traces_dropped;
  return snapshot;
}

py::tuple ToPython(const EndedRequest& request) {
  const std::chrono::duration<double> ended = request.ended.time_since_epoch();
  const std::chrono::duration<double> latency = request.outcome.latency;
  return py::make_tuple(ended.count(), static_cast<int>(request.outcome.method),
                        static_cast<int>(request.outcome.code), latency.count(),
                        request.outcome.bytes_in, request.outcome.bytes_out, TextOf(request.model),
                        request.version, TextOf(request.signature), TextOf(request.peer),
                        TextOf(request.traceparent));
}

void RecordRest(std::string_view model, int code, double seconds) {
  const std::chrono::duration<double> latency(seconds);
  Metrics::Instance().RecordUnrouted(
      model, {.method = ApiMethod::kNone,
              .protocol = Protocol::kRest,
              .code = static_cast<StatusCode>(code),
              .latency = std::chrono::duration_cast<std::chrono::nanoseconds>(latency)});
}

py::list TakeAccessLog(double timeout_s) {
  std::vector<EndedRequest> requests;
  {
    const py::gil_scoped_release unlocked;
    requests = Metrics::Instance().access_log().Take(ToMilliseconds(timeout_s));
  }
  py::list list;
  for (const EndedRequest& request : requests) list.append(ToPython(request));
  return list;
}

py::list TakeTraces() {
  py::list list;
  for (const auto& trace : Metrics::Instance().traces().Take({})) list.append(ToPython(*trace));
  return list;
}

py::list TakeRequestLog() {
  std::vector<LoggedRequest> requests;
  {
    const py::gil_scoped_release unlocked;
    requests = Metrics::Instance().request_log().Take();
  }
  py::list list;
  for (const LoggedRequest& logged : requests) {
    const std::chrono::duration<double> answered = logged.answered.time_since_epoch();
    list.append(py::make_tuple(answered.count(), TextOf(logged.model), logged.version,
                               TextOf(logged.signature), static_cast<int>(logged.method),
                               ToBytes(logged.request), ToBytes(logged.answer)));
  }
  return list;
}

}  // namespace

py::tuple ToPython(const RequestTrace& trace) {
  py::list stages;
  for (size_t i = 0; i < kStages; ++i) {
    const RequestTrace::Interval interval = trace.Read(static_cast<Stage>(i));
    stages.append(py::make_tuple(interval.begun, interval.ended));
  }
  const RequestTrace::Batching batching = trace.batching();
  return py::make_tuple(ToPython(trace.ended), py::tuple(stages),
                        py::make_tuple(batching.rows, batching.batches, batching.batch_rows));
}

void RegisterMetrics(py::module_& module) {
  module.def("read_metrics", &ReadMetrics, "Everything that was counted so far.");
  module.def("record_rest", &RecordRest, py::arg("model"), py::arg("code"), py::arg("seconds"),
             "Counts a REST request that answer_rest() has not seen.");
  module.def(
      "enable_access_log", [] { Metrics::Instance().access_log().Enable(); },
      "Keeps an entry of each native call, to be taken.");
  module.def("take_access_log", &TakeAccessLog, py::arg("timeout_s"),
             "Takes the entries that wait; waits for the first one.");
  module.def(
      "enable_traces", [](double ratio) { Metrics::Instance().traces().Enable(ratio); },
      py::arg("ratio"), "Traces native calls, to be taken.");
  module.def(
      "is_traced",
      [](std::string_view traceparent) {
        const TraceQueue& traces = Metrics::Instance().traces();
        return traces.on() && TracedByParent(traceparent).value_or(traces.Choose());
      },
      py::arg("traceparent"), "Whether to trace a REST request with that header.");
  module.def("take_traces", &TakeTraces, "Takes the traces that wait.");
  module.def(
      "set_request_log_rates",
      [](RequestLog::Rates rates) { Metrics::Instance().request_log().SetRates(std::move(rates)); },
      py::arg("rates"), "Replaces the shares of requests that are kept, by model.");
  module.def("take_request_log", &TakeRequestLog, "Takes the requests that were kept so far.");
}

}  // namespace fastserve
