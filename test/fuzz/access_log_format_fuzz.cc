// The configuration of a log line (SubstitutionFormatString as JSON or YAML, up to the first NUL) and a stream made of
// the rest. What is accepted prints one line; json_format prints one JSON object.
#include "core/config/report.h"
#include "core/filter/registry.h"
#include "envoy/config/core/v3/substitution_format_string.pb.h"
#include "extensions/access_loggers/common/log_format.h"
#include "test/fuzz/load_check.h"
#include "test/fuzz/stream_facts.h"

namespace weir {
namespace {

using fuzz::require;

class NoRoutes final : public filter::RouteProvider {
  TableSlot route_table(const google::protobuf::Message&, filter::FactoryScope&) override { return {}; }
};

}  // namespace
}  // namespace weir

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir;
  fuzz::Input input(data, size);
  std::string_view text = input.until('\0');
  // Files and the environment are not the input's to read.
  if (text.find("file") != std::string_view::npos || text.find("env") != std::string_view::npos) return 0;
  envoy::config::core::v3::SubstitutionFormatString proto;
  config::PositionIndex positions;
  config::Diagnostics diagnostics;
  if (!config::load_message(text, "fuzz.yaml", proto, positions, diagnostics,
                            fuzz::load_options(config::TextFormat::kByName))) {
    return 0;
  }
  static const filter::Registry no_plugins = filter::RegistryBuilder().build();
  stats::Store store;
  NoRoutes routes;
  config::Report report(positions, diagnostics);
  filter::FactoryScope scope(no_plugins, store, routes, report, "");
  auto format = extensions::access_loggers::make_format(proto, scope);
  fuzz::check_diagnostics(diagnostics, text);
  require(format.has_value() || diagnostics.has_errors(), "no format and no error", text);
  if (!format.has_value()) return 0;
  fuzz::StreamFacts facts(input);
  std::string line;
  std::visit([&](const auto& one) { one.append(facts.subject(), line); }, *format);
  if (std::holds_alternative<stream::JsonFormat>(*format)) {
    require(line.ends_with('\n'), "the line does not end", line, text);
    line.pop_back();
    require(line.find('\n') == std::string::npos && config::is_json(line), "not one line of JSON", line, text);
  }
  return 0;
}
