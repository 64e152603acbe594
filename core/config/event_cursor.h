// Events with YAML's aliases replaced by what they stand for, and a way to keep a part of the file and read it again
// (to find @type when it does not come first, to put merge keys behind the others).
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/config/diagnostics.h"
#include "core/config/event.h"

namespace weir::config {

// Recorded events with their texts.
class Tape {
 public:
  void append(const Event& event);
  Event at(size_t index) const;
  size_t size() const { return items_.size(); }

 private:
  struct Item {
    EventKind kind;
    bool ignored;
    bool plain;
    int32_t anchor;
    Place place;
    size_t text_begin;
    size_t text_size;
  };
  std::vector<Item> items_;
  std::string text_;
};

class EventCursor {
 public:
  // At most `alias_budget` events come out of aliases and merges: a few lines of nested aliases can stand for billions.
  // Reading stops where the file is deeper than `max_depth`: libyaml's time is quadratic in it.
  EventCursor(EventSource& source, std::string_view file, Diagnostics& diagnostics, size_t max_depth,
              size_t alias_budget);

  Event next();
  // The node that begins with `first` (which next() gave), up to its end.
  void skip(const Event& first);
  void record(const Event& first, Tape& tape);
  // What next() gives before it goes on. `merged`: what a `<<` inside of a merge has brought; it counts like what
  // comes out of an alias, because such merges are kept again at every level.
  void replay(std::shared_ptr<const Tape> tape, size_t begin, size_t end, bool merged = false);
  // A digest of all events since it was begun: two parts of files with the same digest say the same.
  void begin_digest(const Event& first) {
    digest_ = 0;
    digest(first);
  }
  uint64_t digest() const { return digest_; }
  // The text could not be read to its end.
  bool failed() const { return failed_; }

 private:
  struct Frame {
    std::shared_ptr<const Tape> tape;
    size_t next;
    size_t end;
    bool counted;  // comes out of an alias or a merge
  };
  struct Anchor {
    std::shared_ptr<Tape> tape;
    size_t begin;
    size_t end;  // 0 while the node is still being read
  };
  struct OpenAnchor {
    size_t anchor;
    size_t depth;
  };

  Event live();
  void digest(const Event& event);
  Event fail(Place place, std::string message, std::string hint);

  EventSource& source_;
  std::string file_;
  Diagnostics& diagnostics_;
  size_t max_depth_;
  size_t alias_budget_;
  size_t counted_frames_ = 0;
  bool failed_ = false;
  std::vector<Frame> frames_;
  std::vector<Anchor> anchors_;
  std::unordered_map<std::string, size_t> anchor_names_;
  std::vector<OpenAnchor> open_;
  std::shared_ptr<Tape> tape_;  // of the outermost open anchor
  size_t depth_ = 0;
  uint64_t digest_ = 0;
};

}  // namespace weir::config
