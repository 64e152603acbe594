// Metadata: namespaces (names of filters, by custom) with a struct each. StaticMetadata belongs to a piece of
// configuration (route, cluster, endpoint, ...); dynamic Metadata to one stream, made when a filter first sets some.
// Both are read as one Value: a struct of namespaces, so "ns:key:sub" is a path of three steps.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include "core/base/arena.h"
#include "core/stream/value.h"

namespace weir::stream {

struct HostTlvs;

// [immutable] Built on main.
class StaticMetadata {
 public:
  // Copies `root`, a struct of namespaces.
  explicit StaticMetadata(const Value& root, std::shared_ptr<const HostTlvs> tlvs = nullptr)
      : bytes_(new char[bytes_of(root)]), root_(copy_into(root, bytes_.get())), tlvs_(std::move(tlvs)) {}
  StaticMetadata(const StaticMetadata&) = delete;
  StaticMetadata& operator=(const StaticMetadata&) = delete;

  const Value& root() const { return root_; }
  // What of the typed metadata of a host is read; null: none.
  const HostTlvs* tlvs() const { return tlvs_.get(); }

 private:
  std::unique_ptr<char[]> bytes_;
  Value root_;
  std::shared_ptr<const HostTlvs> tlvs_;
};

// What filters of one stream tell each other and the log. [worker] Lives in the stream's arena, which everything set is
// copied to; values handed out are good until the next change of their namespace.
class Metadata {
 public:
  explicit Metadata(Arena& arena) : arena_(&arena), root_(Value::of_struct({})) {}

  const Value& root() const { return root_; }
  const Value* find(std::string_view name_space) const noexcept { return root_.find(name_space); }

  // Replaces one member of a namespace.
  void set(std::string_view name_space, std::string_view key, const Value& value);
  // Replaces each member that `fields` (a struct) has, as a filter does that sets a whole struct. Others stay.
  void set_all(std::string_view name_space, const Value& fields);
  // Beside it a namespace may have a message, as the bytes of a type: of typed_filter_metadata.
  struct Typed {
    std::string_view name_space;
    std::string_view type;  // its URL
    std::string_view bytes;
    Typed* next;
  };
  void set_typed(std::string_view name_space, std::string_view type, std::string_view bytes);
  const Typed* find_typed(std::string_view name_space) const noexcept;
  // Goes deeper: stream::merge() of the namespace and `fields`.
  void merge(std::string_view name_space, const Value& fields);

 private:
  Field* name_space(std::string_view name);
  Arena* arena_;
  Value root_;
  Typed* typed_ = nullptr;
};

}  // namespace weir::stream
