#!/usr/bin/python3
"""Writes a new HTTP filter that builds and passes its test: source, API, README, test and the CMake lines."""

import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

PROTO = """\
// HTTP filter @NAME@: adds a header to each request. Say here what it is for.
syntax = "proto3";

package weir.extensions.filters.http.@NAME@.v1;

option optimize_for = CODE_SIZE;

message @CLASS@ {
  // Name of the header. Required.
  string header = 1;
  // Its value.
  string value = 2;
}
"""

HEADER = """\
// weir.filters.http.@NAME@: adds a header to each request. Say here what it is and what it is not.
#pragma once

#include <string>

#include "core/filter/http_filter.h"
#include "core/stats/handles.h"

namespace weir::filters::@NAME@ {

// Built once on main; every stream of a listener reads the same one. [immutable]
struct Settings {
  http::HeaderName header;
  std::string value;
  stats::Counter added;
};

// One per stream, in the stream's arena. [worker]
class Filter : public filter::HttpFilter {
 public:
  explicit Filter(const Settings& settings) : settings_(settings) {}
  filter::Action on_request_headers(filter::Stream& stream, http::HeaderMap& headers, bool end) override;

 private:
  const Settings& settings_;
};

}  // namespace weir::filters::@NAME@
"""

SOURCE = """\
#include "filters/http/@NAME@/@NAME@.h"

#include "core/filter/register.h"
#include "core/http/chars.h"
#include "weir/extensions/filters/http/@NAME@/v1/@NAME@.pb.h"

namespace weir::filters::@NAME@ {
namespace pb = weir::extensions::filters::http::@NAME@::v1;

namespace {

struct Config : Settings {
  static Result<std::shared_ptr<const Config>> from_proto(const pb::@CLASS@& proto, filter::FactoryScope& scope) {
    auto config = std::make_shared<Config>();
    if (http::is_token(proto.header())) {
      config->header = http::HeaderName(proto.header());
    } else {
      scope.error("header", "\\"" + proto.header() + "\\" is not the name of a header");
    }
    config->value = proto.value();
    config->added = scope.counter("@NAME@.added");
    return std::shared_ptr<const Config>(std::move(config));
  }
};

class Plugin final : public Filter {
 public:
  explicit Plugin(const Config& config) : Filter(config) {}
};

}  // namespace

filter::Action Filter::on_request_headers(filter::Stream&, http::HeaderMap& headers, bool) {
  headers.add(settings_.header, settings_.value);  // both outlive the stream, which pins its configuration
  settings_.added.inc();
  return filter::Action::kContinue;
}

}  // namespace weir::filters::@NAME@

WEIR_HTTP_FILTER(@NAME@, "weir.filters.http.@NAME@", weir::filters::@NAME@::Config,
                 weir::filters::@NAME@::Plugin)
"""

README = """\
# @NAME@

`weir.filters.http.@NAME@`: adds a header to each request.

```yaml
- name: weir.filters.http.@NAME@
  typed_config:
    "@type": type.googleapis.com/weir.extensions.filters.http.@NAME@.v1.@CLASS@
    header: x-@DASHED@
    value: "1"
```

Counter: `http.<stat_prefix>.@NAME@.added`.

Posture: draft; not yet reviewed against untrusted peers. Not fuzzed. Bounded: nothing grows with input.
"""

