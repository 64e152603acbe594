#include "core/config/rules.h"

#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/duration.pb.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wrappers.pb.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/config/default_types.h"
#include "core/config/percent.h"
#include "core/config/route_filters.h"
#include "core/config/rule_texts.h"
#include "core/config/rules_data.h"
#include "core/config/scalars.h"
#include "core/config/suggest.h"
#include "core/config/unknown_extensions.h"
#include "core/match/regex.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/config/route/v3/route_components.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace weir::config {
namespace {

using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::OneofDescriptor;
using google::protobuf::Reflection;

constexpr int kMaxDepth = 500;

// The rules of one field (or oneof), in table order.
struct FieldRules {
  const FieldDescriptor* field = nullptr;
  const OneofDescriptor* oneof = nullptr;
  std::vector<RuleRow> rows;
};
using RuleTable = std::unordered_map<const Descriptor*, std::vector<FieldRules>>;

RuleTable compile_rules() {
  RuleTable table;
  const Descriptor* type = nullptr;
  for (const RuleRow& row : rule_rows()) {
    if (row.check == Check::kMessage) {
      type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(row.name);
      continue;
    }
    if (type == nullptr) {
      continue;  // a test says so
    }
    FieldRules rules;
    if (row.check == Check::kOneofRequired) {
      rules.oneof = type->FindOneofByName(row.name);
    } else {
      rules.field = type->FindFieldByName(row.name);
    }
    std::vector<FieldRules>& all = table[type];
    if (all.empty() || all.back().field != rules.field || all.back().oneof != rules.oneof) {
      all.push_back(rules);
    }
    all.back().rows.push_back(row);
  }
  return table;
}

const RuleTable& rule_table() {
  static const RuleTable kTable = compile_rules();
  return kTable;
}

class Validator {
 public:
  Validator(const PositionIndex& index, Diagnostics& diagnostics, const ValidateOptions& options)
      : index_(index), diagnostics_(diagnostics), options_(options) {
    for (const Diagnostic& item : diagnostics.items()) {
      if (item.severity == Severity::kError) {
        broken_.insert(item.path);
        broken_parents_.emplace(parent_path(item.path));
      }
    }
  }

  void message(const Message& message);

 private:
  void rule(const Message& message, const FieldRules& rules);
  void oneof(const Message& message, const OneofDescriptor& oneof);
  void repeated(const Message& message, const FieldRules& rules);
  // One value; `item` is its index in a repeated field, or -1.
  void value(const Message& message, const FieldDescriptor& field, const std::vector<RuleRow>& rows, Scope scope,
             int item);
  void prefix_length(const Message& message, const FieldDescriptor& field);
  void enum_value(const FieldDescriptor& field, const RuleRow& row, int number);
  void reference(const Message& message, const RuleRow& row, const std::string& name);
  void fields(const Message& message);
  void children(const Message& message);
  void extension(const Message& message);
  void manager(const Message& message);
  void percent(const envoy::type::v3::FractionalPercent& fraction);
  void range(const envoy::config::route::v3::HeaderMatcher& matcher);
  void overruled(const Message& message, const char* older, const char* newer);
  void duration_value(const Message& message, const FieldDescriptor& field);
  void known_enum_values(const Message& message, const FieldDescriptor& field);
  void any(const Message& message);
  void report(Severity severity, std::string what, std::string found = "", std::string allowed = "");
  // Something next to the field that the path is at is wrong: a typing error in its name, perhaps.
  bool beside_an_error() const { return incomplete(std::string(parent_path(path_))); }
  // The message at `path` lacks what there was an error about.
  bool incomplete(const std::string& path) const { return broken_parents_.contains(path) || broken_.contains(path); }
  // Runs `f` with one more step on the path.
  template <typename F>
  void at_name(std::string_view name, F f) {
    const size_t length = path_.size();
    append_path_name(path_, name);
    f();
    path_.resize(length);
  }
  template <typename F>
  void at_item(int item, F f) {
    const size_t length = path_.size();
    if (item >= 0) {
      append_path_item(path_, static_cast<size_t>(item));
    }
    f();
    path_.resize(length);
  }

