// test/support/pass_through.h as a plugin, configured by google.protobuf.Empty: five of these in a chain are what the
// check `filters` measures. Never part of the weir that users run.
#include <google/protobuf/empty.pb.h>

#include "test/support/pass_through.h"

namespace weir::plugins {

void http_filter_pass_through(filter::RegistryBuilder& registry) {
  filter::HttpFilterDescriptor descriptor = test::pass_through_descriptor<1>();
  descriptor.type = google::protobuf::Empty::descriptor()->full_name();
  descriptor.make_config = [](const google::protobuf::Message&, filter::FactoryScope&) -> Result<filter::ConfigPtr> {
    return filter::ConfigPtr(std::make_shared<test::PassThroughConfig>());
  };
  registry.add(std::move(descriptor));
}

}  // namespace weir::plugins
