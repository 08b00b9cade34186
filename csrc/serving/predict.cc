#include "serving/predict.h"

#include <algorithm>
#include <set>
#include <string>

#include "codec/predict_wire.h"

namespace fastserve {
namespace {

// Which of the signature's outputs a request gets, by index.
using OutputChoice = InlineVector<size_t, 8>;

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

// The tensors of one run, by index of the signature's inputs.
struct Feed {
  explicit Feed(size_t inputs) {
    values.reserve(inputs);
    handles.reserve(inputs);
  }
  void Add(RuntimeTensor tensor) {
    handles.push_back(tensor.get());
    values.push_back(std::move(tensor));
  }

  std::vector<RuntimeTensor> values;
  std::vector<TF_Tensor*> handles;
};

Result<RuntimeTensor> DecodeInput(const TfApi& api, const TensorInfo& info, ByteView proto,
                                  const ByteBuffer& owner) {
  const Result<HostTensor> decoded = DecodeTensorProto(proto, owner);
  if (!decoded.ok()) return Status::InvalidArgument("tensor parsing error: " + info.alias);
  return RuntimeTensor::FromHost(api, *decoded);
}

// Finds each input of the signature among `inputs`, or its default, and makes a tensor of it with
// `convert(info, value)`.
template <class Value, class Convert>
Result<Feed> MatchInputs(const TfApi& api, const Signature& signature, NamedInputs<Value> inputs,
                         Convert convert) {
  const size_t wanted = signature.inputs.size();
  if (inputs.size() > wanted || (inputs.size() < wanted && signature.defaults.empty())) {
    return WrongInputCount(signature, inputs);
  }
  Feed feed(wanted);
  size_t used = 0;
  for (const TensorInfo& info : signature.inputs) {
    const auto sent = std::find_if(inputs.begin(), inputs.end(),
                                   [&](const auto& input) { return input.first == info.alias; });
    const auto preset = signature.defaults.find(info.alias);
    if (sent == inputs.end() && preset == signature.defaults.end()) {
      return InputNotFound(signature, info, inputs);
    }
    Result<RuntimeTensor> tensor = sent != inputs.end()
                                       ? convert(info, sent->second)
                                       : DecodeInput(api, info, preset->second, ByteBuffer());
    if (!tensor.ok()) return tensor.status();
    feed.Add(std::move(*tensor));
    used += sent != inputs.end();
  }
  if (used != inputs.size()) return InvalidName(signature, inputs);
  return feed;
}

Result<OutputChoice> ChooseOutputs(const Signature& signature,
                                   std::span<const std::string_view> filter) {
  OutputChoice choice;
  if (filter.empty()) {
    for (size_t i = 0; i < signature.outputs.size(); ++i) choice.push_back(i);
    return choice;
  }
  std::set<std::string_view> seen;
  for (const std::string_view alias : filter) {
    const TensorInfo* info = signature.FindOutput(alias);
    if (info == nullptr) {
      return Status::InvalidArgument(
          "output tensor alias not found in signature: " + std::string(alias) +
          " Outputs expected to be in the set {" + JoinSorted(Aliases(signature.outputs)) + "}.");
    }
    if (!seen.insert(alias).second) {
      return Status::InvalidArgument("duplicate output tensor alias: " + std::string(alias));
    }
    choice.push_back(static_cast<size_t>(info - signature.outputs.data()));
  }
  return choice;
}

Status CheckBound(const std::vector<TensorInfo>& infos, const std::vector<TF_Output>& places) {
  for (size_t i = 0; i < places.size(); ++i) {
    if (places[i].oper == nullptr) return NotInGraph(infos[i]);
  }
  return {};
}

Result<PredictOutputs> Run(const Servable& servable, const BoundSignature& bound, const Feed& feed,
                           const OutputChoice& choice) {
  const Signature& signature = bound.signature;
  FASTSERVE_RETURN_IF_ERROR(CheckBound(signature.inputs, bound.feeds));
  InlineVector<TF_Output, 8> fetches;
  for (const size_t index : choice) {
    if (bound.fetches[index].oper == nullptr) return NotInGraph(signature.outputs[index]);
    fetches.push_back(bound.fetches[index]);
  }
  Result<std::vector<RuntimeTensor>> ran =
      servable.session().Run(bound.feeds, feed.handles, fetches);
  if (!ran.ok()) return ran.status();
  PredictOutputs outputs;
  outputs.tensors = std::make_shared<const std::vector<RuntimeTensor>>(std::move(*ran));
  outputs.named.reserve(choice.size());
  for (size_t i = 0; i < choice.size(); ++i) {
    outputs.named.push_back({signature.outputs[choice[i]].alias, (*outputs.tensors)[i].View()});
  }
  return outputs;
}

}  // namespace

Result<PredictOutputs> RunSerialized(const Servable& servable, const BoundSignature& bound,
                                     NamedInputs<ByteView> inputs, const ByteBuffer& owner,
                                     std::span<const std::string_view> output_filter) {
  const TfApi& api = servable.session().api();
  const Result<Feed> feed = MatchInputs(
      api, bound.signature, inputs,
      [&](const TensorInfo& info, ByteView proto) { return DecodeInput(api, info, proto, owner); });
  if (!feed.ok()) return feed.status();
  const Result<OutputChoice> choice = ChooseOutputs(bound.signature, output_filter);
  if (!choice.ok()) return choice.status();
  return Run(servable, bound, *feed, *choice);
}

Result<PredictOutputs> RunTensors(const Servable& servable, const BoundSignature& bound,
                                  NamedInputs<const HostTensor*> inputs) {
  const TfApi& api = servable.session().api();
  const Result<Feed> feed =
      MatchInputs(api, bound.signature, inputs, [&](const TensorInfo&, const HostTensor* tensor) {
        return RuntimeTensor::FromHost(api, *tensor);
      });
  if (!feed.ok()) return feed.status();
  return Run(servable, bound, *feed, *ChooseOutputs(bound.signature, {}));
}

}  // namespace fastserve
