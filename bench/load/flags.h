#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fastserve::bench {

// Says why on stderr and exits with 2: a benchmark that cannot do what it was asked gives no
// figure.
[[noreturn]] void Die(const std::string& why);

// The whole file. Dies when it cannot be read.
std::string ReadFile(const std::string& path);

// A program's command line: `--name value` or `--name=value`, in any order, repeatable.
// Threads: read-only after construction.
class Flags {
 public:
  // Dies on a name outside `known` and on a flag without a value.
  Flags(int argc, char** argv, const std::vector<std::string>& known);

  // The last value given, or `fallback`.
  std::string Text(std::string_view name, std::string_view fallback) const;
  int64_t Integer(std::string_view name, int64_t fallback) const;
  double Number(std::string_view name, double fallback) const;
  // Every value given, in order; a required flag dies when there is none.
  std::vector<std::string> All(std::string_view name) const;
  std::string Required(std::string_view name) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

}  // namespace fastserve::bench
