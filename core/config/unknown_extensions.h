// What is known of types that this build has no plugin for: which type may have been meant, and whether leaving the
// plugin out could let somebody through.
#pragma once

#include <string>
#include <string_view>

namespace google::protobuf {
class Any;
}

namespace weir::config {

// --unknown-extensions: of filters and access loggers of unknown types.
enum class UnknownExtensions { kReject, kPassthrough };

// The type inside; of a TypedStruct the type that it stands for. Without the URL's prefix.
std::string extension_type(const google::protobuf::Any& any);

// A type of the API that is probably meant by one that is none; empty if there is none near.
std::string suggest_type(std::string_view type);

// What to say of a type that is not known, and what to do about it (empty: nothing comes to mind).
struct UnknownType {
  std::string text;
  std::string hint;
  std::string sentence() const { return hint.empty() ? text : text + "; " + hint; }
};
UnknownType unknown_type(std::string_view type);

// Why an Any cannot be read as the type that it names.
std::string unreadable(const google::protobuf::Any& any, const std::string& type);

// The word in a plugin's type or name that says that it may decide who or what gets through (or that it runs somebody's
// code, which may do so); empty if there is none. Such a plugin is never left out: without it everything gets through.
std::string_view word_of_authority(std::string_view name);

}  // namespace weir::config
