#include "filters/http/header_to_metadata/header_to_metadata.h"

#include <google/protobuf/struct.pb.h>

#include <charconv>
#include <cmath>

#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/http/chars.h"
#include "core/match/stream_matchers.h"
#include "core/stream/read_value.h"
#include "envoy/extensions/filters/http/header_to_metadata/v3/header_to_metadata.pb.h"

namespace weir::filters::header_to_metadata {

using filter::Action;
using http::HeaderId;
using stream::Value;
namespace pb = envoy::extensions::filters::http::header_to_metadata::v3;

namespace {

constexpr std::string_view kNamespace = "envoy.filters.http.header_to_metadata";
constexpr size_t kMaxValue = 8 * 1024;  // as published

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// RFC 4648 section 4, padded. data() is nullptr if it is not.
std::string_view decode_base64(std::string_view text, Arena& arena) {
  if (text.size() % 4 != 0) return {};
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  char* out = static_cast<char*>(arena.allocate(text.size() / 4 * 3 + 1, 1));
  char* end = out;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool pad = i >= text.size() - padding;
    const int digit = pad ? 0 : base64_digit(text[i]);
    if (digit < 0) return {};
    bits = bits << 6 | static_cast<uint32_t>(digit);
    if (i % 4 != 3) continue;
    *end++ = static_cast<char>(bits >> 16);
    *end++ = static_cast<char>(bits >> 8);
    *end++ = static_cast<char>(bits);
  }
  return {out, static_cast<size_t>(end - out) - padding};
}

enum class Fault : uint8_t { kNone, kTooLong, kNotBase64, kNotANumber, kNotAMessage };

// The value that a text is to the entry. What it points at is the text's, or in the arena.
Fault convert(std::string_view text, const Entry& entry, Arena& arena, Value& value) {
  if (text.size() >= kMaxValue) return Fault::kTooLong;
  if (entry.base64) {
    text = decode_base64(text, arena);
    if (text.data() == nullptr) return Fault::kNotBase64;
  }
  if (entry.type == Entry::Type::kString) {
    value = Value::of_string(text);
    return Fault::kNone;
  }
  if (entry.type == Entry::Type::kMessage) {
    google::protobuf::Value message;
    if (!message.ParseFromArray(text.data(), static_cast<int>(text.size())) ||
        message.kind_case() == google::protobuf::Value::KIND_NOT_SET)
      return Fault::kNotAMessage;
    value = stream::read_value(message, arena);
    return Fault::kNone;
  }
  double number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return Fault::kNotANumber;
  value = Value::of_number(number);
  return Fault::kNone;
}

// One direction of one stream.
struct Writer {
  filter::Stream& stream;
  const Stats& stats;
  const stats::Counter& added;

  void write(const Entry& entry, std::string_view text) const {
    if (entry.constant != nullptr) return set(entry, entry.constant->root());
    if (entry.rewrite) {
      const bool had = !text.empty();
      text = entry.rewrite->rewrite(text, stream.arena());
      if (had && text.empty()) stats.regex_substitution_failed.inc();
    }
    if (text.empty()) return;
    Value value;
    switch (convert(text, entry, stream.arena(), value)) {
      case Fault::kNone:
        return set(entry, value);
      case Fault::kTooLong:
        return stats.header_value_too_long.inc();
      case Fault::kNotBase64:
        return stats.base64_decode_failed.inc();
      case Fault::kNotANumber:
      case Fault::kNotAMessage:
        return;
    }
  }
  void set(const Entry& entry, const Value& value) const {
    stream.dynamic_metadata().set(entry.name_space, entry.key, value);
    added.inc();
  }
};

void apply(const std::vector<Rule>& rules, http::HeaderMap& headers, const Writer& writer,
           const stats::Counter& processed, const stats::Counter& not_found) {
  for (const Rule& rule : rules) {
    processed.inc();
    const std::string_view value = rule.cookie.empty() ? headers.get_all(rule.header, writer.stream.arena())
                                                       : match::find_cookie(headers, rule.cookie);
    if (value.data() == nullptr) {
      not_found.inc();
      if (rule.missing) writer.write(*rule.missing, {});
      continue;
    }
    if (rule.present) writer.write(*rule.present, value);
    if (rule.remove) headers.remove(rule.header);
  }
}

}  // namespace

const Settings& Filter::active(filter::Stream& stream) const {
  const Settings* of_route = stream.route_config<Settings>();
  return of_route != nullptr ? *of_route : settings_;
}

Action Filter::on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  const Settings& settings = active(stream);
  const Stats& stats = settings.stats;
  apply(settings.request, headers, Writer{stream, stats, stats.request_metadata_added}, stats.request_rules_processed,
        stats.request_header_not_found);
  return Action::kContinue;
}

Action Filter::on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool) {
  const Settings& settings = active(stream);
  const Stats& stats = settings.stats;
  apply(settings.response, headers, Writer{stream, stats, stats.response_metadata_added},
        stats.response_rules_processed, stats.response_header_not_found);
  return Action::kContinue;
}

// --- Configuration -------------------------------------------------------------------------------------------------

