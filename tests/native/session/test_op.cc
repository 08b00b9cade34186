// A library of custom ops: FastserveTest, which takes nothing and gives 42.
#include <tensorflow/c/kernels.h>
#include <tensorflow/c/ops.h>
#include <tensorflow/c/tf_tensor.h>

namespace {

constexpr char kName[] = "FastserveTest";

void Compute(void*, TF_OpKernelContext* context) {
  TF_Status* status = TF_NewStatus();
  TF_Tensor* y = TF_AllocateOutput(context, 0, TF_FLOAT, nullptr, 0, sizeof(float), status);
  *static_cast<float*>(TF_TensorData(y)) = 42;
  TF_DeleteTensor(y);
  TF_DeleteStatus(status);
}

struct Registration {
  Registration() {
    TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(kName);
    TF_OpDefinitionBuilderAddOutput(op, "y: float");
    TF_OpDefinitionBuilderSetShapeInferenceFunction(op, &TF_ShapeInferenceContextSetUnknownShape);
    TF_Status* status = TF_NewStatus();
    TF_RegisterOpDefinition(op, status);
    TF_RegisterKernelBuilder(kName, TF_NewKernelBuilder(kName, "CPU", nullptr, &Compute, nullptr),
                             status);
    TF_DeleteStatus(status);
  }
} registration;

}  // namespace
