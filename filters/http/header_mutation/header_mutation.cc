#include "filters/http/header_mutation/header_mutation.h"

#include "core/filter/config_translator.h"
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb.h"

namespace weir::filters::header_mutation {
namespace pb = envoy::extensions::filters::http::header_mutation::v3;
namespace {

using MutationList = google::protobuf::RepeatedPtrField<envoy::config::common::mutation_rules::v3::HeaderMutation>;

std::vector<Mutation> read_list(const MutationList& list, filter::FactoryScope& scope, std::string_view field) {
  std::vector<Mutation> mutations;
  for (int i = 0; i < list.size(); ++i) {
    auto here = scope.below(field, i);
    const auto& proto = list[i];
    Mutation& mutation = mutations.emplace_back();
    if (!proto.remove().empty()) {
      const Status name = stream::check_header_name(proto.remove());
      if (!name.ok()) here.error("remove", message_of(name));
      mutation.name = http::HeaderName(proto.remove());
    } else if (proto.has_remove_on_match()) {
      mutation.kind = Mutation::Kind::kRemoveMatching;
      auto matcher = here.translator().string_matcher(proto.remove_on_match().key_matcher(),
                                                      here.at("remove_on_match.key_matcher"));
      if (matcher) mutation.matcher = std::make_unique<const match::StringMatcher>(std::move(*matcher));
    } else if (proto.has_append()) {
      mutation.kind = Mutation::Kind::kAppend;
      if (auto value = here.translator().header_value(proto.append(), here.at("append")))
        mutation.value = std::move(*value);
    } else {
      here.error("", "one of remove, append, remove_on_match must be set");
    }
  }
  return mutations;
}

QueryMutation::Kind kind_of(envoy::config::core::v3::KeyValueAppend::KeyValueAppendAction action) {
  using enum QueryMutation::Kind;
  using Append = envoy::config::core::v3::KeyValueAppend;
  switch (action) {
    case Append::ADD_IF_ABSENT:
      return kAddIfAbsent;
    case Append::OVERWRITE_IF_EXISTS_OR_ADD:
      return kOverwriteIfExistsOrAdd;
    case Append::OVERWRITE_IF_EXISTS:
      return kOverwriteIfExists;
    default:
      return kAppendIfExistsOrAdd;
  }
}

// Where the pair is: `record`, or the older `entry`.
void read_pair(const envoy::config::core::v3::KeyValueAppend& proto, filter::FactoryScope& scope,
               QueryMutation& mutation) {
  std::string_view field = "append.record";
  std::string value;
  if (proto.has_record() == proto.has_entry()) {
    scope.error("append", "one of record, entry must be set");
    return;
  }
  if (proto.has_record()) {
    mutation.name = proto.record().key();
    value = proto.record().value().string_value();
    if (!proto.record().value().has_string_value()) scope.error("append.record.value", "must be a string");
  } else {
    field = "append.entry";
    mutation.name = proto.entry().key();
    value = proto.entry().value();
  }
  if (mutation.name.empty()) scope.error(std::string(field) + ".key", "must not be empty");
  auto format = stream::Format::compile(value, {.omit_empty = true, .verbatim = true});
  if (!format.ok()) {
    scope.error(std::string(field) + ".value", message_of(format.status()));
  } else if (format->constant()) {
    format->append({.info = stream::StreamInfo{}}, mutation.constant);
  } else {
    mutation.format = std::make_unique<const stream::Format>(std::move(*format));
  }
}

std::vector<QueryMutation> read_query(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::KeyValueMutation>& list,
    filter::FactoryScope& scope) {
  std::vector<QueryMutation> mutations;
  for (int i = 0; i < list.size(); ++i) {
    auto here = scope.below("query_parameter_mutations", i);
    const auto& proto = list[i];
    QueryMutation& mutation = mutations.emplace_back();
    if (proto.has_append() == !proto.remove().empty()) {
      here.error("", "one of append, remove must be set");
    } else if (proto.has_append()) {
      mutation.kind = kind_of(proto.append().action());
      read_pair(proto.append(), here, mutation);
    } else {
      mutation.name = proto.remove();
    }
  }
  return mutations;
}

void read_settings(const pb::Mutations& proto, filter::FactoryScope& scope, Settings& settings) {
  settings.request = read_list(proto.request_mutations(), scope, "request_mutations");
  settings.query = read_query(proto.query_parameter_mutations(), scope);
  settings.request_trailers = read_list(proto.request_trailers_mutations(), scope, "request_trailers_mutations");
  settings.response = read_list(proto.response_mutations(), scope, "response_mutations");
  settings.response_trailers = read_list(proto.response_trailers_mutations(), scope, "response_trailers_mutations");
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::HeaderMutation& proto,
                                                          filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    config->most_specific_wins = proto.most_specific_header_mutations_wins();
    auto below = scope.below("mutations");
    read_settings(proto.mutations(), below, *config);
    return std::shared_ptr<const Config>(std::move(config));
  }
};

struct RouteSettings : Settings {
  static Result<std::shared_ptr<const RouteSettings>> from_proto(const pb::HeaderMutationPerRoute& proto,
                                                                 filter::FactoryScope& scope) {
    auto config = std::make_shared<RouteSettings>();
    auto below = scope.below("mutations");
    read_settings(proto.mutations(), below, *config);
    return std::shared_ptr<const RouteSettings>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = RouteSettings;
  static constexpr bool kUpstream = true;
  explicit Plugin(const Config& config) : Filter(config) {}
};

void apply(const std::vector<Mutation>& mutations, http::HeaderMap& headers, const stream::LogSubject& subject,
           Arena& arena) {
  using enum Mutation::Kind;
  for (const Mutation& mutation : mutations) {
    if (mutation.kind == kRemove) {
      headers.remove(mutation.name);
      continue;
    }
    if (mutation.kind == kRemoveMatching) {
      headers.remove_if([&](const http::HeaderEntry& entry) {
        return entry.name_data[0] != ':' && mutation.matcher->matches(entry.name());
      });
      continue;
    }
    mutation.value.apply(headers, subject, arena);
  }
}

}  // namespace

// As published: the most specific level comes first, so that the least specific has the last word, unless
// most_specific_header_mutations_wins turns it round.
template <class Apply>
void Filter::for_each_level(filter::Stream& stream, Apply apply) const {
  apply(settings_);
  filter::RouteConfigs<Settings> levels = stream.route_configs<Settings>();
  for (size_t i = 0; i < levels.size(); ++i) {
    apply(levels[settings_.most_specific_wins ? i : levels.size() - 1 - i]);
  }
}

filter::Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  stream::LogSubject subject{stream.info(), &headers, nullptr, nullptr};
  for_each_level(stream, [&](const Settings& settings) {
    apply(settings.request, headers, subject, stream.arena());
    apply(settings.query, headers, subject, stream.arena());
  });
  return filter::Action::kContinue;
}

