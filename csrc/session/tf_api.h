#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/status.h"

// The part of TensorFlow's C API (tensorflow/c/c_api.h) that is used here, declared anew so that
// nothing of TensorFlow is needed to build. tests/native/session/tf_api_signatures_test.cc compares
// it with the headers of an installed wheel, which then bring the types.
#ifndef TENSORFLOW_C_C_API_H_
extern "C" {
struct TF_DeviceList;
struct TF_Graph;
struct TF_Library;
struct TF_Operation;
struct TF_Session;
struct TF_SessionOptions;
struct TF_Status;
struct TF_Tensor;
struct TF_Buffer {
  const void* data;
  size_t length;
  void (*data_deallocator)(void* data, size_t length);
};
struct TF_Output {
  TF_Operation* oper;
  int index;
};
struct TF_TString {
  uint64_t opaque[3];
};
typedef int TF_Code;
typedef int TF_DataType;
}
#endif

// Calls f(member) for every function pointer of TfApi, in order.
// clang-format off
#define FASTSERVE_TF_FUNCTIONS(f)                                                                 \
  f(Version) f(NewStatus) f(DeleteStatus) f(GetCode) f(Message) f(NewBuffer) f(DeleteBuffer)      \
  f(DataTypeSize) f(NewTensor) f(AllocateTensor) f(DeleteTensor) f(TensorType) f(NumDims) f(Dim)  \
  f(TensorData) f(StringInit) f(StringCopy) f(StringGetDataPointer) f(StringGetSize)              \
  f(StringDealloc) f(NewGraph) f(DeleteGraph) f(GraphOperationByName) f(OperationNumOutputs)      \
  f(OperationOutputType) f(NewSessionOptions) f(DeleteSessionOptions) f(SetConfig)                \
  f(LoadSessionFromSavedModel) f(CloseSession) f(DeleteSession) f(SessionRun) f(NewSession)       \
  f(SessionListDevices) f(DeviceListCount) f(DeviceListName) f(DeleteDeviceList) f(LoadLibrary)   \
  f(DeleteLibraryHandle)
// clang-format on

namespace fastserve {

// Function pointers into libtensorflow, opened with RTLD_LOCAL so that its BoringSSL, protobuf and
// abseil never meet ours. Each member is the C function TF_<member>; c_api.h says what it does.
// One for the process, never unloaded, immutable once loaded.
struct TfApi {
  // Opens libtensorflow_framework.so.2 and libtensorflow_cc.so.2 under the directory of an
  // installed `tensorflow` package. Once that has succeeded, later calls answer the same and ignore
  // `directory`. kNotFound or kFailedPrecondition, naming file or symbol. Any thread.
  static Result<const TfApi*> Load(const std::string& directory);

  std::string version() const { return Version(); }

  const char* (*Version)();
  TF_Status* (*NewStatus)();
  void (*DeleteStatus)(TF_Status*);
  TF_Code (*GetCode)(const TF_Status*);
  const char* (*Message)(const TF_Status*);
  TF_Buffer* (*NewBuffer)();
  void (*DeleteBuffer)(TF_Buffer*);
  size_t (*DataTypeSize)(TF_DataType);
  TF_Tensor* (*NewTensor)(TF_DataType, const int64_t* dims, int num_dims, void* data, size_t len,
                          void (*deallocator)(void* data, size_t len, void* arg), void* arg);
  TF_Tensor* (*AllocateTensor)(TF_DataType, const int64_t* dims, int num_dims, size_t len);
  void (*DeleteTensor)(TF_Tensor*);
  TF_DataType (*TensorType)(const TF_Tensor*);
  int (*NumDims)(const TF_Tensor*);
  int64_t (*Dim)(const TF_Tensor*, int index);
  void* (*TensorData)(const TF_Tensor*);
  void (*StringInit)(TF_TString*);
  void (*StringCopy)(TF_TString*, const char* src, size_t size);
  const char* (*StringGetDataPointer)(const TF_TString*);
  size_t (*StringGetSize)(const TF_TString*);
  void (*StringDealloc)(TF_TString*);
  TF_Graph* (*NewGraph)();
  void (*DeleteGraph)(TF_Graph*);
  TF_Operation* (*GraphOperationByName)(TF_Graph*, const char* name);
  int (*OperationNumOutputs)(TF_Operation*);
  TF_DataType (*OperationOutputType)(TF_Output);
  TF_SessionOptions* (*NewSessionOptions)();
  void (*DeleteSessionOptions)(TF_SessionOptions*);
  void (*SetConfig)(TF_SessionOptions*, const void* proto, size_t proto_len, TF_Status*);
  TF_Session* (*LoadSessionFromSavedModel)(const TF_SessionOptions*, const TF_Buffer* run_options,
                                           const char* export_dir, const char* const* tags,
                                           int tags_len, TF_Graph*, TF_Buffer* meta_graph_def,
                                           TF_Status*);
  void (*CloseSession)(TF_Session*, TF_Status*);
  void (*DeleteSession)(TF_Session*, TF_Status*);
  void (*SessionRun)(TF_Session*, const TF_Buffer* run_options, const TF_Output* inputs,
                     TF_Tensor* const* input_values, int ninputs, const TF_Output* outputs,
                     TF_Tensor** output_values, int noutputs,
                     const TF_Operation* const* target_opers, int ntargets, TF_Buffer* run_metadata,
                     TF_Status*);
  TF_Session* (*NewSession)(TF_Graph*, const TF_SessionOptions*, TF_Status*);
  TF_DeviceList* (*SessionListDevices)(TF_Session*, TF_Status*);
  int (*DeviceListCount)(const TF_DeviceList*);
  const char* (*DeviceListName)(const TF_DeviceList*, int index, TF_Status*);
  void (*DeleteDeviceList)(TF_DeviceList*);
  TF_Library* (*LoadLibrary)(const char* library_filename, TF_Status*);
  void (*DeleteLibraryHandle)(TF_Library*);

  // tensorflow::LocalDevice::use_global_threadpool_ (core/common_runtime/local_device.h): whether
  // devices that are made now share their threads for pieces of operations. Null where this
  // TensorFlow does not export it. The one member that changes; session.cc guards it.
  bool* shares_intra_op_threads;
};

}  // namespace fastserve
