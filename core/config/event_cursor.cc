#include "core/config/event_cursor.h"

#include <functional>

#include "core/config/suggest.h"

namespace weir::config {
namespace {

bool opens(EventKind kind) { return kind == EventKind::kMappingStart || kind == EventKind::kSequenceStart; }
bool closes(EventKind kind) { return kind == EventKind::kMappingEnd || kind == EventKind::kSequenceEnd; }

}  // namespace

void Tape::append(const Event& event) {
  items_.push_back(
      {event.kind, event.ignored, event.plain, event.anchor, event.place, text_.size(), event.value.size()});
  text_ += event.value;
}

Event Tape::at(size_t index) const {
  const Item& item = items_[index];
  Event out;
  out.kind = item.kind;
  out.ignored = item.ignored;
  out.plain = item.plain;
  out.anchor = item.anchor;
  out.place = item.place;
  out.value = std::string_view(text_).substr(item.text_begin, item.text_size);
  return out;
}

EventCursor::EventCursor(EventSource& source, std::string_view file, Diagnostics& diagnostics, size_t max_depth,
                         size_t alias_budget)
    : source_(source), file_(file), diagnostics_(diagnostics), max_depth_(max_depth), alias_budget_(alias_budget) {}

Event EventCursor::fail(Place place, std::string message, std::string hint) {
  failed_ = true;
  Diagnostic out;
  out.file = file_;
  out.line = static_cast<int>(place.line);
  out.column = static_cast<int>(place.column);
  out.message = message + "; " + hint;
  out.hint = std::move(hint);
  diagnostics_.add(std::move(out));
  return {};
}

// The next event of the file itself. Records it where an anchor is open.
Event EventCursor::live() {
  Event event = source_.next();
  if (event.kind == EventKind::kFailed) {
    failed_ = true;
    return event;
  }
  if (opens(event.kind) && depth_ >= max_depth_) {
    return fail(event.place, "more than " + std::to_string(max_depth_) + " levels inside each other",
                "is a bracket not closed?");
  }
  if (event.kind == EventKind::kAlias) {
    const auto known = anchor_names_.find(std::string(event.value));
    if (known == anchor_names_.end()) {
      // The word itself is not repeated: a password that begins with '*' and has no quotes around it is one.
      NearestName nearest(event.value);
      for (const auto& [name, anchor] : anchor_names_) nearest.offer(name);
      return fail(event.place, "this alias (a word with '*' in front) stands for nothing",
                  nearest.best().empty() ? "define it with '&' earlier in the file, or put the text in quotes"
                                         : "did you mean *" + std::string(nearest.best()) + "?");
    }
    if (anchors_[known->second].end == 0) {
      return fail(event.place, "*" + known->first + " stands inside of what it stands for",
                  "a configuration cannot contain itself");
    }
    event.anchor = static_cast<int32_t>(known->second);
  }
  const bool anchored = !event.anchor_name.empty();
  if (anchored) {
    if (tape_ == nullptr) {
      tape_ = std::make_shared<Tape>();
    }
    anchor_names_[std::string(event.anchor_name)] = anchors_.size();
    anchors_.push_back({tape_, tape_->size(), 0});
    if (opens(event.kind)) {
      open_.push_back({anchors_.size() - 1, depth_});
    }
  }
  if (tape_ != nullptr) {
    tape_->append(event);
  }
  if (opens(event.kind)) {
    ++depth_;
  } else if (closes(event.kind)) {
    --depth_;
    while (!open_.empty() && open_.back().depth == depth_) {
      anchors_[open_.back().anchor].end = tape_->size();
      open_.pop_back();
    }
  } else if (anchored) {
    anchors_.back().end = tape_->size();
  }
  if (open_.empty()) {
    tape_ = nullptr;
  }
  return event;
}

Event EventCursor::next() {
  for (;;) {
    if (failed_) {
      return {};
    }
    Event event;
    if (frames_.empty()) {
      event = live();
    } else {
      Frame& frame = frames_.back();
      if (frame.next == frame.end) {
        counted_frames_ -= frame.counted ? 1 : 0;
        frames_.pop_back();
        continue;
      }
      event = frame.tape->at(frame.next++);
      if (counted_frames_ > 0 && alias_budget_-- == 0) {
        return fail(event.place, "the aliases of this file stand for too much", "write out what is needed");
      }
    }
    if (event.kind != EventKind::kAlias) {
      digest(event);
      return event;
    }
    const Anchor& anchor = anchors_[static_cast<size_t>(event.anchor)];
    frames_.push_back({anchor.tape, anchor.begin, anchor.end, true});
    ++counted_frames_;
  }
}

void EventCursor::digest(const Event& event) {
  const uint64_t what = static_cast<uint64_t>(event.kind) | (event.ignored ? 0x100U : 0U) | (event.plain ? 0x200U : 0U);
  digest_ = (digest_ ^ std::hash<std::string_view>{}(event.value) ^ what << 32) * 0x9e3779b97f4a7c15U;
  digest_ ^= digest_ >> 29;
}

void EventCursor::skip(const Event& first) {
  size_t depth = opens(first.kind) ? 1 : 0;
  while (depth > 0) {
    const EventKind kind = next().kind;
    if (kind == EventKind::kFailed || kind == EventKind::kEnd) {
      return;
    }
    depth += opens(kind) ? 1 : 0;
    depth -= closes(kind) ? 1 : 0;
  }
}

void EventCursor::record(const Event& first, Tape& tape) {
  tape.append(first);
  size_t depth = opens(first.kind) ? 1 : 0;
  while (depth > 0) {
    const Event event = next();
    if (event.kind == EventKind::kFailed || event.kind == EventKind::kEnd) {
      return;
    }
    depth += opens(event.kind) ? 1 : 0;
    depth -= closes(event.kind) ? 1 : 0;
    tape.append(event);
  }
}

void EventCursor::replay(std::shared_ptr<const Tape> tape, size_t begin, size_t end, bool merged) {
  frames_.push_back({std::move(tape), begin, end, merged});
  counted_frames_ += merged ? 1 : 0;
}

}  // namespace weir::config
