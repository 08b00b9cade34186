#pragma once

#include <cstddef>
#include <string>

#include "base/byte_buffer.h"
#include "base/status.h"
#include "base/tensor.h"

namespace fastserve {

// NumPy's file format for one array (numpy.lib.format, versions 1 to 3), as np.save writes and
// np.load reads it: numbers, complex numbers and booleans.

// Where the array's data start, judged by the file's first bytes; 0 where they do not tell.
size_t NpyDataOffset(ByteView head);

// The array of a whole file. Its elements are borrowed from `owner`, which holds `file`, unless
// they are big-endian or in Fortran's order. kInvalidArgument, naming what is wrong, for anything
// else than one whole array of a dtype that is above; kResourceExhausted where memory is short.
Result<HostTensor> ReadNpy(ByteView file, const ByteBuffer& owner);

// Whether the format has a dtype for it.
bool HasNpyForm(DataType dtype);

// The file of a tensor whose dtype HasNpyForm().
std::string WriteNpy(const HostTensor& tensor);

}  // namespace fastserve
