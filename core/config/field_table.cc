#include "core/config/field_table.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/wrappers.pb.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "core/base/assert.h"
#include "core/config/field_table_data.h"
#include "core/config/position_index.h"

namespace weir::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// A row with its field, looked up once.
struct Visit {
  const FieldDescriptor* field;
  const FieldRow* row;
};
// The rows of a section; empty until a message of the section comes by.
struct Section {
  bool ready = false;
  std::vector<Visit> visits;
};

std::vector<Section>& sections() {
  static std::vector<Section> all(field_sections().size());
  return all;
}

const std::vector<Visit>& visits_of(size_t index, const Descriptor& type) {
  Section& section = sections()[index];
  if (section.ready) return section.visits;
  section.ready = true;
  const FieldSection& from = field_sections()[index];
  for (const FieldRow& row : field_rows().subspan(from.first_row, from.rows)) {
    const FieldDescriptor* field = type.FindFieldByNumber(static_cast<int>(row.number));
    WEIR_CHECK(field != nullptr);
    section.visits.push_back({field, &row});
  }
  return section.visits;
}

int find_section(const Descriptor& type) {
  std::string_view name = type.full_name();
  auto all = field_sections();
  auto it = std::lower_bound(all.begin(), all.end(), name,
                             [](const FieldSection& one, std::string_view wanted) { return one.message < wanted; });
  // Of one name, the section without a variant comes first; there may be only variants.
  return it != all.end() && it->message == name && !it->variant ? static_cast<int>(it - all.begin()) : -1;
}

// "A is", "A and B are", "A, B and C are".
std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  return text + (names.size() == 1 ? " is" : " are");
}

class Walk {
 public:
  Walk(const std::string& path, filter::ConfigReport& report, const KnownMessages& known)
      : start_(path), report_(report), known_(known) {}

  void message(const Message& message, size_t section) {
    if (!known_.empty() && known_.contains(&message)) return;
    const Reflection& reflection = *message.GetReflection();
    for (const Visit& visit : visits_of(section, *message.GetDescriptor())) {
      const FieldDescriptor& field = *visit.field;
      const int size = field.is_repeated() ? reflection.FieldSize(message, &field) : -1;
      if (size == 0 || (size < 0 && !reflection.HasField(message, &field))) continue;
      steps_.push_back({&field, -1, nullptr});
      if (visit.row->state != FieldState::kImplemented) {
        if (!is_known(message, reflection, visit, size)) unsupported(*visit.row);
      } else if (size < 0) {
        one(message, reflection, visit);
      } else {
        each(message, reflection, visit, size);
      }
      steps_.pop_back();
    }
  }

 private:
  // A field, and of a repeated one which item, or of a map which entry. The text of a path is made when it is wanted.
  struct Step {
    const FieldDescriptor* field;
    int item;
    const Message* entry;
  };

  std::string path() const {
    std::string text = start_;
    for (const Step& step : steps_) {
      append_path_name(text, step.field->name());
      if (step.entry != nullptr) {
        const FieldDescriptor& key = *step.field->message_type()->map_key();
        append_path_name(text, step.entry->GetReflection()->GetString(*step.entry, &key));
      } else if (step.item >= 0) {
        append_path_item(text, static_cast<size_t>(step.item));
      }
    }
    return text;
  }

  bool is_known(const Message& message, const Reflection& reflection, const Visit& visit, int size) const {
    return !known_.empty() && size < 0 && visit.field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
           known_.contains(&reflection.GetMessage(message, visit.field));
  }

  void unsupported(const FieldRow& row) {
    if (row.state == FieldState::kWarning) {
      report_.warning(path(), std::string("has no effect in weir: ") + row.text);
    } else {
      report_.unsupported(
          path(), *row.text == '\0' ? "not supported by weir yet" : std::string("not supported by weir; ") + row.text);
    }
  }

  void one(const Message& message, const Reflection& reflection, const Visit& visit) {
    if (visit.row->section >= 0) {
      this->message(reflection.GetMessage(message, visit.field), static_cast<size_t>(visit.row->section));
    } else if (visit.field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
      enum_value(visit, reflection.GetEnumValue(message, visit.field));
    } else {
      const auto& wrapper = reflection.GetMessage(message, visit.field);
      const auto* value = google::protobuf::DynamicCastToGenerated<google::protobuf::BoolValue>(&wrapper);
      if (value != nullptr && !allowed(visit, value->value())) {
        report_.unsupported(path(), std::string(value->value() ? "true" : "false") + " is not supported by weir yet");
      }
    }
  }

  void each(const Message& message, const Reflection& reflection, const Visit& visit, int size) {
    const FieldDescriptor& field = *visit.field;
    for (int i = 0; i < size; ++i) {
      steps_.back().item = i;
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
        enum_value(visit, reflection.GetRepeatedEnumValue(message, &field, i));
        continue;
      }
      const Message& item = reflection.GetRepeatedMessage(message, &field, i);
      const auto section = static_cast<size_t>(visit.row->section);
      if (!field.is_map()) {
        this->message(item, section);
        continue;
      }
      steps_.back().entry = &item;
      this->message(item.GetReflection()->GetMessage(item, field.message_type()->map_value()), section);
    }
  }

  static bool allowed(const Visit& visit, int value) {
    auto values = field_values().subspan(visit.row->first_value, visit.row->values);
    return std::find(values.begin(), values.end(), value) != values.end();
  }

  void enum_value(const Visit& visit, int number) {
    if (allowed(visit, number)) return;
    const auto* value = visit.field->enum_type()->FindValueByNumber(number);
    if (value == nullptr) return;  // no value of the enum at all: the rules say so
    std::vector<std::string> names;
    for (int one : field_values().subspan(visit.row->first_value, visit.row->values)) {
      names.push_back(visit.field->enum_type()->FindValueByNumber(one)->name());
    }
    report_.unsupported(path(), value->name() + " is not supported by weir yet; " + listed(names));
  }

  const std::string& start_;
  std::vector<Step> steps_;
  filter::ConfigReport& report_;
  const KnownMessages& known_;
};

}  // namespace

bool has_field_table(const Descriptor& message) { return find_section(message) >= 0; }

FieldCounts count_fields(const Descriptor& message) {
  int index = find_section(message);
  if (index < 0) return {0, message.field_count()};
  const FieldSection& section = field_sections()[static_cast<size_t>(index)];
  auto rows = field_rows().subspan(section.first_row, section.rows);
  auto others = std::count_if(rows.begin(), rows.end(),
                              [](const FieldRow& row) { return row.state != FieldState::kImplemented; });
  return {message.field_count() - static_cast<int>(others), message.field_count()};
}

void check_fields(const Message& message, const std::string& path, filter::ConfigReport& report,
                  const KnownMessages& known) {
  int section = find_section(*message.GetDescriptor());
  if (section >= 0) Walk(path, report, known).message(message, static_cast<size_t>(section));
}

}  // namespace weir::config
