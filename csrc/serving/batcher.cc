#include "serving/batcher.h"

#include <algorithm>
#include <atomic>
#include <tuple>
#include <utility>

#include "batching/row_tensors.h"
#include "serving/run_task.h"

namespace fastserve {
namespace {

// What a client gets of a batch's outputs: some rows of those that it wants.
RunOutputs Share(const RunOutputs& outputs, std::span<const size_t> wanted, int64_t begin,
                 int64_t rows) {
  RunOutputs share;
  share.owner = outputs.owner;
  share.tensors.reserve(wanted.size());
  for (const size_t index : wanted) {
    share.tensors.push_back(SliceRows(outputs.tensors[index], begin, rows));
  }
  return share;
}

// The outputs of a request's pieces, one behind the other.
Result<RunOutputs> Join(std::vector<RunOutputs> pieces) {
  RunOutputs joined;
  for (size_t output = 0; output < pieces[0].tensors.size(); ++output) {
    std::vector<RowRange> ranges;
    int64_t rows = 0;
    for (const RunOutputs& piece : pieces) {
      const HostTensor& tensor = piece.tensors[output];
      ranges.push_back({&tensor, 0, tensor.dims[0]});
      rows += tensor.dims[0];
    }
    Result<HostTensor> tensor = GatherRows(ranges, rows);
    if (!tensor.ok()) return tensor.status();
    joined.tensors.push_back(std::move(*tensor));
  }
  // Fixed-size elements are each tensor's own; strings are still the pieces'.
  joined.owner =
      std::make_shared<const std::pair<std::vector<RunOutputs>, PooledVector<HostTensor>>>(
          std::move(pieces), joined.tensors);
  return joined;
}

bool Same(const TF_Output& a, const TF_Output& b) { return a.oper == b.oper && a.index == b.index; }

// Where `place` is among `places`, or their count.
size_t IndexOf(const TF_Output& place, std::span<const TF_Output> places) {
  const auto at = std::find_if(places.begin(), places.end(),
                               [&](const TF_Output& other) { return Same(place, other); });
  return static_cast<size_t>(at - places.begin());
}

void AddOnce(const TF_Output& place, PooledVector<TF_Output>& places) {
  if (IndexOf(place, places) == places.size()) places.push_back(place);
}

Status CheckOutputs(const RunOutputs& outputs, int64_t rows) {
  for (const HostTensor& tensor : outputs.tensors) {
    if (tensor.dims.empty()) {
      return Status::FailedPrecondition("Batched output tensor has 0 dimensions");
    }
    if (tensor.dims[0] != rows) {
      return Status::FailedPrecondition(
          "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes "
          "of the input tensors");
    }
  }
  return {};
}

}  // namespace

bool Batcher::PlaceLess::operator()(const TF_Output& a, const TF_Output& b) const {
  return std::tie(a.oper, a.index) < std::tie(b.oper, b.index);
}

bool Batcher::KeyLess::operator()(const Key& a, const Key& b) const {
  const auto less = [](const Places& x, const Places& y) {
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end(), PlaceLess());
  };
  if (a.options != b.options) return a.options < b.options;
  return less(a.feeds, b.feeds) || (!less(b.feeds, a.feeds) && less(a.fetches, b.fetches));
}

// A client's request in a queue: inputs in the order of the queue's feeds.
class Batcher::Request final : public BatchTask {
 public:
  Request(std::shared_ptr<const Queue> queue, BatchKind kind, int64_t rows,
          PooledVector<HostTensor> sorted_inputs, PooledVector<size_t> wanted_outputs,
          std::shared_ptr<RunTask> task)
      : BatchTask(std::move(kind), rows, task->deadline()),
        queue_(std::move(queue)),
        inputs_(std::move(sorted_inputs)),
        wanted_(std::move(wanted_outputs)),
        task_(std::move(task)) {}

  const HostTensor& input(size_t index) const { return inputs_[index]; }

  const RunSubject& subject() const { return task_->subject(); }
  RequestTrace* trace() const { return task_->trace(); }

  void SetPieces(size_t count) override {
    pieces_.resize(count);
    left_.store(count, std::memory_order_relaxed);
  }
  bool abandoned() const override { return task_->abandoned(); }
  void FailPiece(size_t index, const Status& status) override { Settle(index, status); }

  // Takes rows [begin, begin + rows) of a batch's outputs for piece `index`.
  void TakePiece(size_t index, const RunOutputs& outputs, int64_t begin, int64_t rows) {
    Settle(index, Share(outputs, wanted_, begin, rows));
  }