namespace {

std::unique_ptr<const stream::StaticMetadata> read_constant(const std::string& text, const Entry& entry,
                                                            filter::FactoryScope& scope) {
  ArenaPool pool;
  Arena arena(pool);
  Value value;
  switch (convert(text, entry, arena, value)) {
    case Fault::kNone:
      break;
    case Fault::kTooLong:
      scope.error("value", "has " + std::to_string(text.size()) + " bytes; at most " + std::to_string(kMaxValue - 1) +
                               " are allowed");
      break;
    case Fault::kNotBase64:
      scope.error("value", "is not base64 with padding (RFC 4648 section 4), which encode says it is");
      break;
    case Fault::kNotANumber:
      scope.error("value", "is not a number, which type says it is");
      break;
    case Fault::kNotAMessage:
      scope.error("value", "is not the bytes of a google.protobuf.Value, which type says it is");
      break;
  }
  return std::make_unique<const stream::StaticMetadata>(value);
}

Entry read_entry(const pb::Config::KeyValuePair& proto, filter::FactoryScope scope) {
  Entry entry;
  entry.name_space = proto.metadata_namespace().empty() ? std::string(kNamespace) : proto.metadata_namespace();
  entry.key = proto.key();
  entry.base64 = proto.encode() == pb::Config::BASE64;
  if (proto.type() == pb::Config::NUMBER) entry.type = Entry::Type::kNumber;
  if (proto.type() == pb::Config::PROTOBUF_VALUE) entry.type = Entry::Type::kMessage;
  if (!proto.value().empty()) entry.constant = read_constant(proto.value(), entry, scope);
  if (proto.has_regex_value_rewrite()) {
    if (!proto.value().empty()) scope.error("regex_value_rewrite", "value and regex_value_rewrite exclude each other");
    const auto& from = proto.regex_value_rewrite();
    auto rewrite = match::RegexRewrite::build({from.pattern().regex(), from.substitution()});
    if (rewrite.ok()) {
      entry.rewrite = std::move(*rewrite);
    } else {
      const FieldFault fault = field_fault(rewrite.status());
      scope.error("regex_value_rewrite." + fault.field, fault.text);
    }
  }
  return entry;
}

enum class Side : uint8_t { kRequest, kResponse };

Rule read_rule(const pb::Config::Rule& proto, Side side, filter::FactoryScope scope) {
  Rule rule;
  if (proto.header().empty() == proto.cookie().empty()) {
    scope.error("", "needs either header or cookie");
  } else if (!proto.header().empty()) {
    std::string_view token = proto.header();
    if (token.starts_with(':')) token.remove_prefix(1);
    if (!http::is_token(token)) scope.error("header", "\"" + proto.header() + "\" is not a header name");
    rule.header = http::HeaderName(proto.header());
    if (rule.header.id() == HeaderId::kHost) rule.header = http::HeaderName(HeaderId::kAuthority);
  } else if (side == Side::kResponse) {
    scope.error("cookie", "responses have none; header: set-cookie is what they have");
  }
  rule.cookie = proto.cookie();
  rule.remove = proto.remove();
  if (rule.remove && !proto.cookie().empty()) {
    scope.error("remove", "cookies cannot be removed; header: cookie with remove: true removes all of them");
  } else if (rule.remove && rule.header.text().starts_with(':')) {
    scope.error("remove", std::string(rule.header.text()) + " cannot be removed: every request needs it");
  }
  if (!proto.has_on_header_present() && !proto.has_on_header_missing()) {
    scope.error("", "needs on_header_present, on_header_missing or both");
  }
  if (proto.has_on_header_present())
    rule.present = read_entry(proto.on_header_present(), scope.below("on_header_present"));
  if (proto.has_on_header_missing()) {
    if (proto.on_header_missing().value().empty()) {
      scope.error("on_header_missing.value", "must not be empty: there is no header to take it from");
    }
    rule.missing = read_entry(proto.on_header_missing(), scope.below("on_header_missing"));
  }
  return rule;
}

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::Config& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    for (int i = 0; i < proto.request_rules_size(); ++i) {
      config->request.push_back(read_rule(proto.request_rules(i), Side::kRequest, scope.below("request_rules", i)));
    }
    for (int i = 0; i < proto.response_rules_size(); ++i) {
      config->response.push_back(read_rule(proto.response_rules(i), Side::kResponse, scope.below("response_rules", i)));
    }
    if (!proto.stat_prefix().empty()) {
      const auto counter = [&](const char* name) {
        return scope.store().counter("http_filter_name." + proto.stat_prefix() + "." + name);
      };
      config->stats = {counter("request_rules_processed"),  counter("request_metadata_added"),
                       counter("request_header_not_found"), counter("response_rules_processed"),
                       counter("response_metadata_added"),  counter("response_header_not_found"),
                       counter("base64_decode_failed"),     counter("header_value_too_long"),
                       counter("regex_substitution_failed")};
    }
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  using RouteConfig = Config;  // the same message, instead of the filter's
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace
}  // namespace weir::filters::header_to_metadata

namespace weir::plugins {
void http_filter_header_to_metadata(filter::RegistryBuilder& registry) {
  using namespace filters::header_to_metadata;
  registry.add(filter::describe_http_filter<Config, Plugin>("envoy.filters.http.header_to_metadata"));
}
}  // namespace weir::plugins
