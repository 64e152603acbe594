// Operators that print metadata and filter state.
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/stream/filter_state.h"
#include "core/stream/metadata.h"
#include "core/stream/operators.h"

namespace weir::stream {
namespace {

using Root = const Value* (*)(const StreamInfo& info);

const Value* dynamic_root(const StreamInfo& info) {
  return info.metadata != nullptr ? &info.metadata->root() : nullptr;
}

struct Source {
  std::string_view type;  // of %METADATA(TYPE:...)%
  std::string_view name;  // of its own operator, if it has one
  Root root;
};
constexpr Source kSources[] = {
    {"DYNAMIC", "DYNAMIC_METADATA", dynamic_root},
    {"CLUSTER", "CLUSTER_METADATA", [](const StreamInfo& info) { return info.upstream.cluster_metadata; }},
    {"UPSTREAM_HOST", "UPSTREAM_METADATA", [](const StreamInfo& info) { return info.upstream.host_metadata; }},
    {"ROUTE", "", [](const StreamInfo& info) { return info.route_metadata; }},
    {"VIRTUAL_HOST", "", [](const StreamInfo& info) { return info.virtual_host_metadata; }},
    {"LISTENER", "",
     [](const StreamInfo& info) { return info.connection != nullptr ? info.connection->listener_metadata : nullptr; }},
    {"LISTENER_FILTER", "",
     [](const StreamInfo& info) {
       return info.connection != nullptr ? info.connection->listener_filter_metadata : nullptr;
     }},
};

class MetadataOperator final : public Operator {
 public:
  MetadataOperator(Root root, std::vector<std::string> path) : root_(root), path_(std::move(path)) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const Value* value = find(subject);
    if (value == nullptr) return false;
    append_text(*value, out);
    return true;
  }
  bool typed() const override { return true; }
  bool append_json(const LogSubject& subject, TextBuffer& out) const override {
    const Value* value = find(subject);
    if (value == nullptr) return false;
    stream::append_json(*value, out);
    return true;
  }

 private:
  const Value* find(const LogSubject& subject) const {
    const Value* root = root_(subject.info);
    return root != nullptr ? root->find(path_) : nullptr;
  }
  Root root_;
  std::vector<std::string> path_;
};

enum class Form : uint8_t { kPlain, kTyped, kField };

class FilterStateOperator final : public Operator {
 public:
  FilterStateOperator(FilterStateName name, Form form, std::string field)
      : name_(name), form_(form), field_(std::move(field)) {}
  bool append(const LogSubject& subject, TextBuffer& out) const override {
    const FilterStateValue* value = find_filter_state(subject.info, name_);
    if (value == nullptr) return false;
    switch (form_) {
      case Form::kPlain:
        return value->append_plain(out);
      case Form::kTyped:
        return value->append_json(out);
      case Form::kField:
        return value->append_field(field_, out);
    }
    return false;
  }
  // Only that form is a JSON value; the others are texts.
  bool typed() const override { return form_ == Form::kTyped; }
  bool append_json(const LogSubject& subject, TextBuffer& out) const override { return append(subject, out); }

