#include "core/config/runtime_config.h"

#include <google/protobuf/struct.pb.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "core/config/diagnostics.h"
#include "core/config/field_report.h"
#include "core/config/proto_loader.h"
#include "core/config/shared_messages.h"
#include "core/http/chars.h"
#include "core/stream/value.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "envoy/type/v3/percent.pb.h"

namespace weir::config {
namespace {

namespace fs = std::filesystem;
using envoy::type::v3::FractionalPercent;
using runtime::Entries;
using runtime::Entry;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  size_t from = text.find_first_not_of(kSpace);
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(kSpace) - from + 1);
}

std::optional<runtime::Fraction> parse_fraction(std::string_view text) {
  if (text.find("numerator") == std::string_view::npos) return std::nullopt;
  FractionalPercent message;
  PositionIndex positions;
  Diagnostics diagnostics;
  if (!load_message(text, "", message, positions, diagnostics)) return std::nullopt;
  return to_fraction(message);
}

// A struct that is one value, not a level of keys.
bool is_fraction(const google::protobuf::Struct& message) {
  return message.fields().contains("numerator") || message.fields().contains("denominator");
}

std::optional<runtime::Fraction> read_fraction(const google::protobuf::Struct& message) {
  FractionalPercent percent;
  for (const auto& [name, value] : message.fields()) {
    const double number = value.number_value();
    const bool whole = value.has_number_value() && number >= 0 && number <= UINT32_MAX && number == uint32_t(number);
    FractionalPercent::DenominatorType denominator;
    if (name == "numerator" && whole) {
      percent.set_numerator(static_cast<uint32_t>(number));
    } else if (name == "denominator" && value.has_string_value() &&
               FractionalPercent::DenominatorType_Parse(value.string_value(), &denominator)) {
      percent.set_denominator(denominator);
    } else if (name == "denominator" && whole && FractionalPercent::DenominatorType_IsValid(static_cast<int>(number))) {
      percent.set_denominator(static_cast<FractionalPercent::DenominatorType>(static_cast<int>(number)));
    } else {
      return std::nullopt;
    }
  }
  return to_fraction(percent);
}

Entry fraction_entry(runtime::Fraction fraction) {
  std::string_view name = fraction.denominator == 100      ? "HUNDRED"
                          : fraction.denominator == 10'000 ? "TEN_THOUSAND"
                                                           : "MILLION";
  Entry entry;
  entry.text =
      "{\"numerator\":" + std::to_string(fraction.numerator) + ",\"denominator\":\"" + std::string(name) + "\"}";
  entry.value = runtime::Value::of_fraction(fraction);
  return entry;
}

void read_values(const google::protobuf::Struct& message, const std::string& prefix, const FieldReport& place,
                 std::set<std::string>& seen, Entries& out) {
  using google::protobuf::Value;
  for (const auto& [name, value] : message.fields()) {
    std::string key = prefix.empty() ? name : prefix + "." + name;
    const FieldReport at = place.below(name);
    if (value.kind_case() != Value::kStructValue || is_fraction(value.struct_value())) {
      // "a.b: 1" and "a: {b: 1}" are the same key, and the order of a map is nobody's.
      if (!seen.insert(key).second) {
        at.error(shown(key) + " is there twice, once with dots and once as a map; remove one of them");
        continue;
      }
    }
    switch (value.kind_case()) {
      case Value::kNumberValue: {
        Entry& entry = out[key];
        stream::append_json_number(value.number_value(), entry.text);
        entry.value = runtime::Value::of_number(value.number_value());
        break;
      }
      case Value::kBoolValue:
        out[key] = {value.bool_value() ? "true" : "false", runtime::Value::of_boolean(value.bool_value())};
        break;
      case Value::kStringValue:
        out[key] = to_runtime_entry(value.string_value());
        break;
      case Value::kStructValue:
        if (!is_fraction(value.struct_value())) {
          read_values(value.struct_value(), key, at, seen, out);
        } else if (auto fraction = read_fraction(value.struct_value())) {
          out[key] = fraction_entry(*fraction);
        } else {
          at.error(
              "is no fraction; one looks like {numerator: 5, denominator: TEN_THOUSAND}, with HUNDRED, "
              "TEN_THOUSAND or MILLION");
        }
        break;
      default:
        at.error("a runtime value is a number, a boolean, a text or a fraction");
        break;
    }
  }
}

void read_static_layer(const google::protobuf::Struct& message, const FieldReport& place, Entries& out) {
  std::set<std::string> seen;
  read_values(message, "", place, seen, out);
}

