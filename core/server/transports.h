// The transport sockets of a configuration that is built: each is made here and staged for a slot of its own, so that
// certificates change under chains and clusters that stay. [main]
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/config/report.h"
#include "core/event/slot.h"
#include "core/filter/factory.h"
#include "core/filter/transport_socket.h"
#include "core/stats/store.h"

namespace weir::server {

class SlotNames;

// Ends what is said of files with which something is wrong while what they held before is in use.
inline constexpr std::string_view kGoesOn = "what was in use goes on";

struct TransportFacts {
  uint64_t fingerprint = 0;  // of its configuration and of what that has read
  std::string owner;         // "listener edge", "cluster api"
  // Counts what takes the place of another with the same configuration.
  std::shared_ptr<const stats::Group> updates;
};

struct StagedTransport {
  std::string slot_name;
  std::string listener;  // whose it is; empty: a cluster's
  // nullptr: what is in force goes on, for something is wrong with the files of this one.
  std::unique_ptr<const filter::TransportSocket> version;
  TransportFacts facts;
};

class Transports {
 public:
  // `in_force`, if not null: files have changed and nothing else. One that cannot be made of them goes on as it is
  // there, and what is wrong is a warning.
  Transports(SlotNames& slots, config::Report& report, std::vector<StagedTransport>& staged,
             const std::map<std::string, TransportFacts>* in_force)
      : slots_(slots), report_(report), staged_(staged), in_force_(in_force) {}

  // `owner`: the name of the listener or cluster, among whose sockets `name` tells it from the others. See
  // filter::RouteProvider::transport_socket().
  std::optional<event::SlotId> make(const google::protobuf::Message& config, filter::TransportSide side,
                                    const std::string& owner, const std::string& name, filter::FactoryScope& scope);

 private:
  // False: nothing was made; there were errors, or there is nothing to make.
  bool build(const google::protobuf::Message& config, filter::TransportSide side, filter::FactoryScope& scope,
             StagedTransport& to);

  SlotNames& slots_;
  config::Report& report_;
  std::vector<StagedTransport>& staged_;
  const std::map<std::string, TransportFacts>* in_force_;
  std::unordered_set<std::string> names_;  // of slots that are taken
};

}  // namespace weir::server
