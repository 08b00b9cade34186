// npy files: whatever the bytes, no crash, and an array that holds exactly what its dims promise
// and is written as a file that reads back to it.

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "codec/npy.h"

namespace fastserve {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

void ReadAndWrite(ByteView file) {
  Require(NpyDataOffset(file) == NpyDataOffset(file.substr(0, 12)));
  const ByteBuffer owner = ByteBuffer::Copy(file);
  const Result<HostTensor> tensor = ReadNpy(owner.view(), owner);
  if (!tensor.ok()) return;
  const auto count = static_cast<size_t>(ElementCount(tensor->dims));
  Require(tensor->data.size() == count * ElementSize(tensor->dtype));
  Require(HasNpyForm(tensor->dtype));
  const ByteBuffer written = ByteBuffer::Copy(WriteNpy(*tensor));
  const Result<HostTensor> again = ReadNpy(written.view(), written);
  Require(again.ok() && again->dtype == tensor->dtype && again->dims == tensor->dims);
  Require(again->data == tensor->data && again->owner.data() == written.data());
}

}  // namespace
}  // namespace fastserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  fastserve::ReadAndWrite({reinterpret_cast<const char*>(bytes), size});
  return 0;
}
