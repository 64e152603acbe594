#include "core/upstream/name_lookup.h"

#include <algorithm>
#include <utility>

#include "core/http/chars.h"
#include "core/http/url.h"
#include "core/upstream/lane_clusters.h"

namespace weir::upstream {

const char kWantedNameKey = 0;

bool read_wanted_name(std::string_view authority, uint16_t default_port, Arena& arena, WantedName& out) {
  http::HostPort parts;
  if (!http::is_valid_authority(authority) || !http::split_host_port(authority, parts)) return false;
  out.port = parts.port.empty() ? default_port : http::port_number(parts.port);
  if (out.port == 0) return false;
  std::string_view host = parts.host;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  auto* text = static_cast<char*>(arena.allocate(host.size()));
  std::transform(host.begin(), host.end(), text, http::to_lower);
  out.host = {text, host.size()};
  out.key = arena.concat(out.host, ":", arena.number(out.port));
  return true;
}

void NameLookup::find(event::Lane& lane, std::string_view cache, const WantedName& name) {
  WEIR_ASSERT(!active());
  LaneNames& names = LaneClusters::of(lane).names();
  names_ = &names;
  id_ = ++names.last_id_;
  names.waiting_.emplace(id_, this);
  const auto tell = [back = &lane, id = id_](NameOutcome outcome) {
    back->post([back, id, outcome] {
      if (LaneClusters* there = LaneClusters::find_on(*back)) there->names().answer(id, outcome);
    });
  };
  if (lane.siblings().empty()) {
    tell(NameOutcome::kNoName);
    return;
  }
  event::Lane& main = *lane.siblings().front();
  main.post([&main, tell, cache = std::string(cache), host = std::string(name.host), port = name.port] {
    auto* service = static_cast<NameService*>(main.local(event::LocalKey::kNames));
    if (service == nullptr) {
      tell(NameOutcome::kNoName);
    } else {
      service->find(cache, host, port, tell);
    }
  });
}

void NameLookup::cancel() {
  if (!active()) return;
  names_->waiting_.erase(std::exchange(id_, 0));
}

LaneNames::~LaneNames() {
  for (auto& [id, lookup] : waiting_) lookup->id_ = 0;
}

void LaneNames::answer(uint64_t id, NameOutcome outcome) {
  const auto at = waiting_.find(id);
  if (at == waiting_.end()) return;
  NameLookup& lookup = *at->second;
  waiting_.erase(at);
  lookup.id_ = 0;
  lookup.on_name(outcome);
}

}  // namespace weir::upstream