filter::Action Filter::on_request_trailers(filter::Stream& stream, http::HeaderMap& trailers) {
  stream::LogSubject subject{stream.info(), &stream.request_headers(), nullptr, nullptr};
  for_each_level(
      stream, [&](const Settings& settings) { apply(settings.request_trailers, trailers, subject, stream.arena()); });
  return filter::Action::kContinue;
}

filter::Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  stream::LogSubject subject{stream.info(), &stream.request_headers(), &headers, nullptr};
  for_each_level(stream, [&](const Settings& settings) { apply(settings.response, headers, subject, stream.arena()); });
  return filter::Action::kContinue;
}

filter::Action Filter::on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) {
  stream::LogSubject subject{stream.info(), &stream.request_headers(), &stream.response_headers(), &trailers};
  for_each_level(
      stream, [&](const Settings& settings) { apply(settings.response_trailers, trailers, subject, stream.arena()); });
  return filter::Action::kContinue;
}

filter::HttpFilterDescriptor describe() {
  return filter::describe_http_filter<Config, Plugin>("envoy.filters.http.header_mutation");
}

}  // namespace weir::filters::header_mutation

namespace weir::plugins {
void http_filter_header_mutation(filter::RegistryBuilder& registry) {
  registry.add(filters::header_mutation::describe());
}
}  // namespace weir::plugins
