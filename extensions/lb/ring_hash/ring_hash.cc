#include "extensions/lb/ring_hash/ring_hash.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "core/base/xxhash.h"
#include "core/filter/registry.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"

// Deprecated fields are read on purpose: existing files have them.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace weir::extensions::ring_hash {

uint64_t murmur_hash(std::string_view text) noexcept {
  constexpr uint64_t kFactor = 0xc6a4a7935bd1e995;
  constexpr uint64_t kSeed = 0xc70f6907;
  uint64_t hash = kSeed ^ text.size() * kFactor;
  while (text.size() >= 8) {
    uint64_t word;
    std::memcpy(&word, text.data(), 8);
    word *= kFactor;
    word = (word ^ word >> 47) * kFactor;
    hash = (hash ^ word) * kFactor;
    text.remove_prefix(8);
  }
  if (!text.empty()) {
    uint64_t word = 0;
    std::memcpy(&word, text.data(), text.size());
    hash = (hash ^ word) * kFactor;
  }
  hash = (hash ^ hash >> 47) * kFactor;
  return hash ^ hash >> 47;
}

namespace {

class Ring final : public consistent::Table {
 public:
  Ring(const lb::BuildInput& input, const std::vector<consistent::Member>& members, const Config& config)
      : Table(input, members, config.consistent), places_(0, 0) {
    double least = 1;
    for (const consistent::Member& member : members) least = std::min(least, member.share);
    // So that the host with the smallest share has a whole number of places: all others then have one that fits theirs.
    const double scale =
        std::min(std::ceil(least * static_cast<double>(config.min_size)) / least, static_cast<double>(config.max_size));
    std::vector<std::pair<uint64_t, uint32_t>> ring;
    ring.reserve(static_cast<size_t>(std::ceil(scale)));
    double wanted = 0;
    std::string text;
    for (uint32_t place = 0; place < members.size(); ++place) {
      text = members[place].key;
      text += '_';
      const size_t stem = text.size();
      wanted += scale * members[place].share;
      uint64_t count = 0;
      for (; static_cast<double>(ring.size()) < wanted && ring.size() < config.max_size; ++count) {
        char number[20];
        text.resize(stem);
        text.append(number, std::to_chars(number, number + sizeof number, count).ptr);
        ring.emplace_back(config.murmur ? murmur_hash(text) : xxhash64(text), place);
      }
      least_ = place == 0 ? count : std::min(least_, count);
      most_ = std::max(most_, count);
    }
    std::sort(ring.begin(), ring.end());
    hashes_.reserve(ring.size());
    places_ = consistent::Places(ring.size(), members.size());
    for (const auto& [hash, place] : ring) {
      places_.set(hashes_.size(), place);
      hashes_.push_back(hash);
    }
  }

  void tell(std::span<uint64_t> figures) const override {
    figures[0] = hashes_.size();
    figures[1] = least_;
    figures[2] = most_;
  }

 private:
  size_t place_of(uint64_t hash) const noexcept override {
    const auto at = std::lower_bound(hashes_.begin(), hashes_.end(), hash);
    return places_.get(at != hashes_.end() ? static_cast<size_t>(at - hashes_.begin()) : 0);
  }

  std::vector<uint64_t> hashes_;  // in order
  consistent::Places places_;     // of each
  uint64_t least_ = 0, most_ = 0;
};

constexpr stats::Definition kGauges[] = {
    {"ring_hash_lb.size", stats::Type::kGauge},
    {"ring_hash_lb.min_hashes_per_host", stats::Type::kGauge},
    {"ring_hash_lb.max_hashes_per_host", stats::Type::kGauge},
};
using Of = lb::Figures::Of;
constexpr Of kOf[] = {Of::kSum, Of::kLeast, Of::kMost};
constexpr lb::Figures kFigures{{"cluster", "envoy_cluster_name", kGauges}, kOf};

}  // namespace

std::unique_ptr<const lb::Table> build(const lb::BuildInput& input, const Config& config) {
  return std::make_unique<Ring>(input, consistent::members_of(input, config.consistent), config);
}

}  // namespace weir::extensions::ring_hash

namespace weir::plugins {

void lb_ring_hash(filter::RegistryBuilder& registry) {
  using namespace extensions::ring_hash;
  using Proto = envoy::extensions::load_balancing_policies::ring_hash::v3::RingHash;
  auto policy = std::make_shared<lb::PolicyDescriptor>();
  policy->name = "envoy.load_balancing_policies.ring_hash";
  policy->type = "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash";
  policy->by_share = true;
  policy->figures = &kFigures;
  policy->make_config = [](const google::protobuf::Message& message) -> Result<lb::PolicyConfig> {
    const auto& proto = static_cast<const Proto&>(message);
    auto config = std::make_shared<Config>();
    config->murmur = proto.hash_function() == Proto::MURMUR_HASH_2;
    if (proto.has_minimum_ring_size()) config->min_size = proto.minimum_ring_size().value();
    if (proto.has_maximum_ring_size()) config->max_size = proto.maximum_ring_size().value();
    if (config->min_size == 0) return invalid("minimum_ring_size: must be at least 1");
    if (config->min_size > config->max_size) {
      return invalid("minimum_ring_size: is " + std::to_string(config->min_size) + ", more than maximum_ring_size, " +
                     std::to_string(config->max_size));
    }
    envoy::extensions::load_balancing_policies::common::v3::ConsistentHashingLbConfig consistent;
    consistent.set_use_hostname_for_hashing(proto.use_hostname_for_hashing());
    if (proto.has_hash_balance_factor())
      consistent.mutable_hash_balance_factor()->set_value(proto.hash_balance_factor().value());
    if (proto.has_consistent_hashing_lb_config()) {
      if (proto.use_hostname_for_hashing() || proto.has_hash_balance_factor()) {
        return invalid(
            "consistent_hashing_lb_config: says what use_hostname_for_hashing and hash_balance_factor say beside it; "
            "remove those, which are deprecated");
      }
      consistent = proto.consistent_hashing_lb_config();
    }
    config->consistent = extensions::consistent::read(consistent);
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
