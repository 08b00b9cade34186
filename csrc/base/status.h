#pragma once

#include <cassert>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace fastserve {

// The canonical codes; the numbers are those of gRPC and of tensorflow.error.Code.
enum class StatusCode : int {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "NOT_FOUND" and so on; "UNKNOWN" for a number outside the enum.
std::string_view StatusCodeName(StatusCode code);

// The outcome of an operation. Success allocates nothing; a failure carries the code that the
// client will see and a sentence that says what to change. Immutable, cheap to copy.
class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(StatusCode code, std::string message);

  static Status Cancelled(std::string message);
  static Status Unknown(std::string message);
  static Status InvalidArgument(std::string message);
  static Status DeadlineExceeded(std::string message);
  static Status NotFound(std::string message);
  static Status ResourceExhausted(std::string message);
  static Status FailedPrecondition(std::string message);
  static Status Unimplemented(std::string message);
  static Status Internal(std::string message);
  static Status Unavailable(std::string message);

  bool ok() const { return state_ == nullptr; }
  StatusCode code() const { return state_ ? state_->code : StatusCode::kOk; }
  const std::string& message() const;

  // "OK", or "NOT_FOUND: no such thing": the form that upstream nests inside messages.
  std::string ToString() const;

 private:
  struct State {
    StatusCode code;
    std::string message;
  };
  std::shared_ptr<const State> state_;  // null is OK
};

// A T, or the Status that says why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}  // NOLINT: implicit by intent
  Result(Status status) : state_(std::move(status)) { assert(!std::get<Status>(state_).ok()); }

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? Status() : std::get<Status>(state_); }

  // REQUIRES: ok()
  T& value() & { return std::get<T>(state_); }
  const T& value() const& { return std::get<T>(state_); }
  T&& value() && { return std::get<T>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<Status, T> state_;
};

}  // namespace fastserve

// Leaves the enclosing function with the Status of `expression` when that is an error.
#define FASTSERVE_RETURN_IF_ERROR(expression)                                                  \
  do {                                                                                         \
    if (::fastserve::Status status_of_expression = (expression); !status_of_expression.ok()) { \
      return status_of_expression;                                                             \
    }                                                                                          \
  } while (false)
