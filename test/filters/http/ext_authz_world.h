// A request that an authorization service is asked about, up to the question; and lists of fields as text.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "envoy/extensions/filters/http/ext_authz/v3/ext_authz.pb.h"
#include "filters/http/ext_authz/ext_authz.h"
#include "test/support/filter_harness.h"
#include "test/support/parsed.h"
#include "test/support/plugin_scope.h"

namespace weir::test {

// Service: of which kind the configuration's is.
template <class Service>
struct AskedAbout {
  AskedAbout(const std::string& config, const Headers& request) {
    entry = plugins.http_filter(parsed<envoy::extensions::filters::http::ext_authz::v3::ExtAuthz>(config), "authz");
    EXPECT_EQ(plugins.error_texts(), std::vector<std::string>{});
    harness.send_headers(request, true);
    harness.run(5ms);
  }
  const filters::ext_authz::Settings& settings() const {
    return *static_cast<const filters::ext_authz::Settings*>(entry.config.get());
  }
  const Service& service() const { return dynamic_cast<const Service&>(*settings().service); }

  PluginScope plugins;
  filter::HttpFilterEntry entry;
  FilterHarness harness{std::vector<filter::HttpFilterEntry>{}};
};

inline std::string text(const filters::ext_authz::Fields& fields) {
  std::string all;
  fields.for_each([&](const filters::ext_authz::Fields::Field& field) {
    all += std::string(field.name) + "=" + std::string(field.value) + ";";
  });
  return all;
}

}  // namespace weir::test
