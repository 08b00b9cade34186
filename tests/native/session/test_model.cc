#include "session/test_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <protozero/pbf_reader.hpp>

// Under ASan, memory that is freed is soon used again, as the tests of memory growth expect.
extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "quarantine_size_mb=4";
}

namespace fastserve {
namespace {

constexpr uint32_t kSignatureDef = 5;  // of tensorflow.MetaGraphDef
constexpr uint32_t kInputs = 1;        // of tensorflow.SignatureDef
constexpr uint32_t kOutputs = 2;
constexpr uint32_t kName = 1;  // of tensorflow.TensorInfo

template <class T>
T OrDie(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
  std::abort();
}

ByteView View(const protozero::data_view& bytes) { return {bytes.data(), bytes.size()}; }

// The value of `key` in the map `field` of a message; empty when there is none.
ByteView MapValue(ByteView message, uint32_t field, std::string_view key) {
  protozero::pbf_reader entries(message.data(), message.size());
  while (entries.next(field)) {
    protozero::pbf_reader entry = entries.get_message();
    ByteView parts[2];
    while (entry.next()) parts[entry.tag() - 1] = View(entry.get_view());
    if (parts[0] == key) return parts[1];
  }
  return {};
}

}  // namespace

const TfApi& TensorFlow() {
  static const TfApi* const api = OrDie(TfApi::Load(FASTSERVE_TENSORFLOW_DIR));
  return *api;
}

std::string ModelDirectory(const std::string& name, int version) {
  return std::string(FASTSERVE_TEST_MODELS) + "/" + name + "/" + std::to_string(version);
}

size_t ResidentBytes() {
  size_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

HostTensor Strings(const std::vector<std::string>& strings) {
  HostTensor tensor;
  tensor.dtype = DataType::kString;
  tensor.dims = {static_cast<int64_t>(strings.size())};
  tensor.strings.assign(strings.begin(), strings.end());
  return tensor;
}

float HalfPlusTwoOf(const Session& session, float x) {
  float y = std::numeric_limits<float>::quiet_NaN();
  const Result<TF_Output> feed = session.Resolve("serving_default_x:0");
  const Result<TF_Output> fetch = session.Resolve("StatefulPartitionedCall:0");
  const std::vector<float> values = {x};
  const Result<RuntimeTensor> fed =
      RuntimeTensor::FromHost(TensorFlow(), VectorOf(DataType::kFloat, values));
  EXPECT_TRUE(feed.ok() && fetch.ok() && fed.ok());
  if (!feed.ok() || !fetch.ok() || !fed.ok()) return y;
  TF_Tensor* const tensor = fed->get();
  const auto ran = session.Run({&*feed, 1}, {&tensor, 1}, {&*fetch, 1});
  EXPECT_TRUE(ran.ok()) << ran.status().ToString();
  if (ran.ok()) std::memcpy(&y, (*ran)[0].View().data.data(), sizeof(y));
  return y;
}

TestModel::TestModel(const std::string& name, int version)
    : session_(OrDie(Session::LoadSavedModel(
          TensorFlow(),
          {.directory = ModelDirectory(name, version), .tags = {"serve"}, .config_proto = ""}))) {}

TF_Output TestModel::Find(std::string_view signature, uint32_t field,
                          std::string_view alias) const {
  const ByteView def = MapValue(session_->meta_graph_def(), kSignatureDef, signature);
  const ByteView info = MapValue(def, field, alias);
  protozero::pbf_reader reader(info.data(), info.size());
  return OrDie(session_->Resolve(reader.next(kName) ? View(reader.get_view()) : ""));
}

TF_Output TestModel::Input(std::string_view alias, std::string_view signature) const {
  return Find(signature, kInputs, alias);
}

TF_Output TestModel::Output(std::string_view alias, std::string_view signature) const {
  return Find(signature, kOutputs, alias);
}

Result<PooledVector<RuntimeTensor>> TestModel::Run(const Inputs& inputs,
                                                   const std::vector<std::string_view>& outputs,
                                                   std::string_view signature) const {
  PooledVector<RuntimeTensor> tensors;
  std::vector<TF_Output> feeds;
  std::vector<TF_Tensor*> values;
  for (const auto& [alias, tensor] : inputs) {
    tensors.push_back(OrDie(RuntimeTensor::FromHost(TensorFlow(), tensor)));
    feeds.push_back(Input(alias, signature));
    values.push_back(tensors.back().get());
  }
  std::vector<TF_Output> fetches;
  for (const std::string_view alias : outputs) fetches.push_back(Output(alias, signature));
  return session_->Run(feeds, values, fetches);
}

}  // namespace fastserve