 private:
  FilterStateName name_;
  Form form_;
  std::string field_;
};

// Of what connections to servers carry: no extension puts an object there.
class UpstreamFilterStateOperator final : public Operator {
 public:
  bool append(const LogSubject&, TextBuffer&) const override { return false; }
};

// "a:b:c" or, as older files have it, ["a", "b", "c"].
std::optional<std::vector<std::string>> read_path(std::string_view text) {
  std::vector<std::string> path;
  if (!text.starts_with('[')) {
    while (true) {
      size_t colon = text.find(':');
      path.emplace_back(text.substr(0, colon));
      if (colon == std::string_view::npos) return path;
      text.remove_prefix(colon + 1);
    }
  }
  if (!text.ends_with(']')) return std::nullopt;
  text = text.substr(1, text.size() - 2);
  auto skip_spaces = [&] { text.remove_prefix(std::min(text.find_first_not_of(' '), text.size())); };
  while (true) {
    skip_spaces();
    size_t end = text.starts_with('"') ? text.find('"', 1) : std::string_view::npos;
    if (end == std::string_view::npos || text.find('\\') < end) return std::nullopt;
    path.emplace_back(text.substr(1, end - 1));
    text.remove_prefix(end + 1);
    skip_spaces();
    if (text.empty()) return path;
    if (text.front() != ',') return std::nullopt;
    text.remove_prefix(1);
  }
}

Result<std::unique_ptr<Operator>> make_metadata(const OperatorCall& call, const Source& source, std::string_view text,
                                                std::string_view example) {
  auto path = read_path(text);
  if (!path || path->front().empty()) {
    return operator_error(call, "a namespace is needed", "write it as in " + std::string(example));
  }
  return std::make_unique<MetadataOperator>(source.root, std::move(*path));
}

Result<std::unique_ptr<Operator>> make_any_metadata(const OperatorCall& call) {
  constexpr std::string_view kExample = "%METADATA(ROUTE:com.example:key)%";
  size_t colon = call.argument.find(':');
  std::string_view type = call.argument.substr(0, colon);
  std::string types;
  for (const Source& source : kSources) {
    if (source.type == type) {
      std::string_view rest = colon == std::string_view::npos ? std::string_view() : call.argument.substr(colon + 1);
      return make_metadata(call, source, rest, kExample);
    }
    (types += types.empty() ? "" : ", ") += source.type;
  }
  return operator_error(call, "the type of metadata comes first", "it is one of " + types);
}

Result<std::unique_ptr<Operator>> make_filter_state(const OperatorCall& call) {
  std::string_view text = call.argument;
  size_t colon = text.find(':');
  std::string_view name = text.substr(0, colon);
  if (name.empty()) {
    return operator_error(call, "the name of an object is needed",
                          "write it as in %" + std::string(call.name) + "(name:PLAIN)%");
  }
  std::string_view form = colon == std::string_view::npos ? "TYPED" : text.substr(colon + 1);
  const bool upstream = call.name == "UPSTREAM_FILTER_STATE";
  auto make = [&](Form as, std::string_view field) -> std::unique_ptr<Operator> {
    if (upstream) return std::make_unique<UpstreamFilterStateOperator>();
    return std::make_unique<FilterStateOperator>(FilterStateName(name), as, std::string(field));
  };
  if (form == "PLAIN") return make(Form::kPlain, {});
  if (form == "TYPED") return make(Form::kTyped, {});
  if (form.starts_with("FIELD:") && form.size() > 6) return make(Form::kField, form.substr(6));
  return operator_error(call, "\"" + std::string(form) + "\" is no form of an object",
                        "PLAIN, TYPED and FIELD:name are");
}

// What %FILTER_STATE(name:PLAIN)% was called in header values.
Result<std::unique_ptr<Operator>> make_per_request_state(const OperatorCall& call) {
  if (call.argument.empty()) {
    return operator_error(call, "the name of an object is needed", "write it as in %FILTER_STATE(name:PLAIN)%");
  }
  return std::make_unique<FilterStateOperator>(FilterStateName(call.argument), Form::kPlain, std::string());
}

}  // namespace

Result<std::unique_ptr<Operator>> make_metadata_operator(const OperatorCall& call) {
  for (const Source& source : kSources) {
    if (!source.name.empty() && source.name == call.name) {
      return make_metadata(call, source, call.argument, "%" + std::string(source.name) + "(com.example:key)%");
    }
  }
  if (call.name == "METADATA") return make_any_metadata(call);
  if (call.name == "FILTER_STATE" || call.name == "UPSTREAM_FILTER_STATE") return make_filter_state(call);
  if (call.name == "PER_REQUEST_STATE") return make_per_request_state(call);
  return nullptr;
}

void list_metadata_operators(void (*visit)(std::string_view name, void* user), void* user) {
  for (const Source& source : kSources) {
    if (!source.name.empty()) visit(source.name, user);
  }
  visit("METADATA", user);
  for (const char* name : {"FILTER_STATE", "UPSTREAM_FILTER_STATE", "PER_REQUEST_STATE"}) visit(name, user);
}

}  // namespace weir::stream
