#include "core/config/secret_sources.h"

#include "core/config/proto_loader.h"
#include "core/config/rules.h"
#include "core/config/suggest.h"
#include "envoy/config/core/v3/config_source.pb.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"

namespace weir::config {

using envoy::config::core::v3::ConfigSource;
using envoy::extensions::transport_sockets::tls::v3::SdsSecretConfig;
using envoy::extensions::transport_sockets::tls::v3::Secret;
using envoy::service::discovery::v3::Resource;

constexpr size_t kMaxFileBytes = size_t{8} << 20;

namespace {

// Of another kind, if none of this kind has the name: whoever asks says then what is wrong.
template <class Map>
auto find_secret(Map& all, const std::string& name, int kind) {
  auto at = all.find({name, kind});
  if (at != all.end()) return at;
  at = all.lower_bound({name, 0});
  return at != all.end() && at->first.name == name ? at : all.end();
}

}  // namespace

// One SDS file, read once for each configuration.
struct SecretSources::File {
  PositionIndex positions;
  std::unique_ptr<Report> report;
  struct Entry {
    std::shared_ptr<const Secret> secret;
    std::string path;
  };
  std::map<SecretKey, Entry> secrets;
  std::string content;
  bool good = true;
};

SecretSources::SecretSources() = default;
SecretSources::~SecretSources() = default;

void SecretSources::add(const Secret& secret, std::string path) {
  statics_.try_emplace(key_of(secret), Static{&secret, std::move(path)});
}

bool SecretSources::is_used(const SecretKey& key) const {
  auto at = statics_.find(key);
  return at != statics_.end() && at->second.used;
}

SecretSources::File* SecretSources::open(const std::string& name, const std::string& watched_directory,
                                         const std::string& path, Report& report) {
  if (watched_directory.empty()) {
    report.sources().add_file(name);
  } else {
    report.sources().add_directory(watched_directory);
  }
  auto [at, fresh] = files_.try_emplace(name);
  if (!fresh) {
    // Everybody who needs it depends on all of it.
    if (at->second == nullptr) {
      report.error(path, "cannot read " + name + ", as said above");
    } else {
      report.sources().add_file_content(name, at->second->content);
    }
    return at->second.get();
  }
  std::string why;
  auto content = read_bounded_file(name, {kMaxFileBytes}, why);
  if (!content.has_value()) {
    report.error(path, why);
    return nullptr;
  }
  report.sources().add_file_content(name, *content);
  auto file = std::make_unique<File>();
  file->content = std::move(*content);
  envoy::service::discovery::v3::DiscoveryResponse response;
  const size_t errors = report.errors();
  const size_t found = report.diagnostics().items().size();
  load_content(file->content, name, response, file->positions, report.diagnostics());
  // Only a serialised file can bring some.
  validate(response, file->positions, report.diagnostics(), {.unknown_fields = OnUnknown::kError});
  file->report = std::make_unique<Report>(file->positions, report, found);
  for (int i = 0; i < response.resources_size(); ++i) {
    std::string here = "resources[" + std::to_string(i) + "]";
    Resource wrapper;
    const bool wrapped = response.resources(i).UnpackTo(&wrapper);
    if (wrapper.has_ttl())
      file->report->warning(here + ".ttl", "has no effect: what a file says holds until the file changes");
    if (wrapped) here += ".resource";
    std::shared_ptr<google::protobuf::Message> message =
        file->report->unpack(wrapped ? wrapper.resource() : response.resources(i), here);
    if (message == nullptr) continue;
    auto secret = std::dynamic_pointer_cast<const Secret>(std::move(message));
    if (secret == nullptr) {
      file->report->error(here, "must be an envoy.extensions.transport_sockets.tls.v3.Secret");
      continue;
    }
    if (secret->name().empty()) {
      file->report->error(here + ".name", "must not be empty: it is what others refer to");
      continue;
    }
    if (!file->secrets.try_emplace(key_of(*secret), File::Entry{secret, here}).second)
      file->report->error(here + ".name", in_quotes(secret->name()) + " is the name of two secrets of one kind");
  }
  file->good = report.errors() == errors;
  at->second = std::move(file);
  return at->second.get();
}

filter::ConfigReport::FoundSecret SecretSources::find(const google::protobuf::Message& message, int kind,
                                                      const std::string& path, Report& report) {
  const auto& config = static_cast<const SdsSecretConfig&>(message);
  report.sources().add_dependency();
  std::string hint;
  NearestName nearest(config.name());
  if (!config.has_sds_config()) {
    auto at = find_secret(statics_, config.name(), kind);
    if (at != statics_.end()) {
      at->second.used = true;
      report.sources().add_dependency(fingerprint(*at->second.secret));
      // The bootstrap outlives whoever asks.
      return {std::shared_ptr<const google::protobuf::Message>(std::shared_ptr<void>(), at->second.secret), &report,
              at->second.path};
    }
    for (const auto& [key, secret] : statics_) nearest.offer(key.name);
    if (!nearest.best().empty()) hint = "; did you mean " + in_quotes(nearest.best()) + "?";
    report.error(path + ".name", in_quotes(config.name()) + " is not one of static_resources.secrets" + hint);
    return {};
  }
  const ConfigSource& source = config.sds_config();
  const std::string at = path + ".sds_config";
  if (source.resource_api_version() == envoy::config::core::v3::V2)
    report.warning(at + ".resource_api_version", "V2 has no effect in weir: resources are those of V3; write V3");
  std::string file_name, field;
  switch (source.config_source_specifier_case()) {
    case ConfigSource::kPath:
      file_name = source.path();
      field = at + ".path";
      break;
    case ConfigSource::kPathConfigSource:
      file_name = source.path_config_source().path();
      field = at + ".path_config_source.path";
      break;
    case ConfigSource::CONFIG_SOURCE_SPECIFIER_NOT_SET:
      report.error(at, "needs path_config_source; without sds_config the secret is one of static_resources.secrets");
      return {};
    default:  // of a control plane: the table of fields has said that it is not supported
      return {};
  }
  File* file = open(file_name, source.path_config_source().watched_directory().path(), field, report);
  if (file == nullptr) {
    return {};
  }
  auto found = find_secret(file->secrets, config.name(), kind);
  // Of a file with errors, too: then all that is wrong with it is said at once.
  if (found != file->secrets.end()) return {found->second.secret, file->report.get(), found->second.path};
  if (!file->good) {
    report.error(path, file_name + " has errors");
    return {};
  }
  for (const auto& [key, secret] : file->secrets) nearest.offer(key.name);
  if (!nearest.best().empty()) hint = "; did you mean " + in_quotes(nearest.best()) + "?";
  report.error(path + ".name", "there is no secret " + in_quotes(config.name()) + " in " + file_name + hint);
  return {};
}

}  // namespace weir::config