TEST = """\
// The configuration of @NAME@ and its place in the registry.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/filter/registry.h"
#include "weir/extensions/filters/http/@NAME@/v1/@NAME@.pb.h"

namespace weir::plugins {
void http_filter_@NAME@(filter::RegistryBuilder& registry);
}

namespace weir {
namespace {

class NoRoutes final : public filter::RouteProvider {
 public:
  event::SlotId route_table(const google::protobuf::Message&, filter::FactoryScope&) override { return {}; }
};

class Findings final : public filter::ConfigReport {
 public:
  void error(const std::string& path, const std::string& message) override { texts.push_back(path + ": " + message); }
  void warning(const std::string&, const std::string&) override {}
  void check_fields(const google::protobuf::Message&, const std::string&, std::initializer_list<std::string_view>,
                    std::initializer_list<std::string_view>) override {}
  std::unique_ptr<google::protobuf::Message> unpack(const google::protobuf::Any&, const std::string&) override {
    return nullptr;
  }
  size_t errors() const override { return texts.size(); }
  std::vector<std::string> texts;
};

class @CLASS@Test : public testing::Test {
 protected:
  @CLASS@Test() {
    filter::RegistryBuilder builder;
    plugins::http_filter_@NAME@(builder);
    registry = builder.build();
  }
  const filter::HttpFilterDescriptor* descriptor() {
    return registry.http_filter("weir.extensions.filters.http.@NAME@.v1.@CLASS@");
  }
  void load(const extensions::filters::http::@NAME@::v1::@CLASS@& proto) {
    filter::FactoryScope scope(registry, store, routes, findings, "here");
    (void)descriptor()->make_config(proto, scope);
  }

  filter::Registry registry;
  stats::Store store;
  NoRoutes routes;
  Findings findings;
};

TEST_F(@CLASS@Test, IsRegisteredWithItsHooks) {
  ASSERT_NE(descriptor(), nullptr);
  EXPECT_EQ(descriptor()->name, "weir.filters.http.@NAME@");
  EXPECT_EQ(descriptor()->hooks, filter::kRequestHeaders);
  EXPECT_FALSE(descriptor()->terminal);
}

TEST_F(@CLASS@Test, AcceptsAHeader) {
  extensions::filters::http::@NAME@::v1::@CLASS@ proto;
  proto.set_header("x-@DASHED@");
  load(proto);
  EXPECT_EQ(findings.texts, std::vector<std::string>{});
}

TEST_F(@CLASS@Test, RefusesWhatIsNoHeader) {
  extensions::filters::http::@NAME@::v1::@CLASS@ proto;
  proto.set_header("not a token");
  load(proto);
  EXPECT_EQ(findings.texts, std::vector<std::string>{"here.header: \\"not a token\\" is not the name of a header"});
}

}  // namespace
}  // namespace weir
"""

PLUGIN_LINE = "weir_add_plugin(http_filter @NAME@ SOURCES http/@NAME@/@NAME@.cc DEPS weir_filter weir_api)\n"
TEST_LINES = "weir_test(filters_http_@NAME@_test SOURCES @NAME@_test.cc DEPS weir_http_filter_@NAME@)\n"


def fail(text: str) -> int:
    print("new-filter: " + text, file=sys.stderr)
    return 2


def main() -> int:
    if len(sys.argv) != 3 or sys.argv[1] != "http":
        return fail("usage: tools/dev new-filter http NAME")
    name = sys.argv[2]
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        return fail("'%s' is no name for a filter; write it like header_tag" % name)
    if os.path.exists(os.path.join(ROOT, "filters", "http", name)):
        return fail("filters/http/%s exists already" % name)
    words = {"NAME": name, "CLASS": "".join(word.capitalize() for word in name.split("_")), "DASHED": name.replace("_", "-")}

    def fill(text: str) -> str:
        return re.sub(r"@(NAME|CLASS|DASHED)@", lambda match: words[match.group(1)], text)

    files = {
        "api/proto/weir/extensions/filters/http/%s/v1/%s.proto" % (name, name): PROTO,
        "filters/http/%s/%s.h" % (name, name): HEADER,
        "filters/http/%s/%s.cc" % (name, name): SOURCE,
        "filters/http/%s/README.md" % name: README,
        "test/filters/http/%s_test.cc" % name: TEST,
    }
    for path, text in files.items():
        full = os.path.join(ROOT, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(fill(text))
        print("wrote " + path)
    for path, text in (("filters/CMakeLists.txt", PLUGIN_LINE), ("test/filters/http/CMakeLists.txt", TEST_LINES)):
        with open(os.path.join(ROOT, path), "a", encoding="utf-8") as file:
            file.write(fill(text))
        print("added a line to " + path)
    print("now: tools/dev test filters/http/%s" % name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
