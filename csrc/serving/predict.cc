#include "serving/predict.h"

#include <algorithm>

#include "codec/signature_hint.h"

namespace fastserve {
namespace {

template <class Names>
std::string JoinSorted(Names names) {
  std::sort(names.begin(), names.end());
  std::string joined;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i != 0) joined += ',';
    joined += names[i];
  }
  return joined;
}

template <class Range, class Projection>
std::vector<std::string_view> Collect(const Range& range, Projection projection) {
  std::vector<std::string_view> names;
  for (const auto& element : range) names.push_back(projection(element));
  return names;
}

std::vector<std::string_view> Aliases(const std::vector<TensorInfo>& infos) {
  return Collect(infos, [](const TensorInfo& info) -> std::string_view { return info.alias; });
}

template <class Value>
std::vector<std::string_view> Aliases(NamedInputs<Value> inputs) {
  return Collect(inputs, [](const auto& input) { return input.first; });
}

std::string JoinMissingFrom(std::vector<std::string_view> names,
                            const std::vector<std::string_view>& others) {
  std::erase_if(names, [&](std::string_view name) {
    return std::find(others.begin(), others.end(), name) != others.end();
  });
  return JoinSorted(std::move(names));
}

template <class Value>
Status WrongInputCount(const Signature& signature, NamedInputs<Value> inputs) {
  const auto sent = Aliases(inputs);
  const auto wanted = Aliases(signature.inputs);
  return Status::InvalidArgument(
      "input size does not match signature: " + std::to_string(sent.size()) +
      "!=" + std::to_string(wanted.size()) + " len({" + JoinSorted(sent) + "}) != len({" +
      JoinSorted(wanted) + "}). Sent extra: {" + JoinMissingFrom(sent, wanted) +
      "}. Missing but required: {" + JoinMissingFrom(wanted, sent) + "}.");
}

template <class Value>
Status InputNotFound(const Signature& signature, const TensorInfo& info,
                     NamedInputs<Value> inputs) {
  const auto defaults = Collect(signature.defaults,
                                [](const auto& entry) -> std::string_view { return entry.first; });
  return Status::InvalidArgument(
      "Signature input alias: " + info.alias + "(feed name: " + info.tensor_name +
      ") not found in request and no default value provided. Inputs expected to be in the request "
      "{" +
      JoinSorted(Aliases(inputs)) + "}, or default input alias set: " + JoinSorted(defaults));
}

template <class Value>
Status InvalidName(const Signature& signature, NamedInputs<Value> inputs) {
  const auto sent = Aliases(inputs);
  auto used = sent;
  std::erase_if(used, [&](std::string_view name) { return signature.FindInput(name) == nullptr; });
  return Status::InvalidArgument("Inputs contains invalid name. Used request inputs: " +
                                 JoinSorted(used) + ", request input: " + JoinSorted(sent));
}

Status NotInGraph(const TensorInfo& info) {
  return Status::InvalidArgument("Tensor " + info.tensor_name +
                                 ", specified in the signature, not found in the graph");
}

Result<HostTensor> DecodeInput(const TensorInfo& info, ByteView proto, const ByteBuffer& owner) {
  Result<HostTensor> decoded = DecodeTensorProto(proto, owner);
  if (!decoded.ok()) return Status::InvalidArgument("tensor parsing error: " + info.alias);
  return decoded;
}

// Finds each input of the signature among `inputs`, or its default, and makes a tensor of it with
// `convert(info, value)`.
template <class Value, class Convert>
Result<PooledVector<HostTensor>> MatchInputs(const Signature& signature, NamedInputs<Value> inputs,
                                             Convert convert) {
  const size_t wanted = signature.inputs.size();
  if (inputs.size() > wanted || (inputs.size() < wanted && signature.defaults.empty())) {
    return WrongInputCount(signature, inputs);
  }
  PooledVector<HostTensor> matched;
  matched.reserve(wanted);
  size_t used = 0;
  for (const TensorInfo& info : signature.inputs) {
    const auto sent = std::find_if(inputs.begin(), inputs.end(),
                                   [&](const auto& input) { return input.first == info.alias; });
    const auto preset = signature.defaults.find(info.alias);
    if (sent == inputs.end() && preset == signature.defaults.end()) {
      return InputNotFound(signature, info, inputs);
    }
    Result<HostTensor> tensor = sent != inputs.end()
                                    ? convert(info, sent->second)
                                    : DecodeInput(info, preset->second, ByteBuffer());
    if (!tensor.ok()) return tensor.status();
    matched.push_back(std::move(*tensor));
    used += sent != inputs.end();
  }
  if (used != inputs.size()) return InvalidName(signature, inputs);
  return matched;
}

