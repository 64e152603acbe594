// Where each field of a loaded message stands in its file, so that a check made much later can still point there.
// 16 bytes a field; looked up only when something is wrong, so finding walks and building is what is fast. Lists may be
// long and every item wrong: their items are listed when one is looked for. For one thread, looking up too.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/message_path.h"

namespace weir::config {

struct Place {
  uint32_t line = 0;  // from 1
  uint32_t column = 0;
};

struct Position {
  std::string_view file;  // lives as long as the index
  int line = 0;           // 0: not known
  int column = 0;
  bool exact = false;  // false: the place of the nearest parent that the file has
};

class PositionIndex {
 public:
  // A path as in Diagnostic::path. After files were merged the items of a list count through all of them, and of a
  // value that is in several the last counts, as in the merged message.
  Position find(std::string_view path) const;

  // Building. Everything entered is left again, in the order of the file.
  // `start`: the place of the whole; line 0 for a file without lines.
  void begin_file(std::string_view name, Place start = {1, 1});
  void enter_field(std::string_view name, Place place) { enter(Kind::kName, intern(name), place); }
  void enter_key(std::string_view key, Place place) { enter(Kind::kName, intern(key), place); }
  void enter_item(uint32_t index, Place place) { enter(Kind::kItem, index, place); }
  void leave();
  std::string current_path() const;  // of what was entered and not left
  // What was entered last stands beside another field of its oneof, which excludes it.
  void note_excluded();
  const std::vector<std::string>& excluded() const { return excluded_; }  // their paths, the first kMostExcluded

  // A digest of the text of the item that was entered last, kept for the parts of a configuration that are replaced one
  // by one.
  void set_digest(uint64_t digest);
  // Those of the first `count` items of a list; 0: not known, or more than one file was read.
  std::vector<uint64_t> digests_of(std::string_view list, size_t count) const;

  size_t size() const { return entries_.size(); }
  size_t memory_bytes() const;

 private:
  static constexpr size_t kMostExcluded = 100;
  enum class Kind : uint32_t { kName, kItem, kRoot };
  struct Entry {
    uint32_t label;  // of a name its number in names_, of an item its index, of a root its number in files_
    uint32_t end;    // one past the last entry inside this one
    uint32_t line;
    uint32_t column : 30;
    uint32_t kind : 2;
  };

  struct Digest {
    uint32_t list;  // its number in digested_
    uint32_t item;
    uint64_t digest;
  };

  void enter(Kind kind, uint32_t label, Place place);
  std::string path_of_open(size_t count) const;
  uint32_t intern(std::string_view name);
  const std::vector<uint32_t>& items_of(uint32_t entry) const;

  std::vector<Entry> entries_;  // parents before children, as in the file
  std::vector<uint32_t> open_;
  std::vector<std::string> files_;
  std::vector<const std::string*> names_;
  std::unordered_map<std::string, uint32_t> numbers_;
  std::vector<std::pair<uint32_t, std::string>> digested_;  // lists with digests: entry and path
  std::vector<std::string> excluded_;
  std::vector<Digest> digests_;                                        // as they were set
  mutable std::unordered_map<uint32_t, std::vector<uint32_t>> items_;  // of a list's entry, those of its items
};

// The path less its last step.
std::string_view parent_path(std::string_view path);
// The front of the path up to the first step that the file lacks; empty: it has all of it. The path itself if there is
// no file.
std::string_view first_absent(const PositionIndex& positions, std::string_view path);

}  // namespace weir::config
