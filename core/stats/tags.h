// Which parts of a statistic's dotted name are not name but label: "cluster.api.upstream_rq_503" is upstream_rq of
// cluster "api" with response code 503. The rules are those that dashboards of the published API rely on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace weir::stats {

struct Tag {
  std::string name;
  std::string value;
};

// The name without what became tags, and the tags, innermost first.
struct Tagged {
  std::string name;
  std::vector<Tag> tags;
};

// The pattern of a tag that is found by these rules, with the published meaning of its groups: what of a full name is
// not name, and in it the value. Empty: there is no such tag. `tag`: as it is called here.
std::string pattern_of_tag(std::string_view tag);

// Whether Prometheus gives the label a meaning of its own: bounds of buckets, quantiles, what begins with two
// underscores.
bool is_reserved_label(std::string_view label);

// For a name of which nothing is known. Segments end at dots, so "cluster.a.b.upstream_cx_total" is cluster "a".
void extract_tags(std::string_view full_name, Tagged& out);
// For a group's statistic, whose thing may contain dots. `rest` is what follows the thing.
void extract_tags(std::string_view prefix, std::string_view tag_name, std::string_view thing, std::string_view rest,
                  Tagged& out);

}  // namespace weir::stats