Result<InlineVector<size_t, 8>> ChooseOutputs(const Signature& signature,
                                              std::span<const std::string_view> filter) {
  InlineVector<size_t, 8> choice;
  if (filter.empty()) {
    for (size_t i = 0; i < signature.outputs.size(); ++i) choice.push_back(i);
    return choice;
  }
  for (const std::string_view alias : filter) {
    const TensorInfo* info = signature.FindOutput(alias);
    if (info == nullptr) {
      return Status::InvalidArgument(
          "output tensor alias not found in signature: " + std::string(alias) +
          " Outputs expected to be in the set {" + JoinSorted(Aliases(signature.outputs)) + "}.");
    }
    const auto index = static_cast<size_t>(info - signature.outputs.data());
    if (std::find(choice.begin(), choice.end(), index) != choice.end()) {
      return Status::InvalidArgument("duplicate output tensor alias: " + std::string(alias));
    }
    choice.push_back(index);
  }
  return choice;
}

Result<PredictRun> Bind(const BoundSignature& bound, PooledVector<HostTensor> inputs,
                        std::span<const std::string_view> output_filter) {
  const Signature& signature = bound.signature;
  Result<InlineVector<size_t, 8>> outputs = ChooseOutputs(signature, output_filter);
  if (!outputs.ok()) return outputs.status();
  PredictRun run{.request = {}, .outputs = *outputs};
  for (size_t i = 0; i < bound.feeds.size(); ++i) {
    if (bound.feeds[i].oper == nullptr) return NotInGraph(signature.inputs[i]);
    run.request.feeds.push_back(bound.feeds[i]);
  }
  for (const size_t index : run.outputs) {
    if (bound.fetches[index].oper == nullptr) return NotInGraph(signature.outputs[index]);
    run.request.fetches.push_back(bound.fetches[index]);
  }
  run.request.inputs = std::move(inputs);
  return run;
}

}  // namespace

Result<PredictRun> PrepareSerialized(const BoundSignature& bound, NamedInputs<ByteView> inputs,
                                     const ByteBuffer& owner,
                                     std::span<const std::string_view> output_filter) {
  Result<PooledVector<HostTensor>> matched = MatchInputs(
      bound.signature, inputs,
      [&](const TensorInfo& info, ByteView proto) { return DecodeInput(info, proto, owner); });
  if (!matched.ok()) return matched.status();
  return Bind(bound, std::move(*matched), output_filter);
}

Result<PredictRun> PrepareTensors(const BoundSignature& bound,
                                  NamedInputs<const HostTensor*> inputs) {
  Result<PooledVector<HostTensor>> matched = MatchInputs(
      bound.signature, inputs,
      [](const TensorInfo&, const HostTensor* tensor) { return Result<HostTensor>(*tensor); });
  if (!matched.ok()) return matched.status();
  return Bind(bound, std::move(*matched), {});
}

Result<PredictJob> PredictJob::Parse(ByteBuffer message, TensorEncoding encoding) {
  Result<PredictRequestView> request = ParsePredictRequest(message.view());
  if (!request.ok()) return request.status();
  return PredictJob(std::move(message), std::move(*request), encoding);
}

Result<ModelSpecView> PredictJob::model_spec() const {
  if (!request_.has_model_spec) return Status::InvalidArgument("Missing ModelSpec");
  return request_.model_spec;
}

Status PredictJob::Bind(const Servable& servable, const InferenceOptions& options) {
  const std::string_view name = request_.model_spec.signature_name;
  servable_ = &servable;
  const BoundSignature* bound = servable.FindSignature(name);
  if (bound == nullptr) {
    return Status::FailedPrecondition("Serving signature key \"" +
                                      std::string(name.empty() ? "serving_default" : name) +
                                      "\" not found.");
  }
  subject_ = {.signatures = {bound}, .bytes = bytes_.size(), .method = method()};
  return CheckPredictMethodName(bound->signature, options);
}

Result<RunRequest> PredictJob::Prepare() {
  Result<PredictRun> run =
      PrepareSerialized(subject_.first(), request_.inputs, bytes_, request_.output_filter);
  if (!run.ok()) return run.status();
  outputs_ = run->outputs;
  prepared_ = true;
  return std::move(run->request);
}

std::string PredictJob::Hint() const {
  if (!prepared_) return DescribeInputs(subject_.first().signature);
  std::vector<std::pair<std::string_view, const HostTensor*>> inputs;
  std::vector<HostTensor> tensors;
  tensors.reserve(request_.inputs.size());
  for (const auto& [alias, proto] : request_.inputs) {
    Result<HostTensor> tensor = DecodeTensorProto(proto, bytes_);
    if (!tensor.ok()) continue;
    tensors.push_back(std::move(*tensor));
    inputs.emplace_back(alias, &tensors.back());
  }
  return DescribeMisfits(subject_.first().signature, inputs);
}

Result<ByteChain> PredictJob::Answer(const RunOutputs& ran) const {
  const Signature& signature = subject_.first().signature;
  ByteChain answer;
  answer.Reserve(256);
  PredictResponseWriter writer(answer, encoding_);
  for (size_t i = 0; i < outputs_.size(); ++i) {
    const TensorInfo& info = signature.outputs[outputs_[i]];
    FASTSERVE_RETURN_IF_ERROR(writer.AddOutput(info.alias, ran.tensors[i], ran.owner));
  }
  // The name that the client asked for, or that the URL gave.
  writer.AddModelSpec(servable_->name(), servable_->version(), signature.name);
  return answer;
}

}  // namespace fastserve
