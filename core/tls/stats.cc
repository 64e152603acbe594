#include "core/tls/stats.h"

#include <string>

namespace weir::tls {
namespace {

using stats::Type;

constexpr stats::Definition kDefinitions[] = {
    {"ssl.connection_error", Type::kCounter},      {"ssl.handshake", Type::kCounter},
    {"ssl.session_reused", Type::kCounter},        {"ssl.no_certificate", Type::kCounter},
    {"ssl.fail_verify_no_cert", Type::kCounter},   {"ssl.fail_verify_error", Type::kCounter},
    {"ssl.fail_verify_san", Type::kCounter},       {"ssl.fail_verify_cert_hash", Type::kCounter},
    {"ssl.ocsp_staple_failed", Type::kCounter},    {"ssl.ocsp_staple_omitted", Type::kCounter},
    {"ssl.ocsp_staple_responses", Type::kCounter}, {"ssl.ocsp_staple_requests", Type::kCounter},
    {"ssl.handshake_deferred", Type::kCounter},
};

constexpr std::string_view kPrefixes[] = {"ssl.ciphers.", "ssl.versions.", "ssl.curves.", "ssl.sigalgs."};

}  // namespace

std::span<const stats::Definition> stat_definitions() { return kDefinitions; }

// What was counted so far: a number and its cell in one word, so that both are seen or neither.
struct Stats::Named {
  static constexpr size_t kMost = 32;  // more than the library knows of any kind
  std::atomic<uint64_t> places[static_cast<size_t>(Kind::kCount)][kMost] = {};
};

Stats::Stats(std::shared_ptr<stats::Group> group)
    : connection_error(group->counter(0)),
      handshake(group->counter(1)),
      session_reused(group->counter(2)),
      no_certificate(group->counter(3)),
      fail_verify_no_cert(group->counter(4)),
      fail_verify_error(group->counter(5)),
      fail_verify_san(group->counter(6)),
      fail_verify_cert_hash(group->counter(7)),
      ocsp_staple_failed(group->counter(8)),
      ocsp_staple_omitted(group->counter(9)),
      ocsp_staple_responses(group->counter(10)),
      ocsp_staple_requests(group->counter(11)),
      handshake_deferred(group->counter(12)),
      group_(std::move(group)),
      named_(std::make_unique<Named>()) {}

Stats::~Stats() = default;

void Stats::count(Kind kind, uint16_t id, std::string_view name) const {
  auto& places = named_->places[static_cast<size_t>(kind)];
  size_t free = 0;
  for (; free < Named::kMost; ++free) {
    const uint64_t place = places[free].load(std::memory_order_acquire);
    if (place == 0) break;
    if (place >> 32 == id) return stats::Counter(static_cast<uint32_t>(place)).inc();
  }
  std::string suffix(kPrefixes[static_cast<size_t>(kind)]);
  const stats::Counter counter = group_->store().dynamic_counter(*group_, suffix.append(name));
  counter.inc();
  const uint64_t filled = uint64_t{id} << 32 | counter.cell_index();
  while (free < Named::kMost) {
    uint64_t empty = 0;
    if (places[free].compare_exchange_strong(empty, filled, std::memory_order_acq_rel) || empty == filled) return;
    ++free;
  }
}

}  // namespace weir::tls
