#include "core/server/aggregates.h"

#include <algorithm>
#include <string_view>

#include "core/config/report.h"
#include "core/upstream/aggregate.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"

namespace weir::server {

using config::Report;
using Resources = envoy::config::bootstrap::v3::Bootstrap::StaticResources;

namespace {

class Circles {
 public:
  // `translated`: of all that stand for others. (They are never among those that stay as they are.)
  Circles(const Resources& resources, const std::vector<config::ClusterTranslation>& translated, Report& report)
      : resources_(resources), report_(report), clusters_(static_cast<size_t>(resources.clusters_size())) {
    for (const config::ClusterTranslation& one : translated) {
      if (!one.aggregates.empty()) clusters_[static_cast<size_t>(one.index)].members = &one.aggregates;
    }
    for (size_t i = 0; i < clusters_.size(); ++i) index_.try_emplace(name(i), i);
  }
  void find() {
    for (size_t i = 0; i < clusters_.size(); ++i) {
      if (clusters_[i].members != nullptr && clusters_[i].state == State::kNew) visit(i);
    }
  }

 private:
  enum class State : uint8_t { kNew, kOpen, kDone };
  struct Known {
    const std::vector<std::string>* members = nullptr;  // null: it stands for itself alone
    State state = State::kNew;
  };
  const std::string& name(size_t cluster) const { return resources_.clusters(static_cast<int>(cluster)).name(); }
  void visit(size_t cluster) {
    clusters_[cluster].state = State::kOpen;
    way_.push_back(cluster);
    const std::vector<std::string>& members = *clusters_[cluster].members;
    for (size_t i = 0; i < members.size(); ++i) {
      const auto at = index_.find(members[i]);
      if (at == index_.end()) continue;
      const std::string path = "static_resources.clusters[" + std::to_string(cluster) +
                               "].cluster_type.typed_config.clusters[" + std::to_string(i) + "]";
      const Known& member = clusters_[at->second];
      if (config::finds_hosts(resources_.clusters(static_cast<int>(at->second)))) {
        report_.error(path, "is of type ORIGINAL_DST, which has no hosts before requests come to it");
      } else if (member.state == State::kOpen) {
        report_.error(path, "is a circle: " + circle(at->second));
      } else if (way_.size() > upstream::Aggregate::kDeepest) {
        report_.error(path, "is too deep: clusters may stand for clusters that stand for others " +
                                std::to_string(upstream::Aggregate::kDeepest) + " times");
      } else if (member.state == State::kNew && member.members != nullptr) {
        visit(at->second);
      }
    }
    way_.pop_back();
    clusters_[cluster].state = State::kDone;
  }
  // "a -> b -> a"
  std::string circle(size_t from) const {
    std::string text;
    for (auto at = std::find(way_.begin(), way_.end(), from); at != way_.end(); ++at) text += name(*at) + " -> ";
    return text + name(from);
  }

  const Resources& resources_;
  Report& report_;
  std::vector<Known> clusters_;
  std::map<std::string_view, size_t> index_;
  std::vector<size_t> way_;
};

}  // namespace

void find_circles(const Resources& resources, const std::vector<config::ClusterTranslation>& translated,
                  Report& report) {
  const bool any =
      std::any_of(translated.begin(), translated.end(), [](const auto& one) { return !one.aggregates.empty(); });
  if (any) Circles(resources, translated, report).find();
}

void follow_aggregates(const std::vector<config::ClusterTranslation>& translated,
                       std::map<std::string, std::set<std::string>>& leads_to) {
  std::map<std::string_view, const std::vector<std::string>*> members;
  for (const config::ClusterTranslation& one : translated) {
    if (!one.aggregates.empty()) members.emplace(one.spec.name, &one.aggregates);
  }
  if (members.empty()) return;
  for (auto& [listener, clusters] : leads_to) {
    std::vector<std::string> left(clusters.begin(), clusters.end());
    while (!left.empty()) {
      const auto at = members.find(left.back());
      left.pop_back();
      if (at == members.end()) continue;
      for (const std::string& member : *at->second) {
        if (clusters.insert(member).second) left.push_back(member);
      }
    }
  }
}

}  // namespace weir::server
