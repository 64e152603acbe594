#include "core/server/runtime_manager.h"

namespace weir::server {

RuntimeManager::RuntimeManager(event::Publisher& publisher, stats::Store& store)
    : publisher_(publisher),
      load_success_(store.counter("runtime.load_success")),
      load_error_(store.counter("runtime.load_error")),
      num_keys_(store.gauge("runtime.num_keys")),
      num_layers_(store.gauge("runtime.num_layers")),
      admin_overrides_active_(store.gauge("runtime.admin_overrides_active")) {
  // The only name of its kind, so that lanes need not be told the number.
  WEIR_CHECK(publisher.intern(event::SlotKind::kRuntime, "runtime") == runtime::kSlot);
}

void RuntimeManager::apply(config::RuntimeTranslation runtime, event::Publisher::Batch& batch) {
  layers_.set(std::move(runtime.layers));
  (runtime.unreadable == 0 ? load_success_ : load_error_).inc();
  stage(batch);
}

bool RuntimeManager::override_values(const std::vector<std::pair<std::string, std::string>>& texts) {
  if (!layers_.has_admin_layer()) return false;
  for (const auto& [key, text] : texts) layers_.override_value(key, config::to_runtime_entry(text));
  event::Publisher::Batch batch;
  stage(batch);
  load_success_.inc();
  if (!batch.empty()) publisher_.publish(std::move(batch));
  return true;
}

void RuntimeManager::stage(event::Publisher::Batch& batch) {
  num_keys_.set(layers_.key_count());
  num_layers_.set(layers_.layers().size());
  admin_overrides_active_.set(layers_.override_count() > 0 ? 1 : 0);
  auto snapshot = layers_.snapshot();
  const auto* known = static_cast<const runtime::Snapshot*>(publisher_.newest(runtime::kSlot));
  if (known != nullptr && *known == *snapshot) return;
  batch.set(runtime::kSlot, std::move(snapshot));
}

}  // namespace weir::server
