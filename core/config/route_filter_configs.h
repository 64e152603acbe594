// What a table, a host or a route says to single filters: typed_per_filter_config, and the fields that came before it.
// [main]
#pragma once

#include <google/protobuf/any.pb.h>
#include <google/protobuf/map.h>
#include <google/protobuf/repeated_field.h>

#include <string>
#include <string_view>
#include <vector>

#include "core/config/field_path.h"
#include "core/config/route_config.h"
#include "core/route/spec.h"

namespace envoy::config::route::v3 {
class CorsPolicy;
class RateLimit;
}  // namespace envoy::config::route::v3

namespace weir::config {

class RouteFilterConfigs {
 public:
  using Typed = google::protobuf::Map<std::string, google::protobuf::Any>;
  using Specs = std::vector<route::FilterConfigSpec>;

  RouteFilterConfigs(RouteConfigEnv& env, FieldPath& path) : env_(env), path_(path) {}
  // For a message elsewhere in the table that `outer` is at work on.
  RouteFilterConfigs(const RouteFilterConfigs& outer, FieldPath& path)
      : env_(outer.env_), path_(path), cors_above_(outer.cors_above_) {}

  // All of these are at the place of the message that has the fields.
  Specs read(const Typed& typed);
  // As published, the old field `cors` says nothing as soon as a level says something in the new way: this one, whose
  // typed_per_filter_config is `typed`, or one above.
  void read_cors(const envoy::config::route::v3::CorsPolicy& message, const Typed& typed, Specs& out);
  void read_rate_limits(const google::protobuf::RepeatedPtrField<envoy::config::route::v3::RateLimit>& messages,
                        bool of_virtual_host, bool include_virtual_host, Specs& out);

  // As long as this lives, what is read is below a level that says this.
  class Below {
   public:
    Below(RouteFilterConfigs& configs, const Typed& typed);
    ~Below() { configs_.cors_above_ = before_; }
    Below(const Below&) = delete;
    Below& operator=(const Below&) = delete;

   private:
    RouteFilterConfigs& configs_;
    const std::string before_;
  };

 private:
  void read_one(std::string_view name, const google::protobuf::Any& any, Specs& specs);
  bool parse(std::string_view name, const google::protobuf::Any& any, bool optional, route::FilterConfigSpec& spec);

  RouteConfigEnv& env_;
  FieldPath& path_;
  std::string cors_above_;  // under which name a level above says something to the cors filter
};

}  // namespace weir::config
