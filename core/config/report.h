// Gives plugins and translators what they ask of a configuration (filter::ConfigReport), on top of diagnostics and the
// positions of a file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "core/config/data_source.h"
#include "core/config/diagnostics.h"
#include "core/config/field_table.h"
#include "core/config/position_index.h"
#include "core/config/translator.h"
#include "core/config/unknown_extensions.h"
#include "core/filter/factory.h"

namespace weir::config {

class SecretSources;

class Report final : public filter::ConfigReport {
 public:
  // `positions` may be empty (resources that came over the wire). Both outlive the report.
  // What loading has found wrong already is not reported again, nor what is missing beside it.
  Report(const PositionIndex& positions, Diagnostics& diagnostics,
         UnknownExtensions unknown = UnknownExtensions::kReject);
  // About another file of the same configuration, whose loading has found what is from number `first_finding` on.
  Report(const PositionIndex& positions, Report& main, size_t first_finding);

  void error(const std::string& path, const std::string& message) override { add(path, message, Severity::kError); }
  void unsupported(const std::string& path, const std::string& message) override {
    add_at(path, path, message, Severity::kError, {}, true);
  }
  void warning(const std::string& path, const std::string& message) override { add(path, message, Severity::kWarning); }
  // Reports what is set in a message and all inside it and not implemented (field_table.h). Once for each bootstrap or
  // resource; unpack() does it for what it returns.
  void check(const google::protobuf::Message& message, const std::string& path, const KnownMessages& known = {});
  std::unique_ptr<google::protobuf::Message> unpack(const google::protobuf::Any& any, const std::string& path) override;
  std::optional<std::string> read_source(const google::protobuf::Message& source, const std::string& path,
                                         size_t max_bytes) override {
    return read_source(source, path, SourceLimit{max_bytes});
  }
  std::optional<std::string> read_source(const google::protobuf::Message& source, const std::string& path,
                                         SourceLimit limit);
  uint64_t sources_digest() const override { return sources_.digest(); }
  bool skip_unknown(const filter::UnknownPlugin& plugin, const google::protobuf::Any& config,
                    const std::string& path) override;
  void watch_file(const std::string& file) override { sources_.add_file(file); }
  FoundSecret find_secret(const google::protobuf::Message& sds_secret_config, int kind,
                          const std::string& path) override;
  size_t errors() const override { return diagnostics_.errors() + diagnostics_.demoted() - diagnostics_.made_up_for(); }
  bool may_keep() const override { return diagnostics_.demotes(); }
  void made_up(const Mark& since, uint64_t sources) override {
    diagnostics_.make_up(errors() - since.errors);
    sources_.take_since(since.sources);
    sources_.add_dependency(sources);
  }
  filter::ConfigTranslator& translator() override { return translator_; }

  // What is said about anything in the message at `path` is said about the message, until this goes: one that is made
  // of a text has no fields for who wrote the text.
  class AsOne {
   public:
    AsOne(Report& report, std::string path) : report_(report) { report_.as_one_ = std::move(path); }
    ~AsOne() { report_.as_one_.clear(); }
    AsOne(const AsOne&) = delete;
    AsOne& operator=(const AsOne&) = delete;

   private:
    Report& report_;
  };

  // Where find_secret() looks. Outlive the report.
  void set_secrets(SecretSources& secrets) { secrets_ = &secrets; }
  SourcesRead& sources() { return sources_; }
  const PositionIndex& positions() const { return positions_; }
  Diagnostics& diagnostics() { return diagnostics_; }

 private:
  void know_broken(size_t first);
  void add(const std::string& path, const std::string& message, Severity severity) {
    add_at(path, path, message, severity);
  }
  void add_at(const std::string& place, const std::string& path, const std::string& message, Severity severity,
              const std::string& hint = {}, bool unsupported = false, const std::string& found = {});
  // At the place of the @type, if the file has it. `type`: what stands there.
  void add_about_type(const std::string& path, const std::string& type, const std::string& message, Severity severity,
                      const std::string& hint = {});
  const PositionIndex& positions_;
  Diagnostics& diagnostics_;
  SourcesRead own_sources_;
  SourcesRead& sources_ = own_sources_;
  SecretSources* secrets_ = nullptr;
  const UnknownExtensions unknown_;
  std::string as_one_;                              // see AsOne; empty: there is none
  std::unordered_set<std::string> broken_;          // paths with an error of loading
  std::unordered_set<std::string> broken_parents_;  // and what they are in
  std::unordered_set<std::string> misnamed_in_;     // those with a field of another name than was meant
  Translator translator_{*this};
};

// A hash of the message's content, the same for the same content.
uint64_t fingerprint(const google::protobuf::Message& message);
// The fingerprint of two things together, in this order.
uint64_t combine(uint64_t one, uint64_t other);

}  // namespace weir::config
