#include "core/config/stats_config.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/config/diagnostics.h"
#include "core/config/shared_messages.h"
#include "core/match/regex.h"
#include "core/match/string_matcher.h"
#include "envoy/config/metrics/v3/stats.pb.h"

namespace weir::config {
namespace {

namespace metrics_v3 = envoy::config::metrics::v3;

// --- Which there are -----------------------------------------------------------------------------------------------

std::function<bool(std::string_view)> read_stats_matcher(const metrics_v3::StatsMatcher& proto, const FieldReport& at) {
  using Proto = metrics_v3::StatsMatcher;
  if (proto.stats_matcher_case() == Proto::kRejectAll) {
    if (!proto.reject_all()) return nullptr;
    return [](std::string_view) { return true; };
  }
  const bool inclusive = proto.stats_matcher_case() == Proto::kInclusionList;
  const auto& list = inclusive ? proto.inclusion_list() : proto.exclusion_list();
  const FieldReport here = at.below(inclusive ? "inclusion_list" : "exclusion_list");
  auto patterns = std::make_shared<std::vector<match::StringMatcher>>();
  for (int i = 0; i < list.patterns_size(); ++i) {
    if (auto one = translate(list.patterns(i), here.item("patterns", i))) patterns->push_back(std::move(*one));
  }
  return [patterns = std::move(patterns), inclusive](std::string_view name) {
    const bool found =
        std::any_of(patterns->begin(), patterns->end(), [name](const auto& one) { return one.matches(name); });
    return found != inclusive;
  };
}

// --- What their labels are -----------------------------------------------------------------------------------------

struct TagRule {
  std::string name;
  match::RegexGroups pattern;
};

struct StatTags {
  bool by_default = true;  // what weir finds by itself
  std::vector<TagRule> rules;
  std::vector<stats::Tag> fixed;