 private:
  void Settle(size_t index, Result<RunOutputs> outcome) {
    if (pieces_.size() == 1) return Finish(std::move(outcome));
    pieces_[index] = std::move(outcome);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) Finish(JoinPieces());
  }

  void Finish(Result<RunOutputs> outcome) {
    if (outcome.ok()) task_->subject().RecordRun(BatchClock::now() - since_);
    task_->Finish(std::move(outcome));
  }

  Result<RunOutputs> JoinPieces() {
    std::vector<RunOutputs> outputs;
    for (std::optional<Result<RunOutputs>>& piece : pieces_) {
      if (!(*piece).ok()) return piece->status();
      outputs.push_back(std::move(**piece));
    }
    return Join(std::move(outputs));
  }

  const std::shared_ptr<const Queue> queue_;
  const BatchClock::time_point since_ = BatchClock::now();
  const PooledVector<HostTensor> inputs_;
  const PooledVector<size_t> wanted_;  // by index of the queue's fetches
  const std::shared_ptr<RunTask> task_;
  PooledVector<std::optional<Result<RunOutputs>>> pieces_;  // each written by one thread
  std::atomic<size_t> left_{0};
};

// Calls `note` with each piece whose request is traced.
template <class Note>
void Batcher::ForEachTrace(const Batch& batch, Note note) {
  for (const BatchPiece& piece : batch.pieces) {
    if (RequestTrace* trace = static_cast<const Request&>(*piece.task).trace()) note(*trace, piece);
  }
}

Batcher::Batcher(const Session& session, std::shared_ptr<BatchScheduler> scheduler,
                 std::shared_ptr<const BatchPolicy> policy, BatchingMetrics& metrics)
    : session_(session),
      scheduler_(std::move(scheduler)),
      policy_(std::move(policy)),
      metrics_(metrics) {}

bool Batcher::RunsAlone(std::string_view signature) const {
  const auto own = policy_->Get(signature);
  const BatchingOptions& options = own->second;
  return options.batch_timeout.count() == 0 && options.allowed_batch_sizes.empty() &&
         !options.enable_large_batch_splitting;
}

Result<RunOutputs> Batcher::RunAlone(const RunRequest& request, std::string_view signature) const {
  const Result<int64_t> rows = CountRows(request.inputs);
  if (!rows.ok()) return rows.status();
  FASTSERVE_RETURN_IF_ERROR(policy_->Get(signature)->second.CheckTaskSize(*rows));
  metrics_.RecordAlone(request.feeds.size(), static_cast<size_t>(*rows));
  Result<RunOutputs> ran = RunNow(session_, request);
  if (!ran.ok()) return ran;
  FASTSERVE_RETURN_IF_ERROR(CheckOutputs(*ran, *rows));
  return ran;
}

void Batcher::Submit(RunRequest request, std::shared_ptr<RunTask> task) const {
  if (Status status = Enqueue(request, task); !status.ok()) task->Finish(std::move(status));
}

Status Batcher::Enqueue(RunRequest& request, const std::shared_ptr<RunTask>& task) const {
  const Result<int64_t> rows = CountRows(request.inputs);
  if (!rows.ok()) return rows.status();
  std::shared_ptr<Queue> queue = QueueOf(request, task->subject().first().signature.name);
  PooledVector<HostTensor> inputs;
  inputs.reserve(queue->feeds.size());
  for (const TF_Output& feed : queue->feeds) {
    inputs.push_back(std::move(request.inputs[IndexOf(feed, request.feeds)]));
  }
  PooledVector<size_t> wanted;
  wanted.reserve(request.fetches.size());
  for (const TF_Output& fetch : request.fetches) wanted.push_back(IndexOf(fetch, queue->fetches));
  if (RequestTrace* trace = task->trace()) trace->Begin(Stage::kQueue);
  BatchKind kind = KindOf(inputs, queue->options->second.pad_variable_length_inputs);
  ScheduledQueue& batches = *queue->batches;
  return batches.Add(MakePooled<Request>(std::move(queue), std::move(kind), *rows,
                                         std::move(inputs), std::move(wanted), task));
}

