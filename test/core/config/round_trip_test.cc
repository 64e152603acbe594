// A random message, written as JSON by protobuf and loaded here, is the same message: for every type there is.
#include <google/protobuf/any.pb.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "test/core/config/load_helper.h"

namespace weir::config {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;
using google::protobuf::Reflection;

std::vector<std::string> all_types() {
  std::vector<std::string> names;
  DescriptorPool::internal_generated_database()->FindAllMessageNames(&names);
  std::erase_if(names, [](const std::string& name) {
    const Descriptor* type = DescriptorPool::generated_pool()->FindMessageTypeByName(name);
    return name.starts_with("google.protobuf.") || type == nullptr || type->options().map_entry();
  });
  return names;
}

std::unique_ptr<Message> make(const Descriptor& type) {
  return std::unique_ptr<Message>(MessageFactory::generated_factory()->GetPrototype(&type)->New());
}

class Filler {
 public:
  explicit Filler(unsigned seed) : random_(seed), types_(all_types()) {}

  void fill(Message& out, int depth);
  uint64_t below(uint64_t n) { return random_() % n; }

 private:
  std::string text();
  void value(google::protobuf::Value& out, int depth);
  bool well_known(Message& out, int depth);
  void set(Message& out, const FieldDescriptor& field, bool add, int depth);

  std::mt19937_64 random_;
  std::vector<std::string> types_;
};

std::string Filler::text() {
  static const char* kTexts[] = {"",      "a",  "null",     "true",     "~",
                                 "5",     "*",  "&a",       "x: y",     "- z",
                                 "\"q\"", "\\", "\n\t\x01", "\xC3\xBC", "\xF0\x9F\x98\x80",
                                 "/",     "<<", "@type",    " lead",    "#",
                                 "{}",    "'"};
  return kTexts[below(std::size(kTexts))] + std::string(kTexts[below(std::size(kTexts))]);
}

void Filler::value(google::protobuf::Value& out, int depth) {
  switch (below(depth > 0 ? 6 : 4)) {
    case 0:
      out.set_null_value(google::protobuf::NULL_VALUE);
      break;
    case 1:
      out.set_bool_value(below(2));
      break;
    case 2:
      out.set_number_value(static_cast<double>(static_cast<int64_t>(random_() % 2000000)) / 1000 - 500);
      break;
    case 3:
      out.set_string_value(text());
      break;
    case 4:
      for (uint64_t i = below(3); i > 0; --i) {
        value(*out.mutable_list_value()->add_values(), depth - 1);
      }
      out.mutable_list_value();
      break;
    default:
      out.mutable_struct_value();
      for (uint64_t i = below(3); i > 0; --i) {
        value((*out.mutable_struct_value()->mutable_fields())[text()], depth - 1);
      }
  }
}

bool Filler::well_known(Message& out, int depth) {
  if (auto* any = google::protobuf::DynamicCastToGenerated<google::protobuf::Any>(&out)) {
    // Never left empty: as the value of a map, protobuf's own printer leaves that out and repeats earlier fields.
    const std::string* name = nullptr;
    do {
      name = &types_[below(types_.size())];
    } while (name->find("TypedStruct") != std::string::npos);  // That would not stay one.
    const auto inner = make(*DescriptorPool::generated_pool()->FindMessageTypeByName(*name));
    fill(*inner, std::min(depth - 1, 2));
    any->PackFrom(*inner);
    return true;
  }
  if (auto* v = google::protobuf::DynamicCastToGenerated<google::protobuf::Value>(&out)) {
    value(*v, depth);
    return true;
  }
  if (auto* s = google::protobuf::DynamicCastToGenerated<google::protobuf::Struct>(&out)) {
    value((*s->mutable_fields())["k" + text()], depth);
    return true;
  }
  const std::string& name = out.GetDescriptor()->full_name();
  const bool duration = name == "google.protobuf.Duration";
  if (duration || name == "google.protobuf.Timestamp") {
    const int64_t sign = duration && below(2) == 0 ? -1 : 1;
    const Reflection& r = *out.GetReflection();
    r.SetInt64(&out, out.GetDescriptor()->FindFieldByNumber(1), sign * static_cast<int64_t>(below(uint64_t{1} << 33)));
    r.SetInt32(&out, out.GetDescriptor()->FindFieldByNumber(2),
               static_cast<int32_t>(sign * static_cast<int64_t>(below(1000000000))));
    return true;
  }
  return false;
}

void Filler::set(Message& out, const FieldDescriptor& field, bool add, int depth) {
  const Reflection& r = *out.GetReflection();
  const uint64_t bits = below(4) == 0 ? below(10) : random_();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      add ? r.AddInt32(&out, &field, static_cast<int32_t>(bits)) : r.SetInt32(&out, &field, static_cast<int32_t>(bits));
      break;
    case FieldDescriptor::CPPTYPE_UINT32:
      add ? r.AddUInt32(&out, &field, static_cast<uint32_t>(bits))
          : r.SetUInt32(&out, &field, static_cast<uint32_t>(bits));
      break;
    case FieldDescriptor::CPPTYPE_INT64:
      add ? r.AddInt64(&out, &field, static_cast<int64_t>(bits)) : r.SetInt64(&out, &field, static_cast<int64_t>(bits));
      break;
    case FieldDescriptor::CPPTYPE_UINT64:
      add ? r.AddUInt64(&out, &field, bits) : r.SetUInt64(&out, &field, bits);
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      add ? r.AddDouble(&out, &field, static_cast<double>(bits) / 7)
          : r.SetDouble(&out, &field, static_cast<double>(bits) / 7);
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
      add ? r.AddFloat(&out, &field, static_cast<float>(bits % 99999) / 7)
          : r.SetFloat(&out, &field, static_cast<float>(bits % 99999) / 7);
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      add ? r.AddBool(&out, &field, bits & 1) : r.SetBool(&out, &field, bits & 1);
      break;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int number = field.enum_type()
                             ->value(static_cast<int>(bits % static_cast<uint64_t>(field.enum_type()->value_count())))
                             ->number();
      add ? r.AddEnumValue(&out, &field, number) : r.SetEnumValue(&out, &field, number);
      break;
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string v = text();
      if (field.type() == FieldDescriptor::TYPE_BYTES) {
        v += static_cast<char>(bits & 0xFF);
      }
      add ? r.AddString(&out, &field, v) : r.SetString(&out, &field, v);
      break;
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (depth > 0) {
        fill(add ? *r.AddMessage(&out, &field) : *r.MutableMessage(&out, &field), depth - 1);
      }
      break;
  }
}