// Lines that begin with # are comments.
std::string without_comments(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (!line.starts_with('#')) (out += line) += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

class DirectoryReader {
 public:
  explicit DirectoryReader(Entries& out) : out_(out) {}

  Status read(const fs::path& directory, const std::string& prefix, int depth) {
    constexpr int kMaxDepth = 16;  // links may go round in circles
    if (depth > kMaxDepth) return invalid(directory.string() + ": more than 16 levels deep");
    std::error_code error;
    fs::directory_iterator files(directory, error);
    for (; !error && files != fs::directory_iterator(); files.increment(error)) {
      const std::string name = files->path().filename().string();
      if (name.starts_with('.')) continue;
      const std::string key = prefix.empty() ? name : prefix + "." + name;
      std::error_code status_error;
      if (fs::is_directory(files->path(), status_error)) {
        WEIR_RETURN_IF_ERROR(read(files->path(), key, depth + 1));
      } else if (fs::is_regular_file(files->path(), status_error)) {
        WEIR_RETURN_IF_ERROR(read_file(files->path(), key));
      }
    }
    if (error) return unavailable(directory.string() + ": " + error.message());
    return absl::OkStatus();
  }

 private:
  Status read_file(const fs::path& path, const std::string& key) {
    constexpr size_t kMaxBytes = 64 * 1024;
    constexpr size_t kMaxFiles = 100'000;
    if (out_.size() >= kMaxFiles) return invalid("more than 100000 files");
    std::ifstream file(path, std::ios::binary);
    std::string text(kMaxBytes + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!file && !file.eof()) return unavailable(path.string() + ": cannot be read");
    text.resize(static_cast<size_t>(file.gcount()));
    if (text.size() > kMaxBytes) return invalid(path.string() + ": more than 65536 bytes");
    out_[key] = to_runtime_entry(without_comments(text));
    return absl::OkStatus();
  }

  Entries& out_;
};

// False: it cannot be read.
bool read_disk_layer(const envoy::config::bootstrap::v3::RuntimeLayer::DiskLayer& disk, const FieldReport& place,
                     std::string_view service_cluster, Entries& out) {
  std::string directory = disk.symlink_root();
  if (directory.empty()) {
    place.error_at("symlink_root", "must not be empty: the directory whose files are the values");
    return true;
  }
  if (!disk.subdirectory().empty()) directory += "/" + disk.subdirectory();
  if (disk.append_service_cluster()) directory += "/" + std::string(service_cluster);
  place.warning("is read when weir starts and on SIGHUP; a change in between is not noticed yet");
  Status read = read_runtime_directory(directory, out);
  if (!read.ok()) place.warning("the layer is left out: " + message_of(read));
  return read.ok();
}

}  // namespace

Entry to_runtime_entry(std::string_view written) {
  std::string_view text = trimmed(written);
  Entry entry{std::string(text), {}};
  if (http::equals_ignoring_case(text, "true") || http::equals_ignoring_case(text, "false")) {
    entry.value = runtime::Value::of_boolean(http::to_lower(text[0]) == 't');
    return entry;
  }
  double number = 0;
  std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error == std::errc() && end == digits.data() + digits.size() && std::isfinite(number)) {
    entry.value = runtime::Value::of_number(number);
  } else if (auto fraction = parse_fraction(text)) {
    entry.value = runtime::Value::of_fraction(*fraction);
  }
  return entry;
}

Status read_runtime_directory(const std::string& directory, Entries& out) {
  return DirectoryReader(out).read(directory, "", 0);
}

RuntimeTranslation translate_runtime(const envoy::config::bootstrap::v3::LayeredRuntime& message,
                                     const std::string& path, std::string_view service_cluster,
                                     filter::ConfigReport& report) {
  using envoy::config::bootstrap::v3::RuntimeLayer;
  const FieldReport place{report, path};
  RuntimeTranslation out;
  std::map<std::string, int> names;
  int admin = -1;
  for (int i = 0; i < message.layers_size(); ++i) {
    const RuntimeLayer& from = message.layers(i);
    const FieldReport at = place.item("layers", i);
    runtime::Layer layer;
    layer.name = from.name();
    auto [first, fresh] = names.try_emplace(from.name(), i);
    if (!fresh) {
      at.error_at("name", shown(from.name()) + " is the name of layers[" + std::to_string(first->second) + "] too");
    }
    switch (from.layer_specifier_case()) {
      case RuntimeLayer::kStaticLayer:
        read_static_layer(from.static_layer(), at.below("static_layer"), layer.entries);
        break;
      case RuntimeLayer::kDiskLayer:
        if (!read_disk_layer(from.disk_layer(), at.below("disk_layer"), service_cluster, layer.entries)) {
          ++out.unreadable;
          continue;
        }
        break;
      case RuntimeLayer::kAdminLayer:
        if (admin >= 0) {
          at.error_at("admin_layer", "layers[" + std::to_string(admin) + "] is the admin layer; there may be one");
        }
        admin = i;
        layer.admin = true;
        break;
      default:  // reported by the rules, or as not supported
        break;
    }
    out.layers.push_back(std::move(layer));
  }
  if (message.layers_size() == 0) out.layers.push_back({.name = "admin", .admin = true, .entries = {}});
  return out;
}

}  // namespace weir::config