  const PositionIndex& index_;
  Diagnostics& diagnostics_;
  const ValidateOptions& options_;
  std::unordered_set<std::string> broken_;          // paths with an error
  std::unordered_set<std::string> broken_parents_;  // and what they are in
  std::string path_;
  int depth_ = 0;
  // Those of the clusters of this bootstrap; none if it is another message.
  const RouteFilters& cluster_filters() {
    if (!cluster_filters_) {
      static const envoy::config::bootstrap::v3::Bootstrap kNone;
      cluster_filters_.emplace(bootstrap_ != nullptr ? *bootstrap_ : kNone);
    }
    return *cluster_filters_;
  }

  const envoy::config::bootstrap::v3::Bootstrap* bootstrap_ = nullptr;
  const RouteFilters* filters_ = nullptr;  // the HTTP filters around, if any
  std::optional<RouteFilters> cluster_filters_;
  bool in_routes_ = false;  // whose regexes are compiled when they are translated, and not twice
};

void Validator::report(Severity severity, std::string what, std::string found, std::string allowed) {
  const Position position = index_.find(path_);
  Diagnostic out;
  out.file = position.file;
  out.line = position.line;
  out.column = position.column;
  out.path = path_;
  out.severity = severity;
  out.message = std::move(what);
  out.found = std::move(found);
  out.allowed = std::move(allowed);
  diagnostics_.add(std::move(out));
}

void Validator::message(const Message& message) {
  if (depth_ >= kMaxDepth || (broken_.contains(path_) && message.ByteSizeLong() == 0)) {
    return;  // what was no message at all has no fields to check
  }
  ++depth_;
  const std::string& type = message.GetDescriptor()->full_name();
  if (type == "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager") {
    manager(message);
  } else if (type == "envoy.config.route.v3.RouteConfiguration") {
    in_routes_ = true;
    fields(message);
    in_routes_ = false;
  } else if (type == "google.protobuf.Any") {
    any(message);
  } else {
    if (depth_ == 1)
      bootstrap_ = google::protobuf::DynamicCastToGenerated<envoy::config::bootstrap::v3::Bootstrap>(&message);
    if (const auto* fraction = google::protobuf::DynamicCastToGenerated<envoy::type::v3::FractionalPercent>(&message))
      percent(*fraction);
    if (const auto* matcher =
            google::protobuf::DynamicCastToGenerated<envoy::config::route::v3::HeaderMatcher>(&message))
      range(*matcher);
    if (type == "envoy.extensions.filters.http.rbac.v3.RBAC" ||
        type == "envoy.extensions.filters.network.rbac.v3.RBAC") {
      overruled(message, "rules", "matcher");
      overruled(message, "shadow_rules", "shadow_matcher");
    }
    if (type == "envoy.config.route.v3.CorsPolicy" && filters_ != nullptr &&
        !filters_->has_filter_for("envoy.extensions.filters.http.cors.v3.CorsPolicy")) {
      report(Severity::kWarning, "this listener has no filter envoy.filters.http.cors, so this has no effect");
    }
    fields(message);
  }
  --depth_;
}

// The API allows it, and existing files say 100000 where they mean all.
void Validator::percent(const envoy::type::v3::FractionalPercent& fraction) {
  const uint32_t whole = whole_of(fraction);
  if (fraction.numerator() <= whole) return;
  at_name("numerator", [&] {
    report(
        Severity::kWarning,
        std::to_string(fraction.numerator()) + " of " + std::to_string(whole) + " is more than all, and counts as all",
        std::to_string(fraction.numerator()), "0 to " + std::to_string(whole));
  });
}

// The API allows it, and what comes of it is no surprise to who reads that the end is not part of the range.
void Validator::range(const envoy::config::route::v3::HeaderMatcher& matcher) {
  if (!matcher.has_range_match() || matcher.range_match().start() < matcher.range_match().end()) return;
  at_name("range_match", [&] {
    if (incomplete(path_)) return;
    const std::string found =
        "[" + std::to_string(matcher.range_match().start()) + ", " + std::to_string(matcher.range_match().end()) + ")";
    report(Severity::kWarning,
           found + " holds no number, so " +
               (matcher.invert_match() ? "every value matches, inverted as it is" : "nothing matches") +
               "; end, which is not part of it, must be greater than start",
           found);
  });
}

// As published, of two ways to say the same the newer one counts.
void Validator::overruled(const Message& message, const char* older, const char* newer) {
  const Descriptor& type = *message.GetDescriptor();
  const auto set = [&](const char* name) {
    return message.GetReflection()->HasField(message, type.FindFieldByName(name));
  };
  if (!set(older) || !set(newer)) return;
  at_name(older, [&] {
    report(Severity::kWarning,
           std::string("has no effect: ") + newer + " is set too, and it alone decides; remove one");
  });
}

void Validator::fields(const Message& message) {
  const auto rules = rule_table().find(message.GetDescriptor());
  if (rules != rule_table().end()) {
    for (const FieldRules& field : rules->second) {
      rule(message, field);
    }
  }
  if (options_.unknown_fields != OnUnknown::kIgnore) {
    const auto& unknown = message.GetReflection()->GetUnknownFields(message);
    for (int i = 0; i < unknown.field_count(); ++i) {
      report(options_.unknown_fields == OnUnknown::kError ? Severity::kError : Severity::kWarning,
             "unknown field number " + std::to_string(unknown.field(i).number()) + " of " +
                 message.GetDescriptor()->full_name());
    }
  }
  if (holds_extension(message.GetDescriptor()->full_name())) {
    extension(message);
  }
  children(message);
}

// An extension needs a type, unless its name stands for one (default_types.h): the reader has then put it in.
void Validator::extension(const Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  const FieldDescriptor* config = type.FindFieldByName("typed_config");
  const std::string name = reflection.GetString(message, type.FindFieldByName("name"));
  const OneofDescriptor* either = config->containing_oneof();
  if (reflection.HasField(message, config) || (either != nullptr && reflection.HasOneof(message, either)) ||
      name.empty() || incomplete(path_)) {
    return;
  }
  std::string hint = "its \"@type\" says which extension this is; the name does not";
  std::string known = type_of_extension(name);
  if (name == "envoy.transport_sockets.tls") {
    known = std::string("envoy.extensions.transport_sockets.tls.v3.") +
            (path_.find("filter_chain") != std::string::npos ? "DownstreamTlsContext" : "UpstreamTlsContext");
  }
  if (!known.empty()) {
    hint = "add \"@type\": type.googleapis.com/" + known;
  } else if (const std::string_view near = nearest_default_name(type.full_name(), name); !near.empty()) {
    hint = "did you mean the name " + std::string(near) + "?";
  }
  at_name("typed_config", [&] { report(Severity::kError, "is required; " + hint); });
}

void Validator::manager(const Message& message) {
  const auto& proto = *google::protobuf::DynamicCastToGenerated<HttpConnectionManager>(&message);
  const RouteFilters filters(proto);
  filters_ = &filters;
  fields(message);
  filters_ = nullptr;
  const auto last_filter = [&](const char* field, const auto& list) {
    const int last = list.size() - 1;
    if (last < 0 || !list.Get(last).disabled()) return;
    at_name(field, [&] {
      at_item(last, [&] {
        at_name("disabled", [&] {
          report(Severity::kError, "the last filter answers the requests and cannot be disabled", "true", "false");
        });
      });
    });
  };
  last_filter("http_filters", proto.http_filters());
  for (int i = 0; i < proto.upgrade_configs_size(); ++i) {
    at_name("upgrade_configs",
            [&] { at_item(i, [&] { last_filter("filters", proto.upgrade_configs(i).filters()); }); });
  }
}

void Validator::children(const Message& message) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> set;
  reflection.ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      known_enum_values(message, *field);
      continue;
    }
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
        field->message_type()->full_name() == "google.protobuf.Struct") {
      continue;
    }
    at_name(field->name(), [&] {
      if (field->message_type()->full_name() == "google.protobuf.Duration" && !field->is_repeated()) {
        duration_value(reflection.GetMessage(message, field), *field);
        return;
      }
      if (!field->is_repeated()) {
        this->message(reflection.GetMessage(message, field));
        return;
      }
      const int size = reflection.FieldSize(message, field);
      for (int i = 0; i < size; ++i) {
        const Message& item = reflection.GetRepeatedMessage(message, field, i);
        if (!field->is_map()) {
          at_item(i, [&] { this->message(item); });
          continue;
        }
        const FieldDescriptor& key = *field->message_type()->map_key();
        const FieldDescriptor& value = *field->message_type()->map_value();
        if (value.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
          const std::string name = key.cpp_type() == FieldDescriptor::CPPTYPE_STRING
                                       ? item.GetReflection()->GetString(item, &key)
                                       : std::to_string(i);
          at_name(name, [&] {
            const Message& inner = item.GetReflection()->GetMessage(item, &value);
            if (filters_ != nullptr && field->name() == "typed_per_filter_config" && !broken_.contains(path_)) {
              const auto* any = google::protobuf::DynamicCastToGenerated<google::protobuf::Any>(&inner);
              const bool of_cluster = !filters_->has_filter(name) && cluster_filters().has_filter(name);
              if (auto fault = (of_cluster ? cluster_filters() : *filters_).check(name, *any)) {
                report(fault->severity, std::move(fault->message), std::move(fault->found));
              }
            }
            this->message(inner);
          });
        }
      }
    });
  }
}

