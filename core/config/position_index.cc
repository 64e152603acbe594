#include "core/config/position_index.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/base/assert.h"

namespace weir::config {
namespace {

// One step of a path: a name or an index.
struct Step {
  std::string name;
  uint32_t item = 0;
  bool is_item = false;
};

// Takes the next step off `path`; nothing at the end or where it is not a path.
std::optional<Step> take_step(std::string_view& path) {
  Step step;
  if (path.empty()) {
    return std::nullopt;
  }
  if (path.substr(0, 2) == "[\"") {
    size_t i = 2;
    for (; i < path.size() && path[i] != '"'; ++i) {
      if (path[i] == '\\' && i + 1 < path.size()) {
        ++i;
      }
      step.name += path[i];
    }
    path.remove_prefix(std::min(path.size(), i + 2));
    return step;
  }
  if (path[0] == '[') {
    const auto [end, failed] = std::from_chars(path.data() + 1, path.data() + path.size(), step.item);
    if (failed != std::errc()) {
      return std::nullopt;
    }
    step.is_item = true;
    path.remove_prefix(std::min(path.size(), static_cast<size_t>(end - path.data()) + 1));
    return step;
  }
  if (path[0] == '.') {
    path.remove_prefix(1);
  }
  const size_t end = std::min(path.find_first_of(".["), path.size());
  step.name = path.substr(0, end);
  path.remove_prefix(end);
  return step;
}

}  // namespace

std::string_view parent_path(std::string_view path) {
  size_t last = 0;
  for (std::string_view rest = path; !rest.empty();) {
    last = path.size() - rest.size();
    if (!take_step(rest)) {
      break;
    }
  }
  return path.substr(0, last);
}

std::string_view first_absent(const PositionIndex& positions, std::string_view path) {
  if (positions.size() == 0) return path;  // of what has no text nothing more is known
  std::string_view absent;
  for (std::string_view at = path; !at.empty() && !positions.find(at).exact; at = parent_path(at)) absent = at;
  return absent;
}

void PositionIndex::begin_file(std::string_view name, Place start) {
  open_.clear();
  files_.emplace_back(name);
  enter(Kind::kRoot, static_cast<uint32_t>(files_.size() - 1), start);
}

void PositionIndex::set_digest(uint64_t digest) {
  WEIR_ASSERT(open_.size() > 1 && entries_[open_.back()].kind == static_cast<uint32_t>(Kind::kItem));
  const uint32_t list = open_[open_.size() - 2];
  if (digested_.empty() || digested_.back().first != list) {
    digested_.emplace_back(list, path_of_open(open_.size() - 1));
  }
  digests_.push_back({static_cast<uint32_t>(digested_.size() - 1), entries_[open_.back()].label, digest});
}

std::vector<uint64_t> PositionIndex::digests_of(std::string_view list, size_t count) const {
  std::vector<uint64_t> out(count, 0);
  if (files_.size() != 1) {
    return out;
  }
  for (const Digest& one : digests_) {
    if (one.item < count && digested_[one.list].second == list) {
      out[one.item] = one.digest;
    }
  }
  return out;
}

void PositionIndex::enter(Kind kind, uint32_t label, Place place) {
  const auto number = static_cast<uint32_t>(entries_.size());
  entries_.push_back(
      {label, number + 1, place.line, std::min(place.column, (1U << 30) - 1), static_cast<uint32_t>(kind)});
  open_.push_back(number);
  items_.clear();
}

void PositionIndex::leave() {
  const uint32_t closed = open_.back();
  open_.pop_back();
  entries_[closed].end = static_cast<uint32_t>(entries_.size());
  if (!open_.empty()) {
    // The root is never left: it grows with what is in it.
    entries_[open_.front()].end = entries_[closed].end;
  }
}

void PositionIndex::note_excluded() {
  if (excluded_.size() < kMostExcluded) excluded_.push_back(current_path());
}

std::string PositionIndex::current_path() const { return path_of_open(open_.size()); }

std::string PositionIndex::path_of_open(size_t count) const {
  std::string path;
  for (size_t i = 0; i < count; ++i) {
    const Entry& entry = entries_[open_[i]];
    if (entry.kind == static_cast<uint32_t>(Kind::kName)) {
      append_path_name(path, *names_[entry.label]);
    } else if (entry.kind == static_cast<uint32_t>(Kind::kItem)) {
      append_path_item(path, entry.label);
    }
  }
  return path;
}

uint32_t PositionIndex::intern(std::string_view name) {
  // The key is built twice for a new name only; short field names do not allocate.
  const auto [at, added] = numbers_.try_emplace(std::string(name), static_cast<uint32_t>(names_.size()));
  if (added) {
    names_.push_back(&at->first);
  }
  return at->second;
}

const std::vector<uint32_t>& PositionIndex::items_of(uint32_t entry) const {
  const auto [at, fresh] = items_.try_emplace(entry);
  if (fresh) {
    for (uint32_t i = entry + 1; i < entries_[entry].end; i = entries_[i].end) {
      if (entries_[i].kind == static_cast<uint32_t>(Kind::kItem)) {
        at->second.push_back(i);
      }
    }
  }
  return at->second;
}

Position PositionIndex::find(std::string_view path) const {
  // One candidate per file that has this far of the path.
  struct Candidate {
    uint32_t entry;
    std::string_view file;
  };
  std::vector<Candidate> candidates;
  for (uint32_t i = 0; i < entries_.size(); i = entries_[i].end) {
    candidates.push_back({i, files_[entries_[i].label]});
  }
  if (candidates.empty()) {
    return {};
  }
  bool exact = true;
  while (const auto step = take_step(path)) {
    std::vector<Candidate> next;
    uint32_t skip = step->item;
    uint32_t name = UINT32_MAX;
    if (!step->is_item) {
      const auto known = numbers_.find(step->name);
      name = known == numbers_.end() ? UINT32_MAX : known->second;
    }
    for (const Candidate& parent : candidates) {
      if (step->is_item) {
        const std::vector<uint32_t>& items = items_of(parent.entry);
        if (skip < items.size()) {
          next.push_back({items[skip], parent.file});
          break;
        }
        skip -= static_cast<uint32_t>(items.size());
        continue;
      }
      for (uint32_t i = parent.entry + 1; i < entries_[parent.entry].end; i = entries_[i].end) {
        if (entries_[i].kind != static_cast<uint32_t>(Kind::kItem) && entries_[i].label == name) {
          next.push_back({i, parent.file});
          break;
        }
      }
    }
    if (next.empty()) {
      exact = false;
      break;
    }
    candidates = std::move(next);
  }
  const Candidate& last = candidates.back();
  const Entry& entry = entries_[last.entry];
  return {last.file, static_cast<int>(entry.line), static_cast<int>(entry.column), exact};
}

size_t PositionIndex::memory_bytes() const {
  size_t names = 0;
  for (const std::string* name : names_) {
    names += name->size() + 64;
  }
  return entries_.capacity() * sizeof(Entry) + names;
}

}  // namespace weir::config
