#include "filters/network/tcp_proxy/tunnel.h"

#include "core/stream/value.h"

namespace weir::filters::tcp_proxy {
namespace {

bool append_all(const void* object, std::string& out) {
  out += R"({"headers":[)";
  const char* between = "";
  static_cast<const http::HeaderMap*>(object)->for_each([&](const http::HeaderEntry& entry) {
    out += between;
    between = ",";
    out += R"({"key":)";
    stream::append_json(stream::Value::of_string(entry.name()), out);
    out += R"(,"value":)";
    stream::append_json(stream::Value::of_string(entry.value()), out);
    out += '}';
  });
  out += "]}";
  return true;
}

bool append_one(const void* object, std::string_view field, std::string& out) {
  bool found = false;
  static_cast<const http::HeaderMap*>(object)->for_each([&](const http::HeaderEntry& entry) {
    if (entry.name() != field) return;
    if (found) out += ',';
    out += entry.value();
    found = true;
  });
  return found;
}

constexpr stream::FilterStateType kAnswerType{.name = "envoy.tcp_proxy.propagate_response",
                                              .append_plain = append_all,
                                              .append_json = append_all,
                                              .append_field = append_one,
                                              .destroy = nullptr};  // all of it lies in the connection's arena

}  // namespace

void keep_answer(const stream::FilterStateName& name, const http::HeaderMap& headers, stream::ConnectionInfo& info) {
  stream::FilterState& state = info.make_filter_state();
  Arena& arena = state.arena_for(stream::LifeSpan::kConnection);
  auto* kept = arena.make<http::HeaderMap>(arena);
  headers.copy_to(*kept);
  state.set(name, stream::FilterStateValue::of_object(kept, kAnswerType), {.life_span = stream::LifeSpan::kConnection});
}

}  // namespace weir::filters::tcp_proxy
