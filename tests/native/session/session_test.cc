#include "session/session.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "session/test_model.h"

namespace fastserve {
namespace {

namespace fs = std::filesystem;

HostTensor Floats(const std::vector<float>& floats) { return VectorOf(DataType::kFloat, floats); }

template <class T>
std::vector<T> Elements(const RuntimeTensor& tensor) {
  const ByteView bytes = tensor.View().data;
  const T* first = reinterpret_cast<const T*>(bytes.data());
  return {first, first + bytes.size() / sizeof(T)};
}

Status LoadError(const SavedModelOptions& options) {
  return Session::LoadSavedModel(TensorFlow(), options).status();
}

fs::path FreshDirectory(const std::string& name) {
  const fs::path directory = fs::path(testing::TempDir()) / name;
  fs::remove_all(directory);
  fs::create_directories(directory);
  return directory;
}

uint64_t CpuNs(clockid_t clock) {
  timespec used;
  ::clock_gettime(clock, &used);
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

TEST(SessionTest, AnswersComeFromTheLoadedVersion) {
  const std::vector<float> x = {1, 2, -4};
  for (int version = 1; version <= 3; ++version) {
    const TestModel model("half_plus_two", version);
    const auto ran = model.Run({{"x", Floats(x)}}, {"y"});
    ASSERT_TRUE(ran.ok()) << ran.status().ToString();
    const float offset = static_cast<float>(version) + 1;
    EXPECT_EQ(Elements<float>(ran.value()[0]),
              (std::vector<float>{0.5f + offset, 1 + offset, -2 + offset}));
  }
}

TEST(SessionTest, EveryFixedSizeDtypeComesBackAsItWent) {
  const TestModel model("identity");
  const std::pair<const char*, DataType> dtypes[] = {{"float16", DataType::kHalf},
                                                     {"bfloat16", DataType::kBfloat16},
                                                     {"float32", DataType::kFloat},
                                                     {"float64", DataType::kDouble},
                                                     {"complex64", DataType::kComplex64},
                                                     {"complex128", DataType::kComplex128},
                                                     {"int8", DataType::kInt8},
                                                     {"int16", DataType::kInt16},
                                                     {"int32", DataType::kInt32},
                                                     {"int64", DataType::kInt64},
                                                     {"uint8", DataType::kUint8},
                                                     {"uint16", DataType::kUint16},
                                                     {"uint32", DataType::kUint32},
                                                     {"uint64", DataType::kUint64},
                                                     {"qint8", DataType::kQint8},
                                                     {"quint8", DataType::kQuint8},
                                                     {"qint16", DataType::kQint16},
                                                     {"quint16", DataType::kQuint16},
                                                     {"qint32", DataType::kQint32},
                                                     {"bool", DataType::kBool},
                                                     {"int4", DataType::kInt4},
                                                     {"uint4", DataType::kUint4},
                                                     {"float8_e5m2", DataType::kFloat8E5m2},
                                                     {"float8_e4m3fn", DataType::kFloat8E4m3fn}};
  const std::string bytes(6 * 16, '\1');
  for (const auto& [signature, dtype] : dtypes) {
    HostTensor x;
    x.dtype = dtype;
    x.dims = {3, 2};
    x.data = ByteView(bytes).substr(0, 6 * ElementSize(dtype));
    const auto ran = model.Run({{"x", x}}, {"y"}, signature);
    ASSERT_TRUE(ran.ok()) << signature << ": " << ran.status().ToString();
    const HostTensor y = ran.value()[0].View();
    EXPECT_EQ(y.dtype, dtype);
    EXPECT_EQ(y.dims, x.dims);
    EXPECT_EQ(y.data, x.data) << signature;
  }
}

TEST(SessionTest, StringsComeBackAsTheyWent) {
  const TestModel model("identity");
  const std::vector<std::string> x = {"", "short", std::string(1000, 'l'), std::string("a\0b", 3)};
  const auto ran = model.Run({{"x", Strings(x)}}, {"y"}, "string");
  ASSERT_TRUE(ran.ok()) << ran.status().ToString();
  const HostTensor y = ran.value()[0].View();
  EXPECT_EQ(std::vector<std::string>(y.strings.begin(), y.strings.end()), x);
}

TEST(SessionTest, TensorsWithoutElementsComeBackWithTheirDims) {
  const TestModel model("identity");
  for (const auto& [signature, dtype] :
       {std::pair("float32", DataType::kFloat), std::pair("string", DataType::kString)}) {
    HostTensor x;
    x.dtype = dtype;
    x.dims = {2, 0, 3};
    const auto ran = model.Run({{"x", x}}, {"y"}, signature);
    ASSERT_TRUE(ran.ok()) << ran.status().ToString();
    EXPECT_EQ(ran.value()[0].View().dims, x.dims);
  }
}

TEST(SessionTest, InputsAndOutputsGoByIndex) {
  const TestModel model("multi");
  const std::vector<float> a = {1, 2, 3, 4}, scale = {10};
  const std::vector<int64_t> b = {7, 8, 9};
  HostTensor a_tensor = Floats(a), scale_tensor = Floats(scale);
  a_tensor.dims = {2, 2};
  scale_tensor.dims = {};
  const auto ran = model.Run({{"s", Strings({"one", "two"})},
                              {"scale", scale_tensor},
                              {"b", VectorOf(DataType::kInt64, b)},
                              {"a", a_tensor}},
                             {"echo", "total", "next"});
  ASSERT_TRUE(ran.ok()) << ran.status().ToString();
  EXPECT_EQ(ran.value()[0].View().strings, (std::vector<std::string_view>{"one", "two"}));
  EXPECT_EQ(Elements<float>(ran.value()[1]), (std::vector<float>{30, 70}));
  EXPECT_EQ(Elements<int64_t>(ran.value()[2]), (std::vector<int64_t>{8, 9, 10}));
}

TEST(SessionTest, AnImageIsNeitherCopiedInNorOut) {
  const TestModel model("image_identity");
  HostTensor image;
  image.dtype = DataType::kFloat;
  image.dims = {1, 224, 224, 3};
  image.owner = ByteBuffer::Allocate(size_t{224} * 224 * 3 * sizeof(float));
  std::fill_n(image.owner.data(), image.owner.size(), '\1');
  image.data = image.owner.view();
  const auto ran = model.Run({{"image", image}}, {"image"});
  ASSERT_TRUE(ran.ok()) << ran.status().ToString();
  EXPECT_EQ(ran.value()[0].View().data.data(), image.owner.data());
}

TEST(SessionTest, AnOutputOutlivesInputAndSession) {
  const std::vector<std::string> x = {std::string(1000, 'x')};
  const auto run_and_drop = [&] {
    const TestModel model("identity");
    return std::move(model.Run({{"x", Strings(x)}}, {"y"}, "string")).value();
  };
  const PooledVector<RuntimeTensor> outputs = run_and_drop();
  EXPECT_EQ(outputs[0].View().strings[0], x[0]);
}

TEST(SessionTest, FetchingAFedTensorIsRefusedByTensorFlow) {
  const TestModel model("half_plus_two");
  const std::vector<float> x = {1, 2};
  const RuntimeTensor fed = RuntimeTensor::FromHost(TensorFlow(), Floats(x)).value();
  TF_Tensor* const value = fed.get();
  const TF_Output place = model.Input("x");
  EXPECT_EQ(model.session().Run({&place, 1}, {&value, 1}, {&place, 1}).status().ToString(),
            "INVALID_ARGUMENT: serving_default_x:0 is both fed and fetched.");
}

TEST(SessionTest, AnOutputMayBeFetchedTwice) {
  const TestModel model("half_plus_two");
  const auto ran = model.Run({{"x", Floats({2})}}, {"y", "y"});
  ASSERT_TRUE(ran.ok()) << ran.status().ToString();
  EXPECT_EQ(Elements<float>(ran.value()[0]), std::vector<float>{3});
  EXPECT_EQ(Elements<float>(ran.value()[1]), std::vector<float>{3});
}

TEST(SessionTest, MoreFetchesThanFitInlineAreAnswered) {
  const TestModel model("half_plus_two");
  const auto ran = model.Run({{"x", Floats({2})}}, std::vector<std::string_view>(40, "y"));
  ASSERT_TRUE(ran.ok()) << ran.status().ToString();
  ASSERT_EQ(ran.value().size(), 40u);
  for (const RuntimeTensor& y : ran.value()) {
    EXPECT_EQ(Elements<float>(y), std::vector<float>{3});
  }
}

TEST(SessionTest, ARunMayFeedNothing) {
  const TestModel model("multi");
  const TF_Output scale = model.Input("scale");  // a placeholder with a default
  const auto ran = model.session().Run({}, {}, {&scale, 1});
  ASSERT_TRUE(ran.ok()) << ran.status().ToString();
  EXPECT_EQ(Elements<float>(ran.value()[0]), std::vector<float>{1});
}

TEST(SessionTest, ARunThatFetchesNothingIsRefusedByTensorFlow) {
  const TestModel model("half_plus_two");
  EXPECT_EQ(model.Run({{"x", Floats({2})}}, {}).status().ToString(),
            "INVALID_ARGUMENT: Must specify at least one target to fetch or execute.");
}

TEST(SessionTest, AWrongDtypeGivesTensorFlowsText) {
  const TestModel model("identity");
  const std::vector<int32_t> ints = {1};
  EXPECT_EQ(model.Run({{"x", VectorOf(DataType::kInt32, ints)}}, {"y"}).status().ToString(),
            "INVALID_ARGUMENT: Expects arg[0] to be float but int32 is provided");
  EXPECT_EQ(model.Run({{"x", Strings({"text"})}}, {"y"}).status().ToString(),
            "INVALID_ARGUMENT: Expects arg[0] to be float but string is provided");
  HostTensor variant;
  variant.dtype = DataType::kVariant;
  variant.dims = {1};
  EXPECT_EQ(model.Run({{"x", variant}}, {"y"}).status().ToString(),
            "INVALID_ARGUMENT: Expects arg[0] to be float but variant is provided");
}

TEST(SessionTest, AnInputThatTakesAVariantIsNotFed) {
  const TestModel model("identity");
  HostTensor variant;
  variant.dtype = DataType::kVariant;
  EXPECT_EQ(model.Run({{"x", variant}}, {"y"}, "variant").status().ToString(),
            "UNIMPLEMENTED: an input of dtype variant cannot be fed");
}

TEST(SessionTest, AResourceIsRefusedByTensorFlow) {
  const TestModel model("identity");
  HostTensor resource;
  resource.dtype = DataType::kResource;
  const Status status = model.Run({{"x", resource}}, {"y"}).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(status.message().starts_with("Invalid resource type hash code: 0(name:  type: )."))
      << status.message();
}

TEST(SessionTest, EveryDtypeThatIsNoFloatIsRefusedWithoutHarm) {
  const TestModel model("identity");
  const std::string bytes(2 * 16, '\0');
  for (int number = 2; number < 40; ++number) {
    HostTensor x;
    x.dtype = static_cast<DataType>(number);
    x.dims = {2};
    x.data = ByteView(bytes).substr(0, 2 * ElementSize(x.dtype));
    if (x.dtype == DataType::kString) x.strings = {"a", "b"};
    const auto tensor = RuntimeTensor::FromHost(TensorFlow(), x);
    const Status status = tensor.ok() ? model.Run({{"x", x}}, {"y"}).status() : tensor.status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << number << status.ToString();
  }
  EXPECT_TRUE(model.Run({{"x", Floats({1})}}, {"y"}).ok());
}

TEST(SessionTest, AMissingFeedGivesTensorFlowsText) {
  const TestModel model("half_plus_two");
  const Status status = model.Run({}, {"y"}).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(status.message().starts_with(
      "You must feed a value for placeholder tensor 'serving_default_x' with dtype float"))
      << status.message();
}

TEST(SessionTest, AKernelsErrorLeavesTheSessionUsable) {
  const TestModel model("multi");
  const std::vector<float> a = {1, 2};
  const std::vector<int64_t> b = {1};
  const auto run = [&](Dims dims) {
    HostTensor tensor = Floats(a);
    tensor.dims = dims;
    return model.Run({{"a", tensor}, {"b", VectorOf(DataType::kInt64, b)}, {"s", Strings({"s"})}},
                     {"total"});
  };
  EXPECT_EQ(run({2}).status().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(run({1, 2}).ok());
}

TEST(SessionTest, ResolveTakesAnOperationForItsFirstOutput) {
  const TestModel model("half_plus_two");
  const auto named = model.session().Resolve("serving_default_x");
  ASSERT_TRUE(named.ok());
  EXPECT_EQ(named->oper, model.Input("x").oper);
  EXPECT_EQ(named->index, 0);
}

TEST(SessionTest, ResolveRefusesWhatTheGraphLacks) {
  const TestModel model("half_plus_two");
  for (const char* name : {"", ":0", "nowhere:0", "serving_default_x:1", "serving_default_x:-1",
                           "serving_default_x:", "serving_default_x:0x", "serving_default_x:00:0",
                           "serving_default_x:99999999999"}) {
    const auto place = model.session().Resolve(name);
    ASSERT_FALSE(place.ok()) << name;
    EXPECT_EQ(place.status().ToString(), "NOT_FOUND: the graph has no tensor " + std::string(name));
  }
}

TEST(SessionTest, TheMetaGraphCanBeDropped) {
  auto session =
      Session::LoadSavedModel(TensorFlow(), {ModelDirectory("half_plus_two"), {"serve"}, ""})
          .value();
  EXPECT_FALSE(session->meta_graph_def().empty());
  session->DropMetaGraphDef();
  EXPECT_TRUE(session->meta_graph_def().empty());
  EXPECT_TRUE(session->Resolve("serving_default_x").ok());
}

TEST(SessionTest, ADirectoryWithoutASavedModelGivesUpstreamsText) {
  const std::string empty = FreshDirectory("empty");
  for (const std::string& directory : {empty, empty + "/missing"}) {
    const Status status = LoadError({directory, {"serve"}, ""});
    EXPECT_EQ(status.ToString(),
              "NOT_FOUND: Specified file path does not appear to contain a SavedModel bundle "
              "(should have a file called `saved_model.pb`)\nSpecified file path: " +
                  directory);
  }
}

TEST(SessionTest, AGarbageSavedModelIsRefused) {
  const fs::path directory = FreshDirectory("garbage");
  std::ofstream(directory / "saved_model.pb") << "this is not a SavedModel";
  const Status status = LoadError({directory, {"serve"}, ""});
  EXPECT_NE(status.message().find("saved_model.pb"), std::string::npos) << status.ToString();
}

TEST(SessionTest, OtherTagsGiveTensorFlowsText) {
  EXPECT_EQ(LoadError({ModelDirectory("half_plus_two"), {"train"}, ""}).ToString(),
            "NOT_FOUND: Could not find meta graph def matching supplied tags: { train }. To "
            "inspect available tag-sets in the SavedModel, please use the SavedModel CLI: "
            "`saved_model_cli`");
}

TEST(SessionTest, MoreTagsThanTheModelHasDoNotMatch) {
  const Status status = LoadError({ModelDirectory("half_plus_two"), {"serve", "gpu"}, ""});
  EXPECT_EQ(status.code(), StatusCode::kNotFound) << status.ToString();
}

TEST(SessionTest, AConfigThatDoesNotParseIsRefused) {
  const Status status = LoadError({ModelDirectory("half_plus_two"), {"serve"}, "\xff\xff"});
  EXPECT_EQ(status.ToString(), "INVALID_ARGUMENT: Unparseable ConfigProto");
}

TEST(SessionTest, AConfigReachesTheSession) {
  // Two session_inter_op_thread_pool of one global_name that do not agree on num_threads.
  const std::string config =
      "\x62\x05\x08\x01\x12\x01p"
      "\x62\x05\x08\x02\x12\x01p";
  const Status status = LoadError({ModelDirectory("half_plus_two"), {"serve"}, config});
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("num_threads"), std::string::npos) << status.ToString();
}

// Threads of this process by how much lower than this one's their priority is.
std::map<int, int> CountByNiceness() {
  const int own = ::getpriority(PRIO_PROCESS, 0);
  std::map<int, int> counts;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    const auto tid = static_cast<id_t>(std::stoul(task.path().filename()));
    ++counts[::getpriority(PRIO_PROCESS, tid) - own];
  }
  return counts;
}

void ExpectThatTensorFlowsThreadsGiveWay(const std::string& config_proto) {
  constexpr int kPoolNice = 7, kLoadNice = 10;
  const auto session =
      Session::LoadSavedModel(TensorFlow(), {.directory = ModelDirectory("half_plus_two"),
                                             .tags = {"serve"},
                                             .config_proto = config_proto});
  ASSERT_TRUE(session.ok()) << session.status().ToString();
  // The kernel may show the loading thread for a moment after it was joined.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  std::map<int, int> counts = CountByNiceness();
  while (counts.contains(kLoadNice) && std::chrono::steady_clock::now() < end) {
    counts = CountByNiceness();
  }
  EXPECT_GT(counts[0], 0);
  EXPECT_GT(counts[kPoolNice], 0);
  EXPECT_EQ(counts.size(), 2) << "no thread is left with the priority of a load";
}

TEST(SessionTest, TensorFlowsThreadsGiveWayToTheServers) {
  ExpectThatTensorFlowsThreadsGiveWay("");
  ExpectThatTensorFlowsThreadsGiveWay("\x48\x01");          // use_per_session_threads
  ExpectThatTensorFlowsThreadsGiveWay("\x62\x02\x08\x01");  // session_inter_op_thread_pool
}

TEST(SessionTest, ManyThreadsRunAtOnce) {
  const TestModel model("half_plus_two");
  const TF_Output x = model.Input("x"), y = model.Output("y");
  std::atomic<int> right = 0;
  const auto run_some = [&](int thread) {
    for (int i = 0; i < 500; ++i) {
      const std::vector<float> input = {static_cast<float>(thread * 1000 + i)};
      const RuntimeTensor fed = RuntimeTensor::FromHost(TensorFlow(), Floats(input)).value();
      TF_Tensor* const value = fed.get();
      const auto ran = model.session().Run({&x, 1}, {&value, 1}, {&y, 1});
      right += ran.ok() && Elements<float>(ran.value()[0])[0] == input[0] * 0.5f + 2;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back(run_some, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 8 * 500);
}

TEST(SessionTest, ARunUsesTheCallersThreadAlone) {
  const TestModel model("half_plus_two");
  const std::vector<float> x = {1};
  const TestModel::Inputs inputs = {{"x", Floats(x)}};
  ASSERT_TRUE(model.Run(inputs, {"y"}).ok());
  const uint64_t process = CpuNs(CLOCK_PROCESS_CPUTIME_ID);
  const uint64_t thread = CpuNs(CLOCK_THREAD_CPUTIME_ID);
  for (int i = 0; i < 5000; ++i) ASSERT_TRUE(model.Run(inputs, {"y"}).ok());
  const uint64_t by_thread = CpuNs(CLOCK_THREAD_CPUTIME_ID) - thread;
  const uint64_t by_process = CpuNs(CLOCK_PROCESS_CPUTIME_ID) - process;
  EXPECT_GT(by_thread * 100, by_process * 95);
}

TEST(SessionTest, StringRunsDoNotGrowMemory) {
  const TestModel model("identity");
  const std::vector<std::string> x(100, std::string(1000, 's'));  // 100 MB over 1000 runs
  const TF_Output feed = model.Input("x", "string"), fetch = model.Output("y", "string");
  const auto run = [&] {
    const RuntimeTensor fed = RuntimeTensor::FromHost(TensorFlow(), Strings(x)).value();
    TF_Tensor* const value = fed.get();
    return model.session().Run({&feed, 1}, {&value, 1}, {&fetch, 1}).ok();
  };
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(run());
  const size_t before = ResidentBytes();
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(run());
  EXPECT_LT(ResidentBytes(), before + (size_t{10} << 20));
}

}  // namespace
}  // namespace fastserve
