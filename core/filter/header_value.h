// Headers that a configuration puts into messages, out of whatever message says them. [main]
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include "core/filter/factory.h"
#include "core/stream/header_value.h"

namespace weir::filter {

// nullopt: `error` has heard why, with "key" or "value" and a text.
template <class Error>
std::optional<stream::HeaderValue> make_header_value(stream::HeaderValueSpec spec, Error&& error) {
  const Status name = stream::check_header_to_set(spec.name);
  if (!name.ok()) error("key", message_of(name));
  Result<stream::HeaderValue> value = stream::HeaderValue::build(std::move(spec));
  if (!value.ok()) error("value", message_of(value.status()));
  if (!name.ok() || !value.ok()) return std::nullopt;
  return std::move(*value);
}

// Of an envoy.config.core.v3.HeaderValue, whose scope this is. A template, so that who includes this needs no generated
// header but its own.
template <class HeaderValue>
std::optional<stream::HeaderValue> read_header_value(const HeaderValue& message, stream::AppendAction action,
                                                     FactoryScope scope) {
  stream::HeaderValueSpec spec;
  spec.name = message.key();
  spec.value = message.raw_value().empty() ? message.value() : message.raw_value();
  spec.action = action;
  return make_header_value(std::move(spec), [&scope](std::string_view field, std::string_view text) {
    scope.error(field, std::string(text));
  });
}

}  // namespace weir::filter
