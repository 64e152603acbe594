// Conditions on values and on metadata. Built on main from the plain parts; [immutable] after that.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/match/string_matcher.h"
#include "core/stream/value.h"

namespace weir::match {

class ValueMatcher {
 public:
  static ValueMatcher null();
  static ValueMatcher number_is(double number);
  static ValueMatcher number_in(double start, double end);  // [start, end)
  static ValueMatcher string(StringMatcher matcher);
  static ValueMatcher boolean(bool value);
  // `wanted` false matches nothing, as published; invert the metadata matcher to ask for absence.
  static ValueMatcher present(bool wanted);
  static ValueMatcher list_with(ValueMatcher item);  // a list that has such an item
  static ValueMatcher any_of(std::vector<ValueMatcher> alternatives);

  // nullptr: there is no value, which nothing matches.
  bool matches(const stream::Value* value) const noexcept;

 private:
  enum class Kind : uint8_t { kNull, kNumber, kString, kBool, kPresent, kList, kAny };
  explicit ValueMatcher(Kind kind) : kind_(kind) {}

  Kind kind_;
  bool boolean_ = false;
  bool exact_ = false;
  double start_ = 0;
  double end_ = 0;
  std::shared_ptr<const StringMatcher> string_;
  std::vector<ValueMatcher> children_;
};

class MetadataMatcher {
 public:
  // `path`: the namespace, then keys.
  MetadataMatcher(std::vector<std::string> path, ValueMatcher value, bool invert)
      : path_(std::move(path)), value_(std::move(value)), invert_(invert) {}
  // `root`: a struct of namespaces (dynamic metadata, a route's, ...); nullptr: there is none.
  bool matches(const stream::Value* root) const noexcept {
    return value_.matches(root != nullptr ? root->find(path_) : nullptr) != invert_;
  }
  // There is a value to compare.
  bool finds(const stream::Value* root) const noexcept { return root != nullptr && root->find(path_) != nullptr; }

 private:
  std::vector<std::string> path_;
  ValueMatcher value_;
  bool invert_;
};

}  // namespace weir::match