// No setting means anything with a negative one; what has a rule of its own was told already. The wire, and a duration
// that is written as a mapping, can hold more than one that is written as a text.
void Validator::duration_value(const Message& message, const FieldDescriptor& field) {
  const auto* duration = google::protobuf::DynamicCastToGenerated<google::protobuf::Duration>(&message);
  if (duration == nullptr || incomplete(path_)) {
    return;
  }
  const Seconds value{duration->seconds(), duration->nanos()};
  if (!is_duration(value)) {
    report(Severity::kError,
           std::to_string(value.seconds) + " seconds and " + std::to_string(value.nanos) +
               " nanoseconds are not a duration; seconds are at most 315576000000, nanoseconds at most 999999999, and "
               "both have the same sign");
  } else if ((value.seconds < 0 || value.nanos < 0) && allowed_range(field).empty()) {
    const std::string text = format_duration(value);
    report(Severity::kError, text + " is negative; a duration must not be", text, "at least 0s");
  }
}

// The wire can hold any number. A file cannot: its reader knows the names.
void Validator::known_enum_values(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  const auto check = [&](int number) {
    if (field.enum_type()->FindValueByNumber(number) == nullptr) {
      report(Severity::kError, std::to_string(number) + " is not a value of " + field.enum_type()->name(),
             std::to_string(number));
    }
  };
  at_name(field.name(), [&] {
    if (!field.is_repeated()) {
      check(reflection.GetEnumValue(message, &field));
      return;
    }
    for (int i = 0; i < reflection.FieldSize(message, &field); ++i) {
      at_item(i, [&] { check(reflection.GetRepeatedEnumValue(message, &field, i)); });
    }
  });
}

