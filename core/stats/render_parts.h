// What the renderers have in common. Private to this folder.
#pragma once

#include <charconv>
#include <cmath>
#include <string>
#include <string_view>

#include "core/stats/render.h"

namespace weir::stats {

inline void append_number(std::string& out, uint64_t number) {
  char buffer[20];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

inline void append_number(std::string& out, int64_t number) {
  char buffer[20];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr);
}

// The shortest form without an exponent; `none` for NaN.
inline void append_number(std::string& out, double number, std::string_view none) {
  if (std::isnan(number)) {
    out += none;
    return;
  }
  char buffer[64];
  out.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed).ptr);
}

inline void append_value(std::string& out, const Sample& sample) {
  if (sample.type == Type::kGauge) {
    append_number(out, static_cast<int64_t>(sample.value));
  } else {
    append_number(out, sample.value);
  }
}

template <class Visit>
void visit_chosen(const Frozen& store, const RenderOptions& options, Visit&& visit) {
  store.visit([&](const Sample& sample) {
    if (options.used_only && !sample.used) return;
    if (options.type && *options.type != sample.type) return;
    if (options.filter && !options.filter(sample.name)) return;
    visit(sample);
  });
}

}  // namespace weir::stats