std::shared_ptr<Batcher::Queue> Batcher::QueueOf(const RunRequest& request,
                                                 std::string_view signature) const {
  const auto distinct = [](std::span<const TF_Output> places) {
    Places sorted(places.begin(), places.end());
    std::sort(sorted.begin(), sorted.end(), PlaceLess());
    sorted.erase(std::unique(sorted.begin(), sorted.end(), &Same), sorted.end());
    return sorted;
  };
  std::shared_ptr<const Options> options = policy_->Get(signature);
  Key key{options->first, distinct(request.feeds), distinct(request.fetches)};
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Queue>& queue = queues_[std::move(key)];
  if (queue == nullptr || queue->options != options) queue = MakeQueue(request, options);
  return queue;
}

std::shared_ptr<Batcher::Queue> Batcher::MakeQueue(const RunRequest& request,
                                                   std::shared_ptr<const Options> options) const {
  auto queue = std::make_shared<Queue>();
  for (const TF_Output& feed : request.feeds) AddOnce(feed, queue->feeds);
  for (const TF_Output& fetch : request.fetches) AddOnce(fetch, queue->fetches);
  // The requests of a batch keep their queue alive, and their servable, and so this.
  queue->batches = std::make_unique<ScheduledQueue>(
      *scheduler_, options->second,
      [this, raw = queue.get()](const Batch& batch) { Run(*raw, batch); });
  queue->options = std::move(options);
  return queue;
}

Result<RunOutputs> Batcher::RunBatch(const Queue& queue, const Batch& batch, int64_t padded) const {
  RunRequest run;
  for (const TF_Output& fetch : queue.fetches) run.fetches.push_back(fetch);
  std::vector<RowRange> ranges(batch.pieces.size());
  for (size_t feed = 0; feed < queue.feeds.size(); ++feed) {
    run.feeds.push_back(queue.feeds[feed]);
    for (size_t i = 0; i < ranges.size(); ++i) {
      const BatchPiece& piece = batch.pieces[i];
      const auto& request = static_cast<const Request&>(*piece.task);
      ranges[i] = {&request.input(feed), piece.begin, piece.rows};
    }
    const HostTensor& first = *ranges[0].tensor;
    if (ranges.size() == 1 && first.dims[0] == padded) {
      run.inputs.push_back(first);  // lent as it is
      continue;
    }
    Result<HostTensor> gathered = GatherRows(ranges, padded);
    if (!gathered.ok()) return gathered.status();
    run.inputs.push_back(std::move(*gathered));
  }
  const auto start = BatchClock::now();
  ForEachTrace(batch, [](RequestTrace& trace, const BatchPiece&) { trace.Begin(Stage::kRun); });
  Result<RunOutputs> ran = RunNow(session_, run);
  ForEachTrace(batch, [](RequestTrace& trace, const BatchPiece&) { trace.End(Stage::kRun); });
  if (!ran.ok()) return ran;
  FASTSERVE_RETURN_IF_ERROR(CheckOutputs(*ran, padded));
  if (batch.pieces.size() == 1) {
    const auto& alone = static_cast<const Request&>(*batch.pieces[0].task);
    alone.subject().RecordCost(BatchClock::now() - start);
  }
  return ran;
}

void Batcher::RecordTaken(const Queue& queue, const Batch& batch) const {
  const auto now = BatchClock::now();
  for (const BatchPiece& piece : batch.pieces) {
    metrics_.RecordQueued(now - piece.since);
    for (size_t i = 0; i < queue.feeds.size(); ++i) {
      metrics_.RecordInput(static_cast<size_t>(piece.rows));
    }
  }
}

void Batcher::Run(const Queue& queue, const Batch& batch) const {
  // Without a row there is none to pad with.
  const int64_t padded = batch.rows == 0 ? 0 : queue.options->second.PaddedSize(batch.rows);
  RecordTaken(queue, batch);
  ForEachTrace(batch, [padded](RequestTrace& trace, const BatchPiece& piece) {
    trace.End(Stage::kQueue);
    trace.Begin(Stage::kBatch);
    trace.AddBatch(piece.rows, padded);
  });
  metrics_.RecordBatch(static_cast<size_t>(padded), static_cast<size_t>(padded - batch.rows));
  const Result<RunOutputs> outputs = RunBatch(queue, batch, padded);
  int64_t begin = 0;
  for (const BatchPiece& piece : batch.pieces) {
    auto& request = static_cast<Request&>(*piece.task);
    if (RequestTrace* trace = request.trace()) trace->End(Stage::kBatch);
    if (outputs.ok()) {
      request.TakePiece(piece.index, *outputs, begin, piece.rows);
    } else {
      request.FailPiece(piece.index, outputs.status());
    }
    begin += piece.rows;
  }
}

}  // namespace fastserve
