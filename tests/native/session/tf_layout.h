#pragma once

#include <cstddef>
#include <type_traits>

// What the types of the C API that are not opaque look like. Included where they come from
// session/tf_api.h and where they come from TensorFlow's headers, so that both agree.
static_assert(sizeof(TF_Code) == sizeof(int));
static_assert(sizeof(TF_DataType) == sizeof(int));

static_assert(sizeof(TF_Buffer) == 3 * sizeof(void*));
static_assert(offsetof(TF_Buffer, data) == 0);
static_assert(offsetof(TF_Buffer, length) == sizeof(void*));
static_assert(offsetof(TF_Buffer, data_deallocator) == 2 * sizeof(void*));
static_assert(std::is_same_v<decltype(TF_Buffer::data), const void*>);
static_assert(std::is_same_v<decltype(TF_Buffer::length), size_t>);
static_assert(std::is_same_v<decltype(TF_Buffer::data_deallocator), void (*)(void*, size_t)>);

static_assert(sizeof(TF_Output) == 2 * sizeof(void*));
static_assert(offsetof(TF_Output, oper) == 0);
static_assert(offsetof(TF_Output, index) == sizeof(void*));
static_assert(std::is_same_v<decltype(TF_Output::oper), TF_Operation*>);
static_assert(std::is_same_v<decltype(TF_Output::index), int>);

static_assert(sizeof(TF_TString) == 24);
static_assert(alignof(TF_TString) == 8);