  void apply(std::string_view name, stats::Tagged& tagged) const;
};

// Where in the name without tags a piece of the full name is: what went out of it is before the piece or behind it, or
// the piece itself went with it (npos).
size_t place_of_piece(std::string_view name, size_t begin, std::string_view piece, std::string_view tagged) {
  const size_t behind = name.size() - begin;
  if (tagged.size() >= behind && tagged.substr(tagged.size() - behind).starts_with(piece))
    return tagged.size() - behind;
  if (begin < tagged.size() && tagged.substr(begin).starts_with(piece)) return begin;
  return tagged.find(piece);
}

// As published: every pattern looks at the full name, and what any of them takes out is no part of the name any more.
void StatTags::apply(std::string_view name, stats::Tagged& tagged) const {
  if (!by_default) {
    tagged.name = name;
    tagged.tags.clear();
  }
  std::string out(tagged.name);
  std::vector<bool> gone;  // of the characters of the name
  for (const TagRule& rule : rules) {
    std::string_view groups[match::RegexGroups::kMost];
    if (!rule.pattern.find(name, groups) || groups[0].data() == nullptr) continue;
    const std::string_view value = rule.pattern.groups() > 1 ? groups[1] : groups[0];
    tagged.tags.push_back({rule.name, std::string(value)});
    if (groups[0].empty()) continue;
    const auto begin = static_cast<size_t>(groups[0].data() - name.data());
    const size_t at = place_of_piece(name, begin, groups[0], out);
    if (at == std::string::npos) continue;
    gone.resize(out.size());
    std::fill_n(gone.begin() + static_cast<ptrdiff_t>(at), groups[0].size(), true);
  }
  if (!gone.empty()) {
    tagged.name.clear();
    for (size_t i = 0; i < out.size(); ++i) {
      if (!gone[i]) tagged.name += out[i];
    }
  }
  tagged.tags.insert(tagged.tags.end(), fixed.begin(), fixed.end());
}

// Labels and weir's own tags have no dots.
std::string as_label(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '.', '_');
  return out;
}

std::function<void(std::string_view, stats::Tagged&)> read_stats_tags(const metrics_v3::StatsConfig& proto,
                                                                      const FieldReport& at,
                                                                      std::span<const stats::Tag> of_all) {
  using Proto = metrics_v3::TagSpecifier;
  auto tags = std::make_shared<StatTags>();
  tags->by_default = !proto.has_use_all_default_tags() || proto.use_all_default_tags().value();
  if (tags->by_default && proto.stats_tags().empty()) return nullptr;
  std::map<std::string, std::string> known;  // and whose they are
  for (const stats::Tag& tag : of_all) known.emplace(as_label(tag.name), "that of --stats-tag");
  for (int i = 0; i < proto.stats_tags_size(); ++i) {
    const Proto& one = proto.stats_tags(i);
    const FieldReport here = at.item("stats_tags", i);
    const std::string label = as_label(one.tag_name());
    if (one.tag_name().empty()) here.error_at("tag_name", "must not be empty");
    if (stats::is_reserved_label(label)) {
      here.error_at("tag_name",
                    in_quotes(one.tag_name()) + " is a label that Prometheus gives a meaning; take another name");
    }
    const std::string own = stats::pattern_of_tag(label);
    if (tags->by_default && !own.empty()) {
      here.error_at("tag_name", in_quotes(one.tag_name()) +
                                    " is one of the tags that are always there; take another name, or say all that you "
                                    "want and use_all_default_tags: false");
    }
    const auto [other, fresh] = known.emplace(label, "that of stats_tags[" + std::to_string(i) + "]");
    if (!fresh) here.error_at("tag_name", in_quotes(one.tag_name()) + " is " + other->second + ", too");
    if (one.tag_value_case() == Proto::kFixedValue) {
      tags->fixed.push_back({one.tag_name(), one.fixed_value()});
      continue;
    }
    const std::string& pattern = one.regex().empty() ? own : one.regex();
    if (pattern.empty()) {
      here.error("needs a regex or a fixed_value: " + in_quotes(one.tag_name()) + " is no tag that weir knows");
      continue;
    }
    auto compiled = match::RegexGroups::compile(pattern);
    if (compiled.ok()) {
      tags->rules.push_back({one.tag_name(), std::move(*compiled)});
    } else {
      here.error_at("regex", message_of(compiled.status()));
    }
  }
  return [tags = std::move(tags)](std::string_view name, stats::Tagged& tagged) { tags->apply(name, tagged); };
}

// --- How histograms are shown --------------------------------------------------------------------------------------

struct BucketRule {
  match::StringMatcher match;
  std::vector<double> bounds;
};

std::function<std::span<const double>(std::string_view)> read_buckets(const metrics_v3::StatsConfig& proto,
                                                                      const FieldReport& at) {
  auto rules = std::make_shared<std::vector<BucketRule>>();
  for (int i = 0; i < proto.histogram_bucket_settings_size(); ++i) {
    const auto& one = proto.histogram_bucket_settings(i);
    auto match = translate(one.match(), at.item("histogram_bucket_settings", i).below("match"));
    if (!match) continue;
    std::vector<double> bounds(one.buckets().begin(), one.buckets().end());
    std::sort(bounds.begin(), bounds.end());
    rules->push_back({std::move(*match), std::move(bounds)});
  }
  if (rules->empty()) return nullptr;
  return [rules = std::move(rules)](std::string_view name) -> std::span<const double> {
    for (const BucketRule& rule : *rules) {
      if (rule.match.matches(name)) return rule.bounds;
    }
    return {};
  };
}

}  // namespace

stats::Rules translate_stats_config(const metrics_v3::StatsConfig& proto, const FieldReport& at,
                                    std::span<const stats::Tag> of_all) {
  stats::Rules rules;
  if (proto.has_stats_matcher())
    rules.leaves_out = read_stats_matcher(proto.stats_matcher(), at.below("stats_matcher"));
  rules.tag = read_stats_tags(proto, at, of_all);
  rules.bounds = read_buckets(proto, at);
  return rules;
}

}  // namespace weir::config
