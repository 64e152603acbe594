#include "core/config/runtime_config.h"

#include <google/protobuf/struct.pb.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/config/proto_loader.h"
#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "test/core/config/translate/translate_test.h"

namespace weir::config {
namespace {

namespace fs = std::filesystem;
using envoy::config::bootstrap::v3::LayeredRuntime;

class RuntimeConfigTest : public TranslateTest {
 protected:
  RuntimeConfigTest() {
    std::string name = (fs::temp_directory_path() / "weir-runtime-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~RuntimeConfigTest() override { fs::remove_all(directory_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories((directory_ / path).parent_path());
    std::ofstream(directory_ / path) << text;
  }
  // With the places of a file, to see that findings have them.
  RuntimeTranslation load(const std::string& yaml) {
    LayeredRuntime message;
    EXPECT_TRUE(load_message(yaml, "a.yaml", message, positions_, diagnostics_));
    return translate_runtime(message, "", "cluster", report_);
  }
  static std::string shape(const runtime::Entries& entries) {
    std::string out;
    for (const auto& [key, entry] : entries) {
      const runtime::Value& value = entry.value;
      out += key + "=" + entry.text;
      if (value.has_number) out += " number";
      if (value.has_whole) out += " whole:" + std::to_string(value.whole);
      if (value.has_boolean) out += value.boolean ? " yes" : " no";
      if (value.has_fraction)
        out += " " + std::to_string(value.fraction.numerator) + "/" + std::to_string(value.fraction.denominator);
      out += "\n";
    }
    return out;
  }

  fs::path directory_;
};

std::string text_shape(const std::string& text) {
  runtime::Entry entry = to_runtime_entry(text);
  const runtime::Value& value = entry.value;
  if (value.has_boolean) return value.boolean ? "yes" : "no";
  if (value.has_fraction)
    return std::to_string(value.fraction.numerator) + "/" + std::to_string(value.fraction.denominator);
  if (value.has_number) return "number " + std::to_string(value.number);
  return "text " + entry.text;
}

TEST(RuntimeTexts, EveryForm) {
  EXPECT_EQ(text_shape("5"), "number 5.000000");
  EXPECT_EQ(text_shape(" 5.5\n"), "number 5.500000");
  EXPECT_EQ(text_shape("+1e3"), "number 1000.000000");
  EXPECT_EQ(text_shape("-2"), "number -2.000000");
  EXPECT_EQ(text_shape("true"), "yes");
  EXPECT_EQ(text_shape("FALSE\n"), "no");
  EXPECT_EQ(text_shape("nan"), "text nan");
  EXPECT_EQ(text_shape("5 apples"), "text 5 apples");
  EXPECT_EQ(text_shape(""), "text ");
  EXPECT_EQ(text_shape("numerator: 5\ndenominator: TEN_THOUSAND\n"), "5/10000");
  EXPECT_EQ(text_shape(R"({"numerator": 7, "denominator": "MILLION"})"), "7/1000000");
  EXPECT_EQ(text_shape("numerator: 5"), "5/100");
  EXPECT_EQ(text_shape("numerator: x"), "text numerator: x");
}

// field: LayeredRuntime.layers, RuntimeLayer.name, RuntimeLayer.static_layer, RuntimeLayer.admin_layer
TEST_F(RuntimeConfigTest, StaticLayersAreFlattened) {
  auto out = load(R"(
layers:
- name: base
  static_layer:
    health_check: {min_interval: 5, deep: {er: true}}
    "a.b": text
    half: 0.5
    part: {numerator: 3, denominator: TEN_THOUSAND}
    short: {numerator: 4}
    number: {numerator: 5, denominator: 2}
    quoted: "7"
- name: top
  admin_layer: {}
)");
  EXPECT_EQ(said(), "");
  ASSERT_EQ(out.layers.size(), 2u);
  EXPECT_EQ(out.layers[0].name, "base");
  EXPECT_FALSE(out.layers[0].admin);
  EXPECT_TRUE(out.layers[1].admin);
  EXPECT_EQ(shape(out.layers[0].entries),
            "a.b=text\n"
            "half=0.5 number whole:0\n"
            "health_check.deep.er=true yes\n"
            "health_check.min_interval=5 number whole:5\n"
            "number={\"numerator\":5,\"denominator\":\"MILLION\"} 5/1000000\n"
            "part={\"numerator\":3,\"denominator\":\"TEN_THOUSAND\"} 3/10000\n"
            "quoted=7 number whole:7\n"
            "short={\"numerator\":4,\"denominator\":\"HUNDRED\"} 4/100\n");
}

TEST_F(RuntimeConfigTest, WithoutLayersThereIsOneForAdmin) {
  auto out = load("{}");
  ASSERT_EQ(out.layers.size(), 1u);
  EXPECT_TRUE(out.layers[0].admin);
  EXPECT_EQ(said(), "");
}

// Whichever came last in a map without an order.
TEST_F(RuntimeConfigTest, AKeyWithDotsAndAsAMapIsOneTooMany) {
  load("layers: [{name: base, static_layer: {a.b: 1, a: {b: 2, c: 3}}}]\n");
  EXPECT_NE(diagnostics_.text().find("a.b is there twice, once with dots and once as a map; remove one of them"),
            std::string::npos)
      << diagnostics_.text();
  EXPECT_EQ(diagnostics_.errors(), 1u);
}

TEST_F(RuntimeConfigTest, FaultsHavePlaces) {
  load(R"(
layers:
- name: base
  static_layer:
    list: [1]
    nothing: null
    bad: {numerator: -1}
    worse: {numerator: 1, denominator: DOZEN}
    more: {numerator: 1, other: 2}
- name: base
  admin_layer: {}
- name: admin
  admin_layer: {}
- name: rtds
  static_layer: {}
- name: disk
  disk_layer: {}
)");
  std::string text = diagnostics_.text();
  const std::string fraction =
      "is no fraction; one looks like {numerator: 5, denominator: TEN_THOUSAND}, with HUNDRED, TEN_THOUSAND or "
      "MILLION\n";
  EXPECT_EQ(
      text,
      "a.yaml:5:5: error: layers[0].static_layer.list: a runtime value is a number, a boolean, a text or a "
      "fraction\n"
      "a.yaml:6:14: error: layers[0].static_layer.nothing: a runtime value is a number, a boolean, a text or a "
      "fraction\n"
      "a.yaml:7:5: error: layers[0].static_layer.bad: " +
          fraction + "a.yaml:8:5: error: layers[0].static_layer.worse: " + fraction +
          "a.yaml:9:5: error: layers[0].static_layer.more: " + fraction +
          "a.yaml:10:9: error: layers[1].name: base is the name of layers[0] too\n"
          "a.yaml:13:3: error: layers[2].admin_layer: layers[1] is the admin layer; there may be one\n"
          "a.yaml:17:3: error: layers[4].disk_layer.symlink_root: must not be empty: the directory whose files are "
          "the values\n"
          "8 errors\n");
}

// field: RuntimeLayer.disk_layer, DiskLayer.symlink_root, DiskLayer.subdirectory, DiskLayer.append_service_cluster
TEST_F(RuntimeConfigTest, DiskLayers) {
  write("v1/weir/a/b", "# a comment\n5\n");
  write("v1/weir/flag", "true");
  write("v1/weir/part", "# how many\nnumerator: 1\ndenominator: MILLION\n");
  write("v1/weir/empty", "# nothing yet\n");
  write("v1/weir/.hidden/c", "1");
  write("v1/override/cluster/a/b", "6");
  fs::create_directory_symlink(directory_ / "v1", directory_ / "current");
  std::string root = (directory_ / "current").string();
  auto out = load("layers:\n- name: disk\n  disk_layer: {symlink_root: " + root +
                  ", subdirectory: weir}\n- name: over\n  disk_layer: {symlink_root: " + root +
                  ", subdirectory: override, append_service_cluster: true}\n- name: gone\n  disk_layer: "
                  "{symlink_root: " +
                  root + "/none}\n");
  EXPECT_FALSE(diagnostics_.has_errors());
  ASSERT_EQ(out.layers.size(), 2u);
  EXPECT_EQ(out.unreadable, 1u);
  EXPECT_EQ(shape(out.layers[0].entries),
            "a.b=5 number whole:5\nempty=\nflag=true yes\npart=numerator: 1\ndenominator: MILLION 1/1000000\n");
  EXPECT_EQ(shape(out.layers[1].entries), "a.b=6 number whole:6\n");
  EXPECT_NE(said().find("layers[2].disk_layer: the layer is left out: " + root + "/none: No such file or directory"),
            std::string::npos);
}

TEST_F(RuntimeConfigTest, DirectoriesAreBounded) {
  fs::create_directory_symlink(directory_, directory_ / "round");
  runtime::Entries entries;
  EXPECT_NE(message_of(read_runtime_directory(directory_.string(), entries)).find("more than 16 levels deep"),
            std::string::npos);
  fs::remove(directory_ / "round");
  write("big", std::string(65 * 1024, 'x'));
  EXPECT_EQ(message_of(read_runtime_directory(directory_.string(), entries)),
            (directory_ / "big").string() + ": more than 65536 bytes");
}

}  // namespace
}  // namespace weir::config