void Filler::fill(Message& out, int depth) {
  if (well_known(out, depth)) {
    return;
  }
  const Descriptor& type = *out.GetDescriptor();
  const bool all = type.field_count() <= 3;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (!all && below(3) != 0) {
      continue;
    }
    if (field.is_map()) {
      Message& entry = *out.GetReflection()->AddMessage(&out, &field);
      set(entry, *field.message_type()->map_key(), false, depth);
      // An entry always has a value in JSON, if an empty one.
      fill(entry, 0);
      set(entry, *field.message_type()->map_value(), false, std::max(depth, 1));
    } else if (field.is_repeated()) {
      for (uint64_t n = below(3); n > 0; --n) {
        set(out, field, true, depth);
      }
    } else {
      set(out, field, false, depth);
    }
  }
}

// The packed bytes of maps are in any order, so Anys are compared by what is in them.
bool same(const Message& a, const Message& b, std::string& difference) {
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  google::protobuf::util::DefaultFieldComparator comparator;
  comparator.set_treat_nan_as_equal(true);
  differencer.set_field_comparator(&comparator);
  return differencer.Compare(a, b);
}

TEST(RoundTrip, EveryType) {
  const char* seed_text = std::getenv("WEIR_TEST_SEED");
  const unsigned seed =
      seed_text != nullptr ? static_cast<unsigned>(std::strtoul(seed_text, nullptr, 10)) : std::random_device()();
  std::printf("seed %u\n", seed);
  Filler filler(seed);
  size_t checked = 0;
  for (const std::string& name : all_types()) {
    if (name.find("TypedStruct") != std::string::npos) {
      continue;
    }
    for (int round = 0; round < 2; ++round) {
      const Descriptor& type = *DescriptorPool::generated_pool()->FindMessageTypeByName(name);
      const auto original = make(type);
      filler.fill(*original, 3);
      google::protobuf::util::JsonPrintOptions print;
      print.preserve_proto_field_names = round == 0;
      print.add_whitespace = filler.below(2) == 0;
      std::string json;
      if (!google::protobuf::util::MessageToJsonString(*original, &json, print).ok()) {
        continue;  // an Any with a well-known type that protobuf itself does not print
      }
      const auto loaded = make(type);
      PositionIndex index;
      Diagnostics diagnostics;
      ASSERT_TRUE(load_message(json, "round.json", *loaded, index, diagnostics)) << name << "\n"
                                                                                 << json << "\n"
                                                                                 << diagnostics.text();
      std::string difference;
      ASSERT_TRUE(same(*original, *loaded, difference)) << name << "\n" << json << "\n" << difference;
      ++checked;
    }
  }
  EXPECT_GT(checked, 1500U);
}

}  // namespace
}  // namespace weir::config
