#include "core/config/route_faults.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <vector>

#include "core/match/regex.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/type/matcher/v3/regex.pb.h"

namespace weir::config {

namespace route_v3 = envoy::config::route::v3;

namespace {

// The regular expression below `message` that cannot be compiled for this reason, as a path; empty: there is none.
std::string find_regex(const google::protobuf::Message& message, const std::string& path, const std::string& why) {
  using google::protobuf::FieldDescriptor;
  if (const auto* regex = google::protobuf::DynamicCastToGenerated<envoy::type::matcher::v3::RegexMatcher>(&message)) {
    const auto compiled = match::Regex::compile(regex->regex());
    return !compiled.ok() && message_of(compiled.status()) == why ? path + ".regex" : "";
  }
  std::vector<const FieldDescriptor*> fields;
  const auto& reflection = *message.GetReflection();
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    const std::string below = (path.empty() ? "" : path + ".") + field->name();
    for (int i = 0; field->is_repeated() && i < reflection.FieldSize(message, field); ++i) {
      std::string found =
          find_regex(reflection.GetRepeatedMessage(message, field, i), below + "[" + std::to_string(i) + "]", why);
      if (!found.empty()) return found;
    }
    if (field->is_repeated()) continue;
    std::string found = find_regex(reflection.GetMessage(message, field), below, why);
    if (!found.empty()) return found;
  }
  return "";
}

}  // namespace

std::string path_of_fault(const route_v3::RouteConfiguration& table, const route::BuildError& error) {
  if (error.message.find(" at character ") == std::string::npos) return error.path;
  const google::protobuf::Message* message = &table;
  for (std::string_view rest = error.path; !rest.empty();) {
    const std::string_view step = rest.substr(0, rest.find('.'));
    rest.remove_prefix(std::min(rest.size(), step.size() + 1));
    const size_t bracket = step.find('[');
    const auto* field = message->GetDescriptor()->FindFieldByName(std::string(step.substr(0, bracket)));
    if (field == nullptr || field->message_type() == nullptr || field->is_map()) return error.path;
    const auto& reflection = *message->GetReflection();
    if (!field->is_repeated()) {
      message = &reflection.GetMessage(*message, field);
      continue;
    }
    int item = -1;
    if (bracket != std::string_view::npos) std::from_chars(step.data() + bracket + 1, step.data() + step.size(), item);
    if (item < 0 || item >= reflection.FieldSize(*message, field)) return error.path;
    message = &reflection.GetRepeatedMessage(*message, field, item);
  }
  std::string found = find_regex(*message, error.path, error.message);
  return found.empty() ? error.path : found;
}

}  // namespace weir::config
