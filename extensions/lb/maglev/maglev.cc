#include "extensions/lb/maglev/maglev.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>
#include <string>
#include <utility>

#include "core/base/xxhash.h"
#include "core/filter/registry.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"

namespace weir::extensions::maglev {
namespace {

class Table final : public consistent::Table {
 public:
  Table(const lb::BuildInput& input, const std::vector<consistent::Member>& members, const Config& config)
      : consistent::Table(input, members, config.consistent),
        size_(config.table_size),
        places_(config.table_size, members.size()) {
    struct Turn {
      uint64_t at, step;
      uint64_t entries = 0;
    };
    std::vector<Turn> turns;
    turns.reserve(members.size());
    double most_share = 0;
    for (const consistent::Member& member : members) {
      turns.push_back({xxhash64(member.key) % size_, xxhash64(member.key, 1) % (size_ - 1) + 1});
      most_share = std::max(most_share, member.share);
    }
    // The host with the largest share has a turn in every round, one with half of it in every second. By round, then in
    // the order of the hosts.
    using Next = std::pair<uint64_t, uint32_t>;
    std::priority_queue<Next, std::vector<Next>, std::greater<>> next;
    for (uint32_t place = 0; place < turns.size(); ++place) next.emplace(1, place);
    for (uint64_t filled = 0; filled < size_; ++filled) {
      const auto [round, place] = next.top();
      next.pop();
      Turn& turn = turns[place];
      while (!places_.is_free(turn.at)) turn.at = (turn.at + turn.step) % size_;
      places_.set(turn.at, place);
      const double due = std::ceil(static_cast<double>(++turn.entries) * most_share / members[place].share);
      next.emplace(std::max(round + 1, static_cast<uint64_t>(due)), place);
    }
    least_ = size_;
    for (const Turn& turn : turns) {
      least_ = std::min(least_, turn.entries);
      most_ = std::max(most_, turn.entries);
    }
  }

  void tell(std::span<uint64_t> figures) const override {
    figures[0] = least_;
    figures[1] = most_;
  }

 private:
  size_t place_of(uint64_t hash) const noexcept override { return places_.get(hash % size_); }

  const uint64_t size_;
  consistent::Places places_;
  uint64_t least_ = 0, most_ = 0;
};

constexpr stats::Definition kGauges[] = {
    {"maglev_lb.min_entries_per_host", stats::Type::kGauge},
    {"maglev_lb.max_entries_per_host", stats::Type::kGauge},
};
constexpr lb::Figures::Of kOf[] = {lb::Figures::Of::kLeast, lb::Figures::Of::kMost};
constexpr lb::Figures kFigures{{"cluster", "envoy_cluster_name", kGauges}, kOf};

bool is_prime(uint64_t number) {
  if (number < 2) return false;
  for (uint64_t divisor = 2; divisor * divisor <= number; ++divisor) {
    if (number % divisor == 0) return false;
  }
  return true;
}

// "65536 is not prime; nearest are 65521 and 65537"
std::string not_prime(uint64_t number) {
  uint64_t below = number, above = number;
  while (below > 2 && !is_prime(below)) --below;
  while (!is_prime(above)) ++above;
  return std::to_string(number) + " is not prime; " +
         (number < 2 ? "the first is " : "nearest are " + std::to_string(below) + " and ") + std::to_string(above);
}

}  // namespace

std::unique_ptr<const lb::Table> build(const lb::BuildInput& input, const Config& config) {
  return std::make_unique<Table>(input, consistent::members_of(input, config.consistent), config);
}

}  // namespace weir::extensions::maglev

namespace weir::plugins {

void lb_maglev(filter::RegistryBuilder& registry) {
  using namespace extensions::maglev;
  using Proto = envoy::extensions::load_balancing_policies::maglev::v3::Maglev;
  auto policy = std::make_shared<lb::PolicyDescriptor>();
  policy->name = "envoy.load_balancing_policies.maglev";
  policy->type = "envoy.extensions.load_balancing_policies.maglev.v3.Maglev";
  policy->by_share = true;
  policy->figures = &kFigures;
  policy->make_config = [](const google::protobuf::Message& message) -> Result<lb::PolicyConfig> {
    const auto& proto = static_cast<const Proto&>(message);
    auto config = std::make_shared<Config>();
    if (proto.has_table_size()) config->table_size = proto.table_size().value();
    if (!is_prime(config->table_size)) return invalid("table_size: " + not_prime(config->table_size));
    config->consistent = extensions::consistent::read(proto.consistent_hashing_lb_config());
    return lb::PolicyConfig{std::move(config), proto.has_locality_weighted_lb_config()};
  };
  policy->build = [](const lb::BuildInput& input, const void* config) {
    return build(input, config != nullptr ? *static_cast<const Config*>(config) : Config{});
  };
  auto name = policy->name;
  auto type = policy->type;
  registry.add(std::move(policy), name, type);
}

}  // namespace weir::plugins
