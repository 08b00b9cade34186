#include "codec/npy.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace fastserve {
namespace {

template <class T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// A file as np.save writes it, with this header's text; padded as it should be.
std::string File(const std::string& header, const std::string& data, char version = 1) {
  const size_t prefix = version == 1 ? 10 : 12;
  std::string text = header;
  text.append(63 - (prefix + text.size()) % 64, ' ');
  text += '\n';
  std::string file = std::string("\x93NUMPY") + version + '\0';
  for (size_t i = 0; i < prefix - 8; ++i) file += static_cast<char>(text.size() >> 8 * i);
  return file + text + data;
}

std::string Header(const std::string& descr, const std::string& shape, bool fortran = false) {
  return "{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
         ", 'shape': " + shape + ", }";
}

Result<HostTensor> Read(const std::string& file) {
  const ByteBuffer owner = ByteBuffer::Copy(file);
  return ReadNpy(owner.view(), owner);
}

template <class T>
std::vector<T> Elements(const HostTensor& tensor) {
  std::vector<T> elements(tensor.data.size() / sizeof(T));
  if (!elements.empty()) std::memcpy(elements.data(), tensor.data.data(), tensor.data.size());
  return elements;
}

std::string Error(const std::string& file) {
  const Result<HostTensor> result = Read(file);
  if (result.ok()) return "(no error)";
  EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument);
  return result.status().message();
}

