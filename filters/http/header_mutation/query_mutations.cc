#include "filters/http/header_mutation/query_mutations.h"

#include "core/http/query.h"

namespace weir::filters::header_mutation {
namespace {

using Kind = QueryMutation::Kind;

// Keeps its room; one per thread.
thread_local stream::TextBuffer formatted_value;

void apply_mutation(const QueryMutation& mutation, std::string_view value, std::string& query) {
  bool present = http::has_parameter(query, mutation.name);
  switch (mutation.kind) {
    case Kind::kRemove:
      if (present) http::replace_parameter(mutation.name, nullptr, query);
      return;
    case Kind::kOverwriteIfExists:
    case Kind::kOverwriteIfExistsOrAdd:
      if (present) return http::replace_parameter(mutation.name, &value, query);
      if (mutation.kind == Kind::kOverwriteIfExists) return;
      break;
    case Kind::kAddIfAbsent:
      if (present) return;
      break;
    case Kind::kAppendIfExistsOrAdd:
      break;
  }
  http::append_parameter(mutation.name, value, query);
}

}  // namespace

void apply(const std::vector<QueryMutation>& mutations, http::HeaderMap& request, const stream::LogSubject& subject,
           Arena& arena) {
  if (mutations.empty()) return;
  std::string& query = http::take_query(request);
  for (const QueryMutation& mutation : mutations) {
    std::string_view value = mutation.constant;
    if (mutation.format != nullptr) {
      formatted_value.clear();
      mutation.format->append(subject, formatted_value);
      value = formatted_value;
    }
    apply_mutation(mutation, value, query);
  }
  http::put_query(query, request, arena);
}

}  // namespace weir::filters::header_mutation
