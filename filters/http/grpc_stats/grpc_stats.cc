// envoy.filters.http.grpc_stats: counts calls of gRPC and their messages. Bodies are looked at and passed on as they
// are.
#include "core/filter/register.h"
#include "core/filter/stream.h"
#include "core/grpc/frames.h"
#include "core/stream/filter_state.h"
#include "core/stream/grpc_status.h"
#include "envoy/extensions/filters/http/grpc_stats/v3/config.pb.h"
#include "filters/http/common/grpc/call_stats.h"

namespace weir::filters::grpc_stats {
namespace {

namespace pb = envoy::extensions::filters::http::grpc_stats::v3;
using filter::Action;
using grpc::CallStats;
using grpc::CountedMethods;
using http::HeaderId;

// What other filters and the log find in the filter state.
struct MessageCounts {
  uint64_t requests = 0;
  uint64_t responses = 0;
};

const stream::FilterStateType& counts_type() {
  static const stream::FilterStateType kType = [] {
    stream::FilterStateType type;
    type.name = pb::FilterObject::descriptor()->full_name();
    type.append_plain = [](const void* object, std::string& out) {
      const auto& counts = *static_cast<const MessageCounts*>(object);
      out.append(std::to_string(counts.requests)).append(1, ',').append(std::to_string(counts.responses));
      return true;
    };
    // As protobuf writes numbers of 64 bits.
    type.append_json = [](const void* object, std::string& out) {
      const auto& counts = *static_cast<const MessageCounts*>(object);
      out.append(R"({"request_message_count":")").append(std::to_string(counts.requests));
      out.append(R"(","response_message_count":")").append(std::to_string(counts.responses)).append("\"}");
      return true;
    };
    type.append_field = [](const void* object, std::string_view field, std::string& out) {
      const auto& counts = *static_cast<const MessageCounts*>(object);
      const bool of_request = field == "request_message_count";
      if (!of_request && field != "response_message_count") return false;
      out.append(std::to_string(of_request ? counts.requests : counts.responses));
      return true;
    };
    return type;
  }();
  return kType;
}

// The names of GrpcMethodList.
std::vector<std::string> listed_methods(const envoy::config::core::v3::GrpcMethodList& list) {
  std::vector<std::string> methods;
  for (const auto& service : list.services()) {
    for (const std::string& method : service.method_names()) methods.push_back(service.name() + "/" + method);
  }
  return methods;
}

// [immutable]
struct Config {
  explicit Config(const CallStats::Options& options) : calls(options) {}
  CallStats calls;
  bool emit_filter_state = false;
  bool upstream_stats = false;
  stream::FilterStateName state_name{"envoy.filters.http.grpc_stats"};

  static Result<std::shared_ptr<const Config>> from_proto(const pb::FilterConfig& proto, filter::FactoryScope&) {
    CallStats::Options options;
    options.methods = CountedMethods::kNone;
    if (proto.has_individual_method_stats_allowlist()) {
      options.methods = CountedMethods::kListed;
      options.listed = listed_methods(proto.individual_method_stats_allowlist());
    } else if (proto.stats_for_all_methods().value()) {
      options.methods = CountedMethods::kAll;
    }
    options.replace_dots = proto.replace_dots_in_grpc_service_name();
    auto config = std::make_shared<Config>(options);
    config->emit_filter_state = proto.emit_filter_state();
    config->upstream_stats = proto.enable_upstream_stats();
    return std::shared_ptr<const Config>(std::move(config));
  }
};

// One per stream. [worker]
class Filter final : public filter::HttpFilter {
 public:
  explicit Filter(const Config& config) : config_(config) {}

  Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool) override {
    grpc_ = stream::is_grpc_type(headers.get(HeaderId::kContentType));
    if (grpc_) {
      call_.begin(config_.calls, stream, headers.path());
    } else {
      stream.leave_body_alone();
    }
    return Action::kContinue;
  }

  Action on_request_data(filter::Stream& stream, Slices& data, bool) override {
    const size_t messages = count(requests_, data);
    if (messages == 0) return Action::kContinue;
    call_.add_request_messages(stream, messages);
    if (MessageCounts* counts = state(stream)) counts->requests += messages;
    return Action::kContinue;
  }

  Action on_response_headers(filter::Stream& stream, http::HeaderMap& headers, bool) override {
    if (!grpc_ || !stream::is_grpc_type(headers.get(HeaderId::kContentType))) stream.leave_body_alone();
    if (grpc_) finish(stream, headers);
    return Action::kContinue;
  }

  Action on_response_data(filter::Stream& stream, Slices& data, bool) override {
    const size_t messages = count(responses_, data);
    if (messages == 0) return Action::kContinue;
    call_.add_response_messages(stream, messages);
    if (MessageCounts* counts = state(stream)) counts->responses += messages;
    return Action::kContinue;
  }

  Action on_response_trailers(filter::Stream& stream, http::HeaderMap& trailers) override {
    if (grpc_) finish(stream, trailers);
    return Action::kContinue;
  }

 private:
  static size_t count(weir::grpc::FrameReader& reader, const Slices& data) {
    size_t messages = 0;
    for (size_t i = 0; i < data.slice_count(); ++i) messages += reader.count(data.at(i).view());
    return messages;
  }

  // The counts in the filter state, made with the first message; nullptr: nobody wants them.
  MessageCounts* state(filter::Stream& stream) {
    if (counts_ != nullptr || !config_.emit_filter_state) return counts_;
    stream::FilterState& all = stream.filter_state();
    auto* made = all.arena_for(stream::LifeSpan::kFilterChain).make<MessageCounts>();
    if (all.set(config_.state_name, stream::FilterStateValue::of_object(made, counts_type()), {}) ==
        stream::FilterState::Set::kDone)
      counts_ = made;
    return counts_;
  }

  void finish(filter::Stream& stream, const http::HeaderMap& fields) {
    const stream::UpstreamInfo& upstream = stream.info().upstream;
    const bool has_time = config_.upstream_stats && upstream.last_tx != MonoTime{};
    const Duration time = has_time ? stream.lane().now() - upstream.last_tx : Duration{};
    call_.finish(stream, fields.get(HeaderId::kGrpcStatus), has_time ? &time : nullptr);
  }

  const Config& config_;
  grpc::Call call_;
  weir::grpc::FrameReader requests_, responses_;
  MessageCounts* counts_ = nullptr;
  bool grpc_ = false;
};

}  // namespace
}  // namespace weir::filters::grpc_stats

namespace weir::plugins {
void http_filter_grpc_stats(filter::RegistryBuilder& registry) {
  using namespace filters::grpc_stats;
  registry.add(filter::describe_http_filter<Config, Filter>("envoy.filters.http.grpc_stats"));
}
}  // namespace weir::plugins
