// Extensions that files name without saying a type, `- name: envoy.filters.http.router` and nothing else: existing
// files do so for those whose settings may all be left out. With a typed_config the name means nothing.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

// Whether messages of this type hold such an extension: they have the fields `name` and `typed_config`.
bool holds_extension(std::string_view message_type);

// The type of the configuration, all defaults, that the name stands for in a message of that type, itself within one of
// `parent_type` (empty: none); empty if it stands for none.
std::string_view default_type(std::string_view message_type, std::string_view name, std::string_view parent_type);

// The name nearest to `name` that default_type() knows; empty if none is near.
std::string_view nearest_default_name(std::string_view message_type, std::string_view name);

// The type of the configuration of the extension that is called so, whether it may be left out or not; empty if there
// is none. For hints.
std::string type_of_extension(std::string_view name);

// Every message of the API that this build knows.
const std::vector<std::string>& all_message_types();

}  // namespace weir::config
