// Five filters that override every hook and do nothing: what a chain costs by itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/filter/chain_config.h"
#include "test/support/descriptor.h"

namespace weir::test {

struct PassThroughConfig {};

template <int N>
class PassThrough final : public filter::HttpFilter {
 public:
  explicit PassThrough(const PassThroughConfig&) {}
  filter::Action on_request_headers(filter::Stream&, http::HeaderMap&, bool) override {
    return filter::Action::kContinue;
  }
  filter::Action on_request_data(filter::Stream&, Slices&, bool) override { return filter::Action::kContinue; }
  filter::Action on_request_trailers(filter::Stream&, http::HeaderMap&) override { return filter::Action::kContinue; }
  filter::Action on_response_headers(filter::Stream&, http::HeaderMap&, bool) override {
    return filter::Action::kContinue;
  }
  filter::Action on_response_data(filter::Stream&, Slices&, bool) override { return filter::Action::kContinue; }
  filter::Action on_response_trailers(filter::Stream&, http::HeaderMap&) override { return filter::Action::kContinue; }
  void on_complete(filter::Stream&) override {}
};

template <int N>
const filter::HttpFilterDescriptor& pass_through_descriptor() {
  static const filter::HttpFilterDescriptor descriptor =
      describe_for_test<PassThroughConfig, PassThrough<N>>("weir.test.pass_through");
  return descriptor;
}

// Five distinct classes, so that the compiler cannot join their hooks.
inline std::vector<filter::HttpFilterEntry> five_pass_through_filters() {
  auto config = std::make_shared<const PassThroughConfig>();
  const filter::HttpFilterDescriptor* descriptors[] = {&pass_through_descriptor<1>(), &pass_through_descriptor<2>(),
                                                       &pass_through_descriptor<3>(), &pass_through_descriptor<4>(),
                                                       &pass_through_descriptor<5>()};
  std::vector<filter::HttpFilterEntry> entries;
  for (const auto* descriptor : descriptors)
    entries.push_back({.descriptor = descriptor, .config = config, .name = "pass_through"});
  return entries;
}

}  // namespace weir::test
