#include "core/runtime/layers.h"

#include <set>
#include <utility>

namespace weir::runtime {

Layer* Layers::admin() {
  for (Layer& layer : layers_) {
    if (layer.admin) return &layer;
  }
  return nullptr;
}

void Layers::set(std::vector<Layer> layers) {
  Layer* before = admin();
  Entries overrides = before != nullptr ? std::move(before->entries) : Entries{};
  layers_ = std::move(layers);
  if (Layer* after = admin()) after->entries = std::move(overrides);
}

bool Layers::override_value(std::string_view key, Entry entry) {
  Layer* layer = admin();
  if (layer == nullptr) return false;
  if (entry.text.empty()) {
    auto at = layer->entries.find(key);
    if (at != layer->entries.end()) layer->entries.erase(at);
  } else {
    layer->entries[std::string(key)] = std::move(entry);
  }
  return true;
}

size_t Layers::key_count() const {
  std::set<std::string_view> keys;
  for (const Layer& layer : layers_) {
    for (const auto& [key, entry] : layer.entries) keys.insert(key);
  }
  return keys.size();
}

size_t Layers::override_count() const {
  const Layer* layer = admin();
  return layer != nullptr ? layer->entries.size() : 0;
}

const Entry* Layers::final_entry(std::string_view key) const {
  for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) {
    auto at = layer->entries.find(key);
    if (at != layer->entries.end() && !at->second.text.empty()) return &at->second;
  }
  return nullptr;
}

std::unique_ptr<const Snapshot> Layers::snapshot() const {
  std::vector<Value> values(Key::count());
  for (const Layer& layer : layers_) {
    for (const auto& [text, entry] : layer.entries) {
      const uint32_t before = Key::count();
      Key key(text);
      if (key.id() >= before) values.emplace_back();
      if (const Entry* final = final_entry(text)) values[key.id()] = final->value;
    }
  }
  return std::make_unique<Snapshot>(std::move(values));
}

}  // namespace weir::runtime
