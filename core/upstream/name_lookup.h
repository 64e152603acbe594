// Names that requests bring (dynamic_forward_proxy): a lane asks main for them, where the caches are, and goes on when
// every lane knows the hosts. A name that is known already needs none of this: ClusterLocal::pick() finds its host.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/functional/any_invocable.h"
#include "core/base/arena.h"
#include "core/event/lane.h"

namespace weir::upstream {

enum class NameOutcome : uint8_t {
  kKnown,      // its hosts are in the host sets of every lane
  kFailed,     // it has no address, or nobody has said so in time
  kCacheFull,  // max_hosts
  kTooMany,    // requests wait already
  kNoName,     // it is no name, or there is no such cache
};

// Implemented by who owns the caches; main's lane has it as LocalKey::kNames. [main]
class NameService {
 public:
  using Answer = absl::AnyInvocable<void(NameOutcome)>;
  // Answers once, now or later; perhaps never, if the service ends first.
  virtual void find(std::string_view cache, std::string_view host, uint16_t port, Answer answer) = 0;

 protected:
  ~NameService() = default;
};

// What a request asks for. `host` without brackets, in small letters; `key` as lb::name_key() makes it.
struct WantedName {
  std::string_view host;
  uint16_t port = 0;
  std::string_view key;
};
// Of "Example.com:8080" or "[::1]"; in the arena. False: it is no authority.
bool read_wanted_name(std::string_view authority, uint16_t default_port, Arena& arena, WantedName& out);
// The pointer that a filter which has resolved a name shares with the router on a stream (filter::Stream::shared()): to
// a WantedName in the arena.
extern const char kWantedNameKey;

class LaneNames;

// Derive or embed. The destructor cancels. [worker]
class NameLookup {
 public:
  NameLookup() = default;
  virtual ~NameLookup() { cancel(); }
  NameLookup(const NameLookup&) = delete;
  NameLookup& operator=(const NameLookup&) = delete;
  // It must not be active.
  void find(event::Lane& lane, std::string_view cache, const WantedName& name);
  void cancel();
  bool active() const { return id_ != 0; }

 protected:
  // Once for each find(), at a later turn; it is not active any more.
  virtual void on_name(NameOutcome outcome) = 0;

 private:
  friend class LaneNames;
  LaneNames* names_ = nullptr;
  uint64_t id_ = 0;
};

// Who waits on a lane. Part of LaneClusters. [worker]
class LaneNames {
 public:
  explicit LaneNames(event::Lane& lane) : lane_(lane) {}
  ~LaneNames();
  void answer(uint64_t id, NameOutcome outcome);

 private:
  friend class NameLookup;
  event::Lane& lane_;
  std::unordered_map<uint64_t, NameLookup*> waiting_;
  uint64_t last_id_ = 0;
};

}  // namespace weir::upstream