void Validator::any(const Message& message) {
  const auto* any = google::protobuf::DynamicCastToGenerated<google::protobuf::Any>(&message);
  if (any == nullptr || any->type_url().empty()) {
    return;
  }
  const std::string name = any->type_url().substr(any->type_url().rfind('/') + 1);
  const Descriptor* type = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) {
    if (options_.unknown_types != OnUnknown::kIgnore) {
      report(options_.unknown_types == OnUnknown::kError ? Severity::kError : Severity::kWarning,
             weir::config::unknown_type(name).sentence(), shown(name));
    }
    return;
  }
  const std::unique_ptr<Message> inner(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  if (!inner->ParsePartialFromString(any->value())) {
    report(Severity::kError, unreadable(*any, name));
    return;
  }
  this->message(*inner);
}

void Validator::rule(const Message& message, const FieldRules& rules) {
  if (rules.oneof != nullptr) {
    oneof(message, *rules.oneof);
    return;
  }
  const FieldDescriptor& field = *rules.field;
  at_name(field.name(), [&] {
    if (broken_.contains(path_)) {
      return;
    }
    if (field.is_repeated()) {
      repeated(message, rules);
    } else {
      value(message, field, rules.rows, kWhole, -1);
    }
    if (rules.rows.back().check == Check::kPrefixLength) {
      prefix_length(message, field);
    }
  });
}

