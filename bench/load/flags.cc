#include "load/flags.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace fastserve::bench {
namespace {

template <class T>
T Parsed(std::string_view name, const std::string& text, T (*parse)(const char*, char**)) {
  char* end = nullptr;
  const T value = parse(text.c_str(), &end);
  if (text.empty() || *end != '\0') {
    Die("--" + std::string(name) + " needs a number, not '" + text + "'");
  }
  return value;
}

}  // namespace

void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(2);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Die("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Flags::Flags(int argc, char** argv, const std::vector<std::string>& known) {
  for (int i = 1; i < argc; ++i) {
    std::string_view argument = argv[i];
    if (!argument.starts_with("--")) Die("not a flag: " + std::string(argument));
    argument.remove_prefix(2);
    const size_t equals = argument.find('=');
    const std::string name(argument.substr(0, equals));
    if (std::find(known.begin(), known.end(), name) == known.end()) Die("no such flag: --" + name);
    if (equals != std::string_view::npos) {
      values_[name].emplace_back(argument.substr(equals + 1));
    } else if (++i < argc) {
      values_[name].emplace_back(argv[i]);
    } else {
      Die("--" + name + " needs a value");
    }
  }
}

std::string Flags::Text(std::string_view name, std::string_view fallback) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string(fallback) : found->second.back();
}

int64_t Flags::Integer(std::string_view name, int64_t fallback) const {
  const std::string text = Text(name, std::to_string(fallback));
  return Parsed<long long>(name, text, [](const char* s, char** e) { return strtoll(s, e, 10); });
}

double Flags::Number(std::string_view name, double fallback) const {
  const std::string text = Text(name, "");
  return text.empty() ? fallback : Parsed<double>(name, text, strtod);
}

std::vector<std::string> Flags::All(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::string Flags::Required(std::string_view name) const {
  if (!values_.contains(name)) Die("--" + std::string(name) + " is required");
  return Text(name, "");
}

}  // namespace fastserve::bench
