// Where secrets are found while a configuration is built: those of the bootstrap by name and kind, those of SDS
// files by file, too. [main]
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/config/position_index.h"
#include "core/config/report.h"
#include "core/config/secret_config.h"
#include "core/filter/factory.h"

namespace envoy::extensions::transport_sockets::tls::v3 {
class Secret;
}
namespace envoy::service::discovery::v3 {
class DiscoveryResponse;
}

namespace weir::config {

class SecretSources {
 public:
  SecretSources();
  ~SecretSources();
  SecretSources(const SecretSources&) = delete;
  SecretSources& operator=(const SecretSources&) = delete;

  // One of the bootstrap, which outlives this.
  void add(const envoy::extensions::transport_sockets::tls::v3::Secret& secret, std::string path);
  // Of the bootstrap: somebody has asked for it.
  bool is_used(const SecretKey& key) const;
  filter::ConfigReport::FoundSecret find(const google::protobuf::Message& sds_secret_config, int kind,
                                         const std::string& path, Report& report);

 private:
  struct File;
  // nullptr after an error was reported.
  File* open(const std::string& name, const std::string& watched_directory, const std::string& path, Report& report);

  struct Static {
    const envoy::extensions::transport_sockets::tls::v3::Secret* secret;
    std::string path;
    bool used = false;
  };
  std::map<SecretKey, Static> statics_;
  std::map<std::string, std::unique_ptr<File>, std::less<>> files_;
};

}  // namespace weir::config
