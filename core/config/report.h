// Gives plugins and translators what they ask of a configuration (filter::ConfigReport), on top of diagnostics and the
// positions of a file.
#pragma once

#include <memory>
#include <string>

#include "core/config/diagnostics.h"
#include "core/config/position_index.h"
#include "core/config/translator.h"
#include "core/filter/factory.h"

namespace weir::config {

class Report final : public filter::ConfigReport {
 public:
  // `positions` may be empty (resources that came over the wire). Both outlive the report.
  Report(const PositionIndex& positions, Diagnostics& diagnostics) : positions_(positions), diagnostics_(diagnostics) {}

  void error(const std::string& path, const std::string& message) override { add(path, message, Severity::kError); }
  void warning(const std::string& path, const std::string& message) override { add(path, message, Severity::kWarning); }
  void check_fields(const google::protobuf::Message& message, const std::string& path,
                    std::initializer_list<std::string_view> implemented,
                    std::initializer_list<std::string_view> accepted) override;
  std::unique_ptr<google::protobuf::Message> unpack(const google::protobuf::Any& any, const std::string& path) override;
  size_t errors() const override { return diagnostics_.errors(); }
  filter::ConfigTranslator& translator() override { return translator_; }

  const PositionIndex& positions() const { return positions_; }
  Diagnostics& diagnostics() { return diagnostics_; }

 private:
  void add(const std::string& path, const std::string& message, Severity severity);
  const PositionIndex& positions_;
  Diagnostics& diagnostics_;
  Translator translator_{*this};
};

// A hash of the message's content, the same for the same content.
uint64_t fingerprint(const google::protobuf::Message& message);

}  // namespace weir::config
