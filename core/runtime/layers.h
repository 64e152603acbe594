// What the layers of the runtime say, and what comes out of them. [main]
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/runtime/runtime.h"

namespace weir::runtime {

// A value as a layer has it.
struct Entry {
  std::string text;  // as written: what admin shows
  Value value;
};
using Entries = std::map<std::string, Entry, std::less<>>;

struct Layer {
  std::string name;
  bool admin = false;  // the one that operators write to
  Entries entries;
};

class Layers {
 public:
  // At most one admin layer; its overrides stay over the change.
  void set(std::vector<Layer> layers);
  // False: there is no admin layer. An empty text removes the override.
  bool override_value(std::string_view key, Entry entry);
  bool has_admin_layer() const { return admin() != nullptr; }

  const std::vector<Layer>& layers() const { return layers_; }
  size_t key_count() const;  // keys that some layer has
  size_t override_count() const;
  // The last layer that has the key with a text; nullptr if none has.
  const Entry* final_entry(std::string_view key) const;
  // Of every key that was ever asked for.
  std::unique_ptr<const Snapshot> snapshot() const;

 private:
  Layer* admin();
  const Layer* admin() const { return const_cast<Layers*>(this)->admin(); }
  std::vector<Layer> layers_;
};

}  // namespace weir::runtime
