#include "session/lite_session.h"

#include <algorithm>
#include <utility>

namespace fastserve {
namespace {

size_t Index(TF_Output place) { return static_cast<size_t>(place.index); }

bool HoldsAllElements(const HostTensor& tensor) {
  const auto count = static_cast<size_t>(ElementCount(tensor.dims));
  if (tensor.dtype == DataType::kString) return tensor.strings.size() == count;
  return tensor.data.size() == count * ElementSize(tensor.dtype);
}

}  // namespace

LiteRun::LiteRun(const TfApi& api, const std::vector<LiteTensor>& tensors, int graph,
                 std::vector<Input> inputs, std::vector<size_t> outputs)
    : api_(api),
      tensors_(tensors),
      graph_(graph),
      inputs_(std::move(inputs)),
      outputs_(std::move(outputs)) {}

LiteRun::~LiteRun() { Fail(Status::Internal("The TensorFlow Lite interpreter gave no answer")); }

void LiteRun::Finish(std::vector<HostTensor> values) { End(Convert(std::move(values))); }

void LiteRun::Fail(Status status) { End(std::move(status)); }

LiteRun::Outcome LiteRun::Convert(std::vector<HostTensor> values) const {
  if (values.size() != outputs_.size()) {
    return Status::Internal("The TensorFlow Lite interpreter gave " +
                            std::to_string(values.size()) + " outputs, not " +
                            std::to_string(outputs_.size()));
  }
  PooledVector<RuntimeTensor> converted;
  converted.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    const LiteTensor& tensor = tensors_[outputs_[i]];
    values[i].dtype = tensor.dtype;
    if (!HoldsAllElements(values[i])) {
      return Status::Internal("Failed to convert TFLite tensor: " + tensor.name +
                              " to TF tensor. Size mismatch for shape " + DimsText(values[i].dims));
    }
    Result<RuntimeTensor> copy = RuntimeTensor::FromHost(api_, values[i]);
    if (!copy.ok()) return copy.status();
    converted.push_back(std::move(*copy));
  }
  return converted;
}

void LiteRun::End(Outcome outcome) {
  if (std::exchange(ended_, true)) return;
  inputs_.clear();  // they go with the one who waits
  outcome_.set_value(std::move(outcome));
}

void LiteQueue::Leave() {
  --threads_;
  threads_.notify_all();
}

void LiteQueue::AwaitLeft() const {
  while (const int threads = threads_) threads_.wait(threads);
}

LiteSession::~LiteSession() {
  queue_->Close();
  queue_->AwaitLeft();
}

Result<TF_Output> LiteSession::Resolve(std::string_view tensor_name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const LiteTensor& tensor) {
    return tensor.name == tensor_name;
  });
  if (found == tensors_.end()) {
    return Status::NotFound("the model has no tensor " + std::string(tensor_name));
  }
  // The index says all; the pointer only is not null.
  auto* const some = reinterpret_cast<TF_Operation*>(const_cast<LiteSession*>(this));
  return TF_Output{some, static_cast<int>(found - tensors_.begin())};
}

Result<PooledVector<RuntimeTensor>> LiteSession::Run(std::span<const TF_Output> feeds,
                                                     std::span<TF_Tensor* const> feed_values,
                                                     std::span<const TF_Output> fetches) const {
  const std::span<const TF_Output> places = feeds.empty() ? fetches : feeds;
  const int graph = places.empty() ? 0 : tensors_[Index(places[0])].graph;
  const auto elsewhere = [&](TF_Output place) { return tensors_[Index(place)].graph != graph; };
  if (std::any_of(feeds.begin(), feeds.end(), elsewhere) ||
      std::any_of(fetches.begin(), fetches.end(), elsewhere)) {
    return Status::InvalidArgument(
        "the signatures belong to different graphs of the TensorFlow Lite model: send a request "
        "for each");
  }
  std::vector<LiteRun::Input> inputs;
  for (size_t i = 0; i < feeds.size(); ++i) {
    const LiteTensor& tensor = tensors_[Index(feeds[i])];
    HostTensor value = RuntimeTensor::View(api(), feed_values[i]);
    if (value.dtype != tensor.dtype) {
      return Status::InvalidArgument("Input tensor " + tensor.name + " is to be " +
                                     DataTypeName(tensor.dtype) + " but " +
                                     DataTypeName(value.dtype) + " is provided");
    }
    inputs.push_back({Index(feeds[i]), std::move(value)});
  }
  std::vector<size_t> outputs;
  for (const TF_Output place : fetches) outputs.push_back(Index(place));
  auto run = std::make_unique<LiteRun>(api(), tensors_, graph, std::move(inputs), outputs);
  std::future<LiteRun::Outcome> outcome = run->outcome();
  queue_->Push(std::move(run));
  return outcome.get();
}

}  // namespace fastserve
