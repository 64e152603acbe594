#include "core/config/data_source.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/config/diagnostics.h"
#include "envoy/config/core/v3/base.pb.h"

namespace weir::config {
namespace {

using envoy::config::core::v3::DataSource;

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  std::string out;
  char buffer[16384];
  while (file != nullptr && out.size() <= max_bytes) {
    const size_t n = std::fread(buffer, 1, sizeof buffer, file.get());
    if (n == 0) {
      break;
    }
    out.append(buffer, n);
  }
  if (file == nullptr || std::ferror(file.get()) != 0) {
    return invalid(shown(path) + " cannot be read: " + std::strerror(errno));
  }
  return out;
}

}  // namespace

Result<std::string> read_data_source(const DataSource& source, size_t max_bytes) {
  Result<std::string> out = std::string();
  switch (source.specifier_case()) {
    case DataSource::kInlineString:
      out = source.inline_string();
      break;
    case DataSource::kInlineBytes:
      out = source.inline_bytes();
      break;
    case DataSource::kFilename:
      out = read_file(source.filename(), max_bytes);
      break;
    case DataSource::kEnvironmentVariable: {
      const char* value = std::getenv(source.environment_variable().c_str());
      if (value == nullptr) {
        return invalid("the environment variable " + shown(source.environment_variable()) + " is not set");
      }
      out = std::string(value);
      break;
    }
    case DataSource::SPECIFIER_NOT_SET:
      break;
  }
  if (out.ok() && out->size() > max_bytes) {
    return invalid("holds more than " + std::to_string(max_bytes) + " bytes");
  }
  return out;
}

bool data_source_is_inline(const DataSource& source) {
  return source.specifier_case() != DataSource::kFilename &&
         source.specifier_case() != DataSource::kEnvironmentVariable;
}

std::string_view data_source_field(const DataSource& source) {
  switch (source.specifier_case()) {
    case DataSource::kInlineString:
      return "inline_string";
    case DataSource::kInlineBytes:
      return "inline_bytes";
    case DataSource::kFilename:
      return "filename";
    case DataSource::kEnvironmentVariable:
      return "environment_variable";
    case DataSource::SPECIFIER_NOT_SET:
      break;
  }
  return "";
}

}  // namespace weir::config
