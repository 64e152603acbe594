#include "core/server/carried_stats.h"

#include <charconv>
#include <vector>

namespace weir::server {
namespace {

constexpr char kField = '\x1f';
constexpr char kLine = '\n';

bool can_be_sent(const stats::Sample& sample) {
  const auto plain = [](std::string_view text) {
    return text.find(kField) == std::string_view::npos && text.find(kLine) == std::string_view::npos;
  };
  bool plain_tags = true;
  for (const stats::Tag& tag : sample.tags) plain_tags = plain_tags && plain(tag.name) && plain(tag.value);
  return plain_tags && plain(sample.name) && plain(sample.tagged);
}

std::string line_of(const stats::Sample& sample, uint64_t value) {
  std::string line(sample.name);
  (line += kField) += sample.tagged;
  (line += kField) += std::to_string(value);
  for (const stats::Tag& tag : sample.tags) {
    (line += kField) += tag.name;
    (line += kField) += tag.value;
  }
  return line += kLine;
}

// Lines of one kind, a message whenever there are enough, and what was sent with them.
class Batch {
 public:
  Batch(Link& link, Duration wait, std::string_view kind, std::map<std::string, uint64_t>& sent)
      : link_(link), wait_(wait), kind_(kind), sent_(sent) {}
  // `value_sent`: what has been told with it.
  bool add(const stats::Sample& sample, uint64_t value, uint64_t value_sent) {
    std::string line = line_of(sample, value);
    if (line.size() > Link::kMaxText) return true;
    if (text_.size() + line.size() > Link::kMaxText && !flush()) return false;
    text_ += line;
    pending_.emplace_back(sample.name, value_sent);
    return true;
  }
  bool flush() {
    if (text_.empty()) return true;
    if (!link_.send(kind_, text_, -1, wait_)) return false;
    for (auto& [name, value] : pending_) sent_[std::move(name)] = value;
    pending_.clear();
    text_.clear();
    return true;
  }

 private:
  Link& link_;
  const Duration wait_;
  const std::string_view kind_;
  std::map<std::string, uint64_t>& sent_;
  std::string text_;
  std::vector<std::pair<std::string, uint64_t>> pending_;
};

}  // namespace

bool adds_up(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return last.ends_with("_active") && (last.starts_with("downstream_") || last.starts_with("upstream_"));
}

bool StatsSender::send(Link& link, Duration wait) {
  Batch counters(link, wait, "counters", counters_), gauges(link, wait, "gauges", gauges_);
  bool taken = true;
  store_.visit([&](const stats::Sample& sample) {
    const bool counter = sample.type == stats::Type::kCounter;
    if (!taken || (!counter && (sample.type != stats::Type::kGauge || !adds_up(sample.name)))) return;
    const auto& sent = counter ? counters_ : gauges_;
    const auto at = sent.find(std::string(sample.name));
    const uint64_t before = at != sent.end() ? at->second : 0;
    // Those before this one tell their own gauges to whoever serves.
    const uint64_t value = counter ? sample.value : sample.value - sample.carried;
    if (value == before || !can_be_sent(sample)) return;
    taken = counter ? counters.add(sample, value - before, value) : gauges.add(sample, value, value);
  });
  return taken && counters.flush() && gauges.flush();
}

bool receive_stats(const LinkMessage& message, uint64_t source, stats::Store& store) {
  const bool counters = message.kind == "counters";
  if (!counters && message.kind != "gauges") return false;
  for (std::string_view rest = message.text; !rest.empty();) {
    std::string_view line = rest.substr(0, rest.find(kLine));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    std::vector<std::string_view> parts;
    while (true) {
      const size_t end = line.find(kField);
      parts.push_back(line.substr(0, end));
      if (end == std::string_view::npos) break;
      line.remove_prefix(end + 1);
    }
    if (parts.size() < 3 || parts.size() % 2 == 0 || parts[0].empty()) continue;
    uint64_t value = 0;
    std::from_chars(parts[2].data(), parts[2].data() + parts[2].size(), value);
    std::vector<stats::Tag> tags;
    for (size_t i = 3; i + 1 < parts.size(); i += 2) tags.push_back({std::string(parts[i]), std::string(parts[i + 1])});
    if (counters) {
      store.carry_counter(parts[0], parts[1], std::move(tags), value);
    } else {
      store.carry_gauge(source, parts[0], parts[1], std::move(tags), static_cast<int64_t>(value));
    }
  }
  return true;
}

}  // namespace weir::server
