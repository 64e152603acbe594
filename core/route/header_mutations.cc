#include "core/route/header_mutations.h"

#include "core/http/chars.h"

namespace weir::route {
namespace {

constexpr size_t kMaxAdditions = 1000;  // per level, as published

// True if mutations may touch the header: the message's control data has fields of its own for that.
bool check_name(std::string_view name, ErrorSink& errors) {
  if (name.empty()) {
    errors.add("must not be empty");
    return false;
  }
  if (name.starts_with(':') || http::equals_ignoring_case(name, "host")) {
    errors.add(
        "\"" + std::string(name) +
        "\" may not be added, changed or removed here; use host_rewrite_literal, prefix_rewrite or regex_rewrite");
    return false;
  }
  if (!http::is_token(name)) {
    errors.add("\"" + std::string(name) + "\" is not a header name");
    return false;
  }
  return true;
}

}  // namespace

HeaderMutations HeaderMutations::build(HeaderMutationsSpec spec, Target target, ErrorSink& errors) {
  const bool request = target == Target::kRequest;
  const std::string_view add_field = target == Target::kLocalReply ? "headers_to_add"
                                     : request                     ? "request_headers_to_add"
                                                                   : "response_headers_to_add";
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
      if (!check_name(one.name, errors)) continue;
    }
    ErrorSink::At value(errors, "value");
    if (!http::all_chars(one.value, http::kFieldChar)) {
      errors.add("has a control character, which no header value may have");
      continue;
    }
    Result<stream::Format> format = stream::Format::compile(one.value, {.omit_empty = true, .for_headers = true});
    if (errors.add_if_error(format.status())) continue;
    Addition addition{http::HeaderName(one.name), one.action, one.keep_empty_value, {}, nullptr};
    if (format->constant()) {
      // Printed once: "%%" is "%", and an empty subject has nothing to say here.
      format->append({.info = stream::StreamInfo{}}, addition.constant);
      if (addition.constant.empty() && !addition.keep_empty_value) continue;
    } else {
      addition.format = std::make_unique<stream::Format>(std::move(*format));
    }
    mutations.add_.push_back(std::move(addition));
  }
  mutations.remove_.reserve(spec.remove.size());
  for (size_t i = 0; i < spec.remove.size(); ++i) {
    ErrorSink::At at(errors, remove_field, static_cast<int64_t>(i));
    if (check_name(spec.remove[i], errors)) mutations.remove_.emplace_back(spec.remove[i]);
  }
  return mutations;
}

void HeaderMutations::apply(http::HeaderMap& headers, const stream::LogSubject& subject, Arena& arena) const {
  for (const http::HeaderName& name : remove_) headers.remove(name);
  for (const Addition& addition : add_) {
    using enum AppendAction;
    // Asked before formatting: it saves the work.
    if (addition.action == kAddIfAbsent && headers.contains(addition.name)) continue;
    if (addition.action == kOverwriteIfExists && !headers.contains(addition.name)) continue;
    std::string_view value = addition.constant;
    if (addition.format != nullptr) {
      value = stream::print(*addition.format, subject, arena);
      if (value.empty() && !addition.keep_empty_value) continue;
      // What a peer or a filter put into metadata must not become a header of its own.
      if (!http::all_chars(value, http::kFieldChar)) continue;
    }
    if (addition.action == kOverwriteIfExistsOrAdd || addition.action == kOverwriteIfExists) {
      headers.set(addition.name, value);
    } else {
      headers.add(addition.name, value);
    }
  }
}

std::unique_ptr<const Mutations> Mutations::build(MutationsSpec spec, ErrorSink& errors) {
  if (spec.request.empty() && spec.response.empty()) return nullptr;
  auto mutations = std::make_unique<Mutations>();
  mutations->request = HeaderMutations::build(std::move(spec.request), HeaderMutations::Target::kRequest, errors);
  mutations->response = HeaderMutations::build(std::move(spec.response), HeaderMutations::Target::kResponse, errors);
  return mutations;
}

}  // namespace weir::route
