// The bytes of a DataSource: inline, of a file, or of an environment variable.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace envoy::config::core::v3 {
class DataSource;
}

namespace weir::config {

// [main] Blocks while it reads a file. An error says what is wrong with the source, never what is in it; more than
// `max_bytes` is one. Files are read once, when the configuration is: they are not watched.
Result<std::string> read_data_source(const envoy::config::core::v3::DataSource& source, size_t max_bytes);

bool data_source_is_inline(const envoy::config::core::v3::DataSource& source);

// The field that is set, for paths: "filename".
std::string_view data_source_field(const envoy::config::core::v3::DataSource& source);

}  // namespace weir::config
