#!/usr/bin/python3
"""Writes a new HTTP filter that builds and passes its test: source, API with its fields, README, test, CMake lines."""

import os
import re
import subprocess
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

FIELDS = """\
# What weir makes of the fields of @NAME@.proto (api/README.md, the table of fields).
message @CLASS@
header                          implemented
value                           implemented
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
// @NAME@ in a real chain, whole and in pieces, and what its configuration may be.
#include <gtest/gtest.h>

#include "test/support/filter_harness.h"
#include "test/support/plugin_scope.h"
#include "weir/extensions/filters/http/@NAME@/v1/@NAME@.pb.h"

namespace weir {
namespace {

using extensions::filters::http::@NAME@::v1::@CLASS@;

// field: @NAME@.v1.@CLASS@.header, @NAME@.v1.@CLASS@.value
TEST(@CLASS@Test, AddsItsHeader) {
  test::PluginScope scope;
  @CLASS@ proto;
  proto.set_header("x-@DASHED@");
  proto.set_value("1");
  test::run_under_chaos({scope.http_filter(proto)}, [](test::FilterHarness& harness) {
    harness.send_headers({{":method", "POST"}, {":path", "/"}, {":authority", "test.example"}});
    harness.send_data("hello", true);
    harness.respond_headers({{":status", "200"}}, true);
    harness.run();
    EXPECT_EQ(harness.request().header("x-@DASHED@"), "1");
    EXPECT_EQ(harness.request().body, "hello");
    EXPECT_EQ(harness.response().header(":status"), "200");
    EXPECT_EQ(harness.violations(), std::vector<std::string>{});
  });
  EXPECT_EQ(scope.error_texts(), std::vector<std::string>{});
}

TEST(@CLASS@Test, RefusesWhatIsNoHeader) {
  test::PluginScope scope;
  @CLASS@ proto;
  proto.set_header("not a token");
  (void)scope.http_filter(proto);
  EXPECT_EQ(scope.error_texts(), std::vector<std::string>{"header: \\"not a token\\" is not the name of a header"});
}

}  // namespace
}  // namespace weir
"""

PLUGIN_LINE = "weir_add_plugin(http_filter @NAME@ SOURCES http/@NAME@/@NAME@.cc DEPS weir_filter weir_api)\n"
TEST_LINES = "weir_test(filters_http_@NAME@_test SOURCES @NAME@_test.cc DEPS weir_test_plugins)\n"


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
        "api/proto/weir/extensions/filters/http/%s/v1/%s.fields" % (name, name): FIELDS,
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
    print("now: tools/dev test filters/http/%s" % name, flush=True)
    return subprocess.run([sys.executable, os.path.join(ROOT, "tools", "field_docs.py")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
