// What the SDK's two kinds of plugin share. DRAFT, like the interface under it. C++20, header-only, nothing to link;
// works with and without exceptions.
//
// Everything here has hidden visibility, so that two plugins in one process never share an object by accident.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "weir/plugin.h"

#if defined(__cpp_exceptions)
#define WEIR_SDK_TRY try
#define WEIR_SDK_CATCH_ALL(...) \
  catch (...) {                 \
    __VA_ARGS__                 \
  }
#else
#define WEIR_SDK_TRY
#define WEIR_SDK_CATCH_ALL(...)
#endif

namespace weir {
namespace sdk __attribute__((visibility("hidden"))) {

struct Error {
  std::string message;
  std::string field{};  // below the plugin's configuration: "limits.per_second"
};

// A value or an error: `if (!result) return result.error();`
template <class T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT: meant to convert
  Result(Error error) : value_(std::move(error)) {}  // NOLINT
  explicit operator bool() const { return value_.index() == 0; }
  T& operator*() { return std::get<0>(value_); }
  const Error& error() const { return std::get<1>(value_); }

 private:
  std::variant<T, Error> value_;
};

enum class LogLevel : uint32_t { kDebug = WEIR_LOG_DEBUG, kInfo = WEIR_LOG_INFO, kWarning = WEIR_LOG_WARNING, kError = WEIR_LOG_ERROR };

namespace internal {

struct Plugin {
  const weir_api* api = nullptr;
  const char* id = "plugin";
};
// Of this shared library.
inline Plugin plugin;

inline weir_bytes bytes(std::string_view text) { return {text.data() != nullptr ? text.data() : "", text.size()}; }
inline std::string_view view(weir_bytes bytes) { return {bytes.data != nullptr ? bytes.data : "", static_cast<size_t>(bytes.size)}; }

}  // namespace internal

inline const weir_api& api() { return *internal::plugin.api; }

// [any]
inline void log(LogLevel level, std::string_view text) {
  api().log(static_cast<uint32_t>(level), internal::bytes(internal::plugin.id), internal::bytes(text));
}

// Made once in Config::parse, counted on streams.
struct Counter {
  uint32_t number = UINT32_MAX;
};

// What Config::parse(text, scope) may ask for. [main]
class ConfigScope {
 public:
  ConfigScope(weir_scope scope, std::string_view name) : scope_(scope), name_(name) {}
  // Which of the plugin's filters is meant; empty if configuration does not say.
  std::string_view name() const { return name_; }
  Counter counter(std::string_view name) {
    Counter counter;
    api().config_counter(scope_, internal::bytes(name), &counter.number);
    return counter;
  }
  // The data hook runs once, with the whole body.
  void buffer_request_body(uint32_t limit) { api().config_buffer_body(scope_, WEIR_REQUEST, limit); }
  void buffer_response_body(uint32_t limit) { api().config_buffer_body(scope_, WEIR_RESPONSE, limit); }

 private:
  weir_scope scope_;
  std::string_view name_;
};

// Compares in a time that does not tell where the texts differ.
inline bool constant_time_equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

namespace internal {

template <class Config>
Result<Config> parse(std::string_view text, ConfigScope& scope) {
  if constexpr (requires { Config::parse(text, scope); }) {
    return Config::parse(text, scope);
  } else {
    return Config::parse(text);
  }
}

inline int32_t refuse(weir_scope scope, const Error& error) {
  api().config_error(scope, bytes(error.field), bytes(error.message));
  return WEIR_FAILED;
}

inline int32_t start_plugin(const weir_api* api, const char* id) {
  if (api == nullptr || api->struct_size < sizeof(weir_api)) return WEIR_UNSUPPORTED;
  plugin = {api, id};
  return WEIR_OK;
}

}  // namespace internal
}  // namespace sdk
}  // namespace weir
