#include "core/route/header_mutations.h"

#include "core/http/chars.h"

namespace weir::route {
namespace {

constexpr size_t kMaxAdditions = 1000;  // per level, as published

}  // namespace

HeaderMutations HeaderMutations::build(HeaderMutationsSpec spec, Target target, ErrorSink& errors) {
  const bool request = target == Target::kRequest;
  const std::string_view add_field = request ? "request_headers_to_add" : "response_headers_to_add";
  const std::string_view remove_field = request ? "request_headers_to_remove" : "response_headers_to_remove";
  HeaderMutations mutations;
  if (spec.add.size() > kMaxAdditions) {
    ErrorSink::At at(errors, add_field);
    errors.add(std::to_string(spec.add.size()) + " headers; at most 1000 are allowed");
    return mutations;
  }
  mutations.add_.reserve(spec.add.size());
  for (size_t i = 0; i < spec.add.size(); ++i) {
    HeaderValueSpec& one = spec.add[i];
    ErrorSink::At at(errors, add_field, static_cast<int64_t>(i));
    ErrorSink::At header(errors, "header");
    {
      ErrorSink::At key(errors, "key");
      if (errors.add_if_error(stream::check_header_to_set(one.name))) continue;
    }
    ErrorSink::At value(errors, "value");
    Result<stream::HeaderValue> addition = stream::HeaderValue::build(std::move(one));
    if (errors.add_if_error(addition.status()) || addition->empty()) continue;
    mutations.add_.push_back(std::move(*addition));
  }
  mutations.remove_.reserve(spec.remove.size());
  for (size_t i = 0; i < spec.remove.size(); ++i) {
    ErrorSink::At at(errors, remove_field, static_cast<int64_t>(i));
    // No header has such a name (the rules warn of it): as published, nothing is removed.
    const std::string_view bare = std::string_view(spec.remove[i]).substr(spec.remove[i].starts_with(':') ? 1 : 0);
    if (!http::is_token(bare)) continue;
    if (!errors.add_if_error(stream::check_header_name(spec.remove[i]))) mutations.remove_.emplace_back(spec.remove[i]);
  }
  return mutations;
}

void HeaderMutations::apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const {
  for (const http::HeaderName& name : remove_) headers.remove(name);
  for (const stream::HeaderValue& addition : add_) addition.apply(headers, subject, arena);
}

void HeaderMutationStep::apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const {
  if (remove_matching == nullptr) return mutations.apply(headers, subject, arena);
  headers.remove_if([this](const http::HeaderEntry& entry) {
    return entry.name_data[0] != ':' && remove_matching->matches(entry.name());
  });
}

std::unique_ptr<const Mutations> Mutations::build(MutationsSpec spec, ErrorSink& errors) {
  if (spec.request.empty() && spec.response.empty()) return nullptr;
  auto mutations = std::make_unique<Mutations>();
  mutations->request = HeaderMutations::build(std::move(spec.request), HeaderMutations::Target::kRequest, errors);
  mutations->response = HeaderMutations::build(std::move(spec.response), HeaderMutations::Target::kResponse, errors);
  return mutations;
}

}  // namespace weir::route