TEST(NpyTest, ElementsAreBorrowedWhereTheyLie) {
  const std::string file = File(Header("<f4", "(2, 3)"), Bytes<float>({1, 2, 3, 4, 5, 6}));
  const ByteBuffer owner = ByteBuffer::Copy(file);
  const Result<HostTensor> tensor = ReadNpy(owner.view(), owner);
  ASSERT_TRUE(tensor.ok()) << tensor.status().ToString();
  EXPECT_EQ(tensor->dtype, DataType::kFloat);
  EXPECT_EQ(tensor->dims, (Dims{2, 3}));
  EXPECT_EQ(tensor->data.data(), owner.data() + NpyDataOffset(owner.view()));
  EXPECT_EQ(tensor->owner.data(), owner.data());
  EXPECT_EQ(Elements<float>(*tensor), (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(NpyTest, EveryVersionAndWayToWriteAHeaderIsRead) {
  const std::string data = Bytes<int64_t>({7});
  for (const char version : {1, 2, 3}) {
    EXPECT_EQ(Elements<int64_t>(*Read(File(Header("<i8", "(1,)"), data, version))),
              std::vector<int64_t>{7});
  }
  const std::string other = "{\"shape\":(1L , ),'fortran_order' : False,\n 'descr':'=i8'}";
  EXPECT_EQ(Elements<int64_t>(*Read(File(other, data))), std::vector<int64_t>{7});
}

TEST(NpyTest, EveryDtypeOfNumPyThatTensorFlowHasComesAndGoes) {
  const std::pair<const char*, DataType> types[] = {
      {"<f2", DataType::kHalf},      {"<f4", DataType::kFloat},       {"<f8", DataType::kDouble},
      {"|i1", DataType::kInt8},      {"<i2", DataType::kInt16},       {"<i4", DataType::kInt32},
      {"<i8", DataType::kInt64},     {"|u1", DataType::kUint8},       {"<u2", DataType::kUint16},
      {"<u4", DataType::kUint32},    {"<u8", DataType::kUint64},      {"|b1", DataType::kBool},
      {"<c8", DataType::kComplex64}, {"<c16", DataType::kComplex128},
  };
  for (const auto& [descr, dtype] : types) {
    const std::string file = File(Header(descr, "(2,)"), std::string(2 * ElementSize(dtype), '\1'));
    const Result<HostTensor> tensor = Read(file);
    ASSERT_TRUE(tensor.ok()) << descr << " " << tensor.status().ToString();
    EXPECT_EQ(tensor->dtype, dtype) << descr;
    EXPECT_TRUE(HasNpyForm(dtype));
    EXPECT_EQ(WriteNpy(*tensor), file);
  }
  for (const DataType dtype : {DataType::kString, DataType::kBfloat16, DataType::kQint8}) {
    EXPECT_FALSE(HasNpyForm(dtype));
  }
}

TEST(NpyTest, ShapesOfAnyRankComeAndGo) {
  for (const auto& [shape, count] :
       {std::pair{"()", 1}, std::pair{"(3,)", 3}, std::pair{"(1, 3)", 3}, std::pair{"(0, 7)", 0}}) {
    const std::string file = File(Header("<f4", shape), std::string(4 * count, '\0'));
    const Result<HostTensor> tensor = Read(file);
    ASSERT_TRUE(tensor.ok()) << shape << " " << tensor.status().ToString();
    EXPECT_EQ(WriteNpy(*tensor), file);
  }
}

TEST(NpyTest, BigEndianElementsAreSwapped) {
  EXPECT_EQ(Elements<uint16_t>(*Read(File(Header(">u2", "(2,)"), std::string("\0\1\2\3", 4)))),
            (std::vector<uint16_t>{1, 0x203}));
  EXPECT_EQ(
      Elements<float>(*Read(File(Header(">c8", "(1,)"), std::string("\x3f\x80\0\0\x40\0\0\0", 8)))),
      (std::vector<float>{1, 2}));
  EXPECT_EQ(Elements<int8_t>(*Read(File(Header(">i1", "(1,)"), "\5"))), std::vector<int8_t>{5});
}

TEST(NpyTest, FortransOrderIsTurnedIntoRows) {
  const std::string columns = Bytes<int32_t>({0, 3, 1, 4, 2, 5});
  EXPECT_EQ(Elements<int32_t>(*Read(File(Header("<i4", "(2, 3)", true), columns))),
            (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
  // numpy.arange(12).reshape(2, 3, 2).flatten("F")
  const std::string deep = Bytes<int32_t>({0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11});
  EXPECT_EQ(Elements<int32_t>(*Read(File(Header("<i4", "(2, 3, 2)", true), deep))),
            (std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));
  const std::string swapped = std::string("\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4", 16);
  EXPECT_EQ(Elements<int32_t>(*Read(File(Header(">i4", "(2, 2)", true), swapped))),
            (std::vector<int32_t>{1, 3, 2, 4}));
  EXPECT_TRUE(Read(File(Header("<i4", "(0, 3)", true), ""))->data.empty());
}

TEST(NpyTest, WhatIsNotOneWholeArrayIsRefused) {
  const std::string data = Bytes<float>({1, 2});
  const std::string good = File(Header("<f4", "(2,)"), data);
  const std::string start = "The body is not an npy file: ";
  EXPECT_EQ(Error(""), start + "it does not begin as np.save writes it");
  EXPECT_EQ(Error("{\"instances\": [1.0]}"), start + "it does not begin as np.save writes it");
  EXPECT_EQ(Error(good.substr(0, 60)), start + "its header is not whole");
  EXPECT_EQ(Error(good.substr(0, good.size() - 1)),
            start + "7 bytes of data are not those of shape [2] and dtype float");
  EXPECT_EQ(Error(good + "x"),
            start + "9 bytes of data are not those of shape [2] and dtype float");
  EXPECT_EQ(
      Error(File(Header("<f4", "(4611686018427387904, 4)"), data)),
      start + "8 bytes of data are not those of shape [4611686018427387904,4] and dtype float");
  std::string future = good;
  future[6] = 4;
  EXPECT_EQ(Error(future), start + "it does not begin as np.save writes it");
}

TEST(NpyTest, HeadersOfAnotherFormAreRefused) {
  const std::string data = Bytes<float>({1, 2});
  for (const std::string& header : {
           std::string("{}"),
           std::string("{'descr': '<f4', 'fortran_order': False}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'fortran_order': False}"),
           std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}"),
           std::string("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}"),
           std::string("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,)}"),
           Header("<f4", "(-2,)"),
           Header("<f4", "(2, ,)"),
           Header("<f4", "(2"),
           Header("<f4", "(99999999999999999999,)"),
       }) {
    EXPECT_EQ(Error(File(header, data)),
              "The body is not an npy file: its header is not of the form {'descr': '<f4', "
              "'fortran_order': False, 'shape': (2, 3)}")
        << header;
  }
}

TEST(NpyTest, DtypesWithoutATensorAreNamed) {
  for (const std::string descr : {"<U3", "|S3", "|O", "<M8[ns]", "<f16", "f4", ""}) {
    EXPECT_EQ(Error(File(Header(descr, "(2,)"), "        ")),
              "An npy file of dtype '" + descr +
                  "' cannot be taken; numbers, complex numbers and booleans can");
  }
}

TEST(NpyDataOffsetTest, IsToldByTheFirstBytes) {
  const std::string file = File(Header("<f4", "(2,)"), Bytes<float>({1, 2}));
  EXPECT_EQ(NpyDataOffset(file), 128u);
  EXPECT_EQ(NpyDataOffset(file.substr(0, 12)), 128u);
  EXPECT_EQ(NpyDataOffset(file.substr(0, 11)), 0u);
  EXPECT_EQ(NpyDataOffset("{\"instances\": [1.0]}"), 0u);
}

}  // namespace
}  // namespace fastserve
