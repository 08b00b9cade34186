#pragma once

#include <rapidjson/document.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "codec/json_reader.h"
#include "codec/json_tensor.h"
#include "codec/predict_json.h"

namespace fastserve {

// Takes RapidJSON's events of one body, and makes tensors of them. Threads: one.
class PredictJsonReader {
 public:
  using SizeType = rapidjson::SizeType;
  using Value = rapidjson::Value;

  // `name`: of the signature, where a pass before has found it.
  PredictJsonReader(ByteView body, const FindSignature& find, std::optional<std::string> name)
      : body_(body),
        find_(find),
        strings_(ByteBuffer::Allocate(body.size())),
        input_(body, {strings_.data(), strings_.size()}),
        used_name_(std::move(name)) {}

  Status Read();
  // After Read(): the name that the request gives.
  const std::string& name() const { return name_; }
  // Whether that is the one by which the inputs were read.
  bool is_right() const { return !used_name_ || *used_name_ == name_; }
  Result<JsonInputs> TakeInputs();

  bool Null() { return Scalar(Value()); }
  bool Bool(bool value) { return Scalar(Value(value)); }
  bool Int(int value) { return Scalar(Value(value)); }
  bool Uint(unsigned value) { return Scalar(Value(value)); }
  bool Int64(int64_t value) { return Scalar(Value(value)); }
  bool Uint64(uint64_t value) { return Scalar(Value(value)); }
  bool Double(double value) { return Scalar(Value(value)); }
  bool RawNumber(const char*, SizeType, bool) { return false; }  // not with kJsonFlags
  bool String(const char* text, SizeType size, bool);
  bool Key(const char* name, SizeType size, bool);
  bool StartObject();
  bool EndObject(SizeType);
  bool StartArray();
  bool EndArray(SizeType);

 private:
  static constexpr size_t kNever = SIZE_MAX;

  // Whose the next value is, unless it is a tensor's.
  enum class Place { kOutside, kMember, kRows, kRow, kColumns };
  // Which member of the body is under way.
  enum class Member { kOther, kSignatureName, kInstances, kInputs };
  enum class Kind { kScalar, kList, kNamedObject, kBase64Object };
  enum class Use { kEntered, kTensor, kIgnored };

  bool Scalar(const Value& value);
  // Decides what a value is for that begins outside of any tensor.
  Use Begin(Kind kind);
  Use BeginRow(Kind kind);
  Use BeginInputs(Kind kind);
  Use BeginTensor(size_t index);
  void EndTensor();
  void EndRow();
  void KeyOfBody(std::string_view name);
  void KeyOfRow(std::string_view name);
  void KeyOfColumns(std::string_view name);
  // Passes over everything until no more than `depth` lists and objects are open.
  void IgnoreTo(size_t depth) { ignore_to_ = depth; }
  bool IsIgnored() const { return ignore_to_ != kNever; }
  // Passes over the rest of the rows.
  Use FailRows(Status status);
  bool FindInputs();
  const TensorInfo* FindInput(std::string_view alias) const;
  void MakeTensors(size_t count);
  Status Check() const;

  const ByteView body_;
  const FindSignature& find_;
  const ByteBuffer strings_;  // decoded ones; also the names of members
  JsonInput input_;

  std::string name_;
  std::optional<std::string> used_name_;
  const Signature* signature_ = nullptr;
  bool has_name_ = false, has_instances_ = false, has_inputs_ = false;
  bool is_object_ = false, is_name_string_ = true, is_instances_list_ = true;

  size_t depth_ = 0;
  size_t ignore_to_ = kNever;
  Place place_ = Place::kOutside;
  Member member_ = Member::kOther;

  std::vector<JsonTensor> tensors_;
  std::vector<Status> errors_;    // of the columns
  JsonTensor* tensor_ = nullptr;  // that takes the value under way
  ByteView base64_;               // the object that is under way as its string; else empty
  bool is_tensor_whole_ = false;  // with that object's end
  Status error_;                  // of the rows, or of all columns
  bool has_named_rows_ = false;
  size_t row_ = 0;
  ByteView row_text_;
};

}  // namespace fastserve
