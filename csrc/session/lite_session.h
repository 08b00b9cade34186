#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/blocking_queue.h"
#include "session/session.h"

namespace fastserve {

// An input or output of a TensorFlow Lite model.
struct LiteTensor {
  std::string name;
  DataType dtype = DataType::kInvalid;
  int graph = 0;  // which of the model's graphs it belongs to: a run stays within one
};

// One run on its way to an interpreter and back. Threads: one at a time.
class LiteRun {
 public:
  using Outcome = Result<PooledVector<RuntimeTensor>>;
  struct Input {
    size_t tensor;     // its index among the model's tensors
    HostTensor value;  // borrowed: valid until the run is finished
  };

  // `tensors` are the model's and outlive the run; `outputs` are indices of them.
  LiteRun(const TfApi& api, const std::vector<LiteTensor>& tensors, int graph,
          std::vector<Input> inputs, std::vector<size_t> outputs);
  ~LiteRun();  // fails a run that nobody finished (kInternal)

  int graph() const { return graph_; }
  const std::vector<Input>& inputs() const { return inputs_; }
  const std::vector<size_t>& outputs() const { return outputs_; }
  // Where the outcome arrives; once.
  std::future<Outcome> outcome() { return outcome_.get_future(); }

  // Ends the run with copies of `values`, one for each output, whose dtypes are the model's. The
  // outcome is kInternal where they do not have the elements that their extents say.
  void Finish(std::vector<HostTensor> values);
  void Fail(Status status);

 private:
  Outcome Convert(std::vector<HostTensor> values) const;
  void End(Outcome outcome);

  const TfApi& api_;
  const std::vector<LiteTensor>& tensors_;
  const int graph_;
  std::vector<Input> inputs_;
  const std::vector<size_t> outputs_;
  std::promise<Outcome> outcome_;
  bool ended_ = false;
};

// Carries the runs of one model to the threads that have its interpreters. Any thread.
class LiteQueue {
 public:
  void Push(std::unique_ptr<LiteRun> run) { runs_.Push(std::move(run)); }
  // Waits for a run; null after Close().
  std::unique_ptr<LiteRun> Next() { return runs_.Next().value_or(nullptr); }
  void Close() { runs_.Close(); }

  // A thread with an interpreter counts from before it starts until it has freed that.
  void Enter() { ++threads_; }
  void Leave();
  // Waits until every thread has left.
  void AwaitLeft() const;

 private:
  BlockingQueue<std::unique_ptr<LiteRun>> runs_;
  std::atomic<int> threads_{0};
};

// A TensorFlow Lite model. Its interpreters are Python's (py/fastserve/servables/lite.py), since
// no library of LiteRT has a stable C API that takes every model; each has a thread of its own and
// takes one run after another. A run waits for a free one.
class LiteSession : public Session {
 public:
  // `meta_graph_def`: a serialized tensorflow.MetaGraphDef with the model's signatures; Resolve()
  // knows the names of `tensors`.
  LiteSession(const TfApi& api, std::string meta_graph_def, std::vector<LiteTensor> tensors,
              std::shared_ptr<LiteQueue> queue)
      : Session(api),
        meta_graph_def_(std::move(meta_graph_def)),
        tensors_(std::move(tensors)),
        queue_(std::move(queue)) {}
  ~LiteSession() override;  // closes the queue and waits until the interpreters are freed

  ByteView meta_graph_def() const override { return meta_graph_def_; }
  void DropMetaGraphDef() override { meta_graph_def_ = {}; }
  Result<TF_Output> Resolve(std::string_view tensor_name) const override;
  bool runs_elsewhere() const override { return true; }
  // kInvalidArgument for a feed of another dtype than the model's and for places in several graphs;
  // else as the interpreter has it.
  Result<PooledVector<RuntimeTensor>> Run(std::span<const TF_Output> feeds,
                                          std::span<TF_Tensor* const> feed_values,
                                          std::span<const TF_Output> fetches) const override;

 private:
  std::string meta_graph_def_;
  const std::vector<LiteTensor> tensors_;
  const std::shared_ptr<LiteQueue> queue_;
};

}  // namespace fastserve