void Validator::prefix_length(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  const auto& wrapper = reflection.GetMessage(message, &field);
  const auto* length = google::protobuf::DynamicCastToGenerated<google::protobuf::UInt32Value>(&wrapper);
  const FieldDescriptor* address = message.GetDescriptor()->FindFieldByName("address_prefix");
  if (length != nullptr && length->value() > 32 && length->value() <= 128 &&
      ip_version(reflection.GetString(message, address)) == 4) {
    const std::string number = std::to_string(length->value());
    report(Severity::kError, number + " is out of range; an IPv4 prefix has at most 32", number, "0 to 32");
  }
}

void Validator::oneof(const Message& message, const OneofDescriptor& oneof) {
  if (message.GetReflection()->HasOneof(message, &oneof) || incomplete(path_)) {
    return;
  }
  std::string names;
  int count = 0;
  for (int i = 0; i < oneof.field_count(); ++i) {
    if (!oneof.field(i)->options().deprecated()) {
      names += (count++ > 0 ? ", " : "") + oneof.field(i)->name();
    }
  }
  report(Severity::kError, count == 1 ? names + " is required" : "one of " + names + " is required", "", names);
}

void Validator::repeated(const Message& message, const FieldRules& rules) {
  const FieldDescriptor& field = *rules.field;
  const Reflection& reflection = *message.GetReflection();
  const int size = reflection.FieldSize(message, &field);
  const auto items = [](double n) { return number_text(n, false) + (n == 1 ? " item" : " items"); };
  for (const RuleRow& row : rules.rows) {
    if (row.check == Check::kMinItems && size < row.number) {
      // An error inside of the list or beside it may be why items are missing.
      if (!incomplete(path_) && !beside_an_error()) {
        report(Severity::kError,
               size == 0 ? "is required: at least " + items(row.number)
                         : "has " + items(size) + "; at least " + number_text(row.number, false) + " are needed",
               std::to_string(size), "at least " + items(row.number));
      }
    } else if (row.check == Check::kMaxItems && size > row.number) {
      report(Severity::kError, "has " + items(size) + "; at most " + number_text(row.number, false) + " are allowed",
             std::to_string(size), "at most " + items(row.number));
    } else if (row.check == Check::kUnique) {
      std::set<std::string> seen;
      for (int i = 0; i < size; ++i) {
        std::string text;
        switch (field.cpp_type()) {
          case FieldDescriptor::CPPTYPE_STRING:
            text = reflection.GetRepeatedString(message, &field, i);
            break;
          case FieldDescriptor::CPPTYPE_UINT32:
            text = std::to_string(reflection.GetRepeatedUInt32(message, &field, i));
            break;
          case FieldDescriptor::CPPTYPE_DOUBLE:
            text = number_text(reflection.GetRepeatedDouble(message, &field, i), false);
            break;
          default:
            return;
        }
        if (!seen.insert(text).second) {
          at_item(i, [&] { report(Severity::kError, shown(text) + " is in the list twice", shown(text)); });
        }
      }
    } else if (row.check == Check::kKeysNotEmpty) {
      for (int i = 0; i < size; ++i) {
        const Message& entry = reflection.GetRepeatedMessage(message, &field, i);
        if (entry.GetReflection()->GetString(entry, field.message_type()->map_key()).empty()) {
          report(Severity::kError, "a key is empty");
        }
      }
    }
  }
  for (int i = 0; i < size && !field.is_map(); ++i) {
    at_item(i, [&] { value(message, field, rules.rows, kEach, i); });
  }
}

