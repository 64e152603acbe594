// From layered_runtime to the layers of core/runtime; and from texts that operators write to runtime values. [main]
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/filter/factory.h"
#include "core/runtime/layers.h"

namespace envoy::config::bootstrap::v3 {
class LayeredRuntime;
}

namespace weir::config {

// What a file or /runtime_modify says: true, 5, a FractionalPercent as YAML or JSON, or any text.
runtime::Entry to_runtime_entry(std::string_view text);

struct RuntimeTranslation {
  std::vector<runtime::Layer> layers;
  size_t unreadable = 0;  // disk layers that were left out, each with a warning
};

// Reads disk layers as they are now. Without any layer there is an admin layer, as published.
RuntimeTranslation translate_runtime(const envoy::config::bootstrap::v3::LayeredRuntime& message,
                                     const std::string& path, std::string_view service_cluster,
                                     filter::ConfigReport& report);

// The files below a directory as runtime values: "a/b" is the key "a.b". Names that begin with a dot are left out.
Status read_runtime_directory(const std::string& directory, runtime::Entries& out);

}  // namespace weir::config
