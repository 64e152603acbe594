// A plugin that brings its own protobuf, as a shared library: adds a header made by it. Were weir's protobuf visible,
// the two would meet here and fight over their registries.
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <weir/sdk/http_filter.hpp>

namespace {

struct Config {
  std::string json;
  static weir::sdk::Result<Config> parse(std::string_view text) {
    google::protobuf::Struct fields;
    if (!google::protobuf::util::JsonStringToMessage(std::string(text), &fields).ok())
      return weir::sdk::Error{"is no JSON object"};
    Config config;
    // By reflection and through the descriptor pool, so that the library's static state is at work.
    const auto* descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName("google.protobuf.Struct");
    config.json =
        descriptor != nullptr ? descriptor->full_name() + "/" + std::to_string(fields.fields_size()) : "no descriptor";
    return config;
  }
};

class ProtobufUser : public weir::sdk::HttpFilter<ProtobufUser, Config> {
 public:
  using HttpFilter::HttpFilter;
  weir::sdk::Action on_response_headers(weir::sdk::Response& response) {
    response.add_header("x-protobuf", config().json);
    return weir::sdk::Action::kContinue;
  }
};

}  // namespace

WEIR_PLUGIN_EXPORT("weir.test.protobuf_user/1", ProtobufUser)