void Validator::enum_value(const FieldDescriptor& field, const RuleRow& row, int number) {
  const auto* known = field.enum_type()->FindValueByNumber(number);
  if (row.check == Check::kNot && number == static_cast<int>(row.number)) {
    const std::string name = known == nullptr ? std::to_string(number) : known->name();
    const bool present = index_.find(path_).exact;
    if (present || !beside_an_error())
      report(Severity::kError, present ? name + " is not allowed here" : "is required", name);
  }
}

void Validator::reference(const Message& message, const RuleRow& row, const std::string& name) {
  if (options_.references == nullptr || name.empty()) {
    return;
  }
  if (row.check == Check::kNamesCluster || row.check == Check::kNeedsCluster) {
    options_.references->push_back({Reference::Kind::kCluster, path_, name, row.check == Check::kNeedsCluster});
    return;
  }
  const FieldDescriptor* subscription = message.GetDescriptor()->FindFieldByName("sds_config");
  if (!message.GetReflection()->HasField(message, subscription)) {
    options_.references->push_back({Reference::Kind::kSecret, path_, name});
  }
}

void Validator::value(const Message& message, const FieldDescriptor& field, const std::vector<RuleRow>& rows,
                      Scope scope, int item) {
  const Reflection& reflection = *message.GetReflection();
  const bool one = item < 0;
  std::optional<double> number;
  bool seconds = false;
  std::optional<std::string> text;
  std::optional<bool> truth;
  const bool absent = one && field.has_presence() && !reflection.HasField(message, &field);
  for (const RuleRow& row : rows) {
    if (row.check == Check::kRequired && row.scope == scope && absent) {
      if (!beside_an_error()) {
        report(Severity::kError, "is required");
      }
    }
  }
  if (absent) {
    return;
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      number = one ? reflection.GetInt32(message, &field) : reflection.GetRepeatedInt32(message, &field, item);
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      number = one ? reflection.GetUInt32(message, &field) : reflection.GetRepeatedUInt32(message, &field, item);
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      number = static_cast<double>(one ? reflection.GetInt64(message, &field)
                                       : reflection.GetRepeatedInt64(message, &field, item));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      number = static_cast<double>(one ? reflection.GetUInt64(message, &field)
                                       : reflection.GetRepeatedUInt64(message, &field, item));
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      number = one ? reflection.GetDouble(message, &field) : reflection.GetRepeatedDouble(message, &field, item);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      number = one ? reflection.GetFloat(message, &field) : reflection.GetRepeatedFloat(message, &field, item);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      truth = one ? reflection.GetBool(message, &field) : reflection.GetRepeatedBool(message, &field, item);
      break;
    case FieldDescriptor::CPPTYPE_STRING:
      text = one ? reflection.GetString(message, &field) : reflection.GetRepeatedString(message, &field, item);
      break;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int v =
          one ? reflection.GetEnumValue(message, &field) : reflection.GetRepeatedEnumValue(message, &field, item);
      for (const RuleRow& row : rows) {
        if (row.scope == scope) {
          enum_value(field, row, v);
        }
      }
      return;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const Message& sub =
          one ? reflection.GetMessage(message, &field) : reflection.GetRepeatedMessage(message, &field, item);
      const std::string& name = sub.GetDescriptor()->full_name();
      if (const auto* duration = google::protobuf::DynamicCastToGenerated<google::protobuf::Duration>(&sub)) {
        if (incomplete(path_)) {
          return;
        }
        number = static_cast<double>(duration->seconds()) + duration->nanos() / 1e9;
        seconds = true;
      } else if (name.starts_with("google.protobuf.") && name.ends_with("Value") &&
                 sub.GetDescriptor()->field_count() == 1 && !sub.GetDescriptor()->field(0)->is_repeated()) {
        std::vector<RuleRow> inner = rows;
        std::erase_if(inner, [](const RuleRow& row) { return row.check == Check::kRequired; });
        value(sub, *sub.GetDescriptor()->field(0), inner, scope, -1);
        return;
      }
      break;
    }
  }
  for (const RuleRow& row : rows) {
    if (row.scope != scope) {
      continue;
    }
    if (number) {
      const bool bad = (row.check == Check::kAtLeast && !(*number >= row.number)) ||
                       (row.check == Check::kAbove && !(*number > row.number)) ||
                       (row.check == Check::kAtMost && !(*number <= row.number)) ||
                       (row.check == Check::kBelow && !(*number < row.number));
      // What is not there is zero, and missing beside what was misspelt.
      if (bad && (index_.find(path_).exact || !beside_an_error())) {
        const std::string allowed = range_text(rows, seconds);
        report(Severity::kError, number_text(*number, seconds) + " is out of range; allowed is " + allowed,
               number_text(*number, seconds), allowed);
        return;
      }
    } else if (truth && row.check == Check::kTrue && !*truth) {
      report(Severity::kError, "false is not allowed; leave it out", "false", "true");
    } else if (text && row.check == Check::kNotEmpty && text->empty()) {
      if (index_.find(path_).exact) {
        report(Severity::kError, "must not be empty");
      } else if (!beside_an_error()) {
        report(Severity::kError, "is required");
      }
      return;
    } else if (text) {
      if (row.check == Check::kNamesCluster || row.check == Check::kNeedsCluster || row.check == Check::kNamesSecret) {
        reference(message, row, *text);
        continue;
      }
      if (row.check == Check::kRemovable) {
        if (!is_header_name(*text)) {
          report(Severity::kWarning, in_quotes(*text) + " is not a header name; it removes nothing", in_quotes(*text));
        }
        continue;
      }
      if (row.check == Check::kRegex && !in_routes_) {
        if (const auto regex = match::Regex::compile(*text); !regex.ok()) {
          report(Severity::kError, message_of(regex.status()), shown(*text));
        }
        continue;
      }
      if (std::string fault = text_fault(row, *text); !fault.empty()) {
        // Values of headers may be credentials.
        const bool quote = field.name() != "value" && row.check != Check::kMaxBytes && row.check != Check::kMinLength;
        const std::string value = row.check == Check::kHeaderName ? in_quotes(*text) : shown(*text);
        report(Severity::kError, quote ? value + " " + fault : fault, quote ? value : "");
        return;
      }
    }
  }
}

}  // namespace

std::string allowed_range(const FieldDescriptor& field) {
  const auto rules = rule_table().find(field.containing_type());
  if (rules != rule_table().end()) {
    for (const FieldRules& one : rules->second) {
      if (one.field == &field) {
        return range_text(one.rows, false);
      }
    }
  }
  return "";
}

bool validate(const google::protobuf::Message& message, const PositionIndex& index, Diagnostics& diagnostics,
              const ValidateOptions& options) {
  const size_t errors_before = diagnostics.errors();
  if (!diagnostics.unreadable()) {
    Validator(index, diagnostics, options).message(message);
  }
  return diagnostics.errors() == errors_before;
}

}  // namespace weir::config
