// Finding, copying, checking and opening modules, and what is said when that does not work.
#include "extensions/dynamic/loader.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "extensions/dynamic/sha256.h"
#include "test/extensions/dynamic/scripted_plugin.h"

namespace weir::extensions::dynamic {
namespace {

namespace fs = std::filesystem;

class LoaderTest : public ::testing::Test {
 protected:
  LoaderTest() {
    char name[] = "/tmp/weir-loader-test-XXXXXX";
    root_ = mkdtemp(name);
    fs::create_directory(plugins());
  }
  ~LoaderTest() override { fs::remove_all(root_); }

  std::string plugins() const { return root_ + "/plugins"; }
  std::string copies() const { return root_ + "/copies"; }
  static std::string built(const std::string& name) { return std::string(WEIR_TEST_PLUGINS) + "/" + name + ".so"; }
  std::string put(const std::string& name, const std::string& from) {
    fs::copy_file(built(from), plugins() + "/" + name, fs::copy_options::overwrite_existing);
    return plugins() + "/" + name;
  }
  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(plugins() + "/" + name, std::ios::binary) << content;
    return plugins() + "/" + name;
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  Loader loader() const { return Loader({{plugins()}, copies()}); }
  std::string error(std::string_view module) const {
    auto loaded = loader().load(module);
    return loaded.ok() ? "(loaded)" : std::string(loaded.status().message());
  }

  std::string root_;
};

#define EXPECT_SAYS(text, part) EXPECT_NE(std::string(text).find(part), std::string::npos) << (text)

TEST_F(LoaderTest, OffUnlessConfigured) {
  auto loaded = Loader({}).load(built("probe"));
  EXPECT_SAYS(loaded.status().message(), "are off; start weir with WEIR_PLUGIN_DIRS=");
}

TEST_F(LoaderTest, FindsByNameAndPath) {
  Loader loader = this->loader();
  put("probe.so", "probe");
  auto by_name = loader.load("probe");
  ASSERT_TRUE(by_name.ok()) << by_name.status();
  EXPECT_EQ((*by_name)->id, "weir.test.probe/1");
  EXPECT_TRUE((*by_name)->has_http_filter);
  put("libother.so", "probe");
  auto by_library_name = loader.load("other");
  ASSERT_TRUE(by_library_name.ok()) << by_library_name.status();
  EXPECT_EQ(*by_library_name, *by_name) << "the same content is one module";
  fs::create_directory(plugins() + "/deeper");
  put("deeper/x.so", "probe");
  EXPECT_EQ(*loader.load(plugins() + "/deeper/x.so"), *by_name);
}

TEST_F(LoaderTest, OnlyFromAllowedDirectories) {
  EXPECT_SAYS(error("nothing"), "no nothing.so or libnothing.so in " + plugins());
  EXPECT_SAYS(error(plugins() + "/nothing.so"), "No such file");
  EXPECT_SAYS(error(built("probe")), "is not in a directory that WEIR_PLUGIN_DIRS allows: " + plugins());
  EXPECT_SAYS(error("a/b"), "is a relative path");
  EXPECT_SAYS(error(""), "must not be empty");
  EXPECT_SAYS(error(plugins() + "/../../etc/passwd"), "");
  fs::create_symlink(built("probe"), plugins() + "/link.so");
  EXPECT_SAYS(error("link"), "is not in a directory") << "what counts is where the file lies";
  fs::create_directory(root_ + "/plugins-too");
  fs::copy_file(built("probe"), root_ + "/plugins-too/probe.so");
  EXPECT_SAYS(error(root_ + "/plugins-too/probe.so"), "is not in a directory");
  EXPECT_SAYS(Loader({{"here"}, copies()}).load("x").status().message(), "'here' is not an absolute path");
}

TEST_F(LoaderTest, BadFiles) {
  write("text.so", "hello");
  EXPECT_SAYS(error("text"), "is not a shared library (no ELF file)");
  write("empty.so", "");
  EXPECT_SAYS(error("empty"), "is not a shared library");
  std::string whole = read(built("probe"));
  write("cut.so", whole.substr(0, whole.size() / 2));
  EXPECT_SAYS(error("cut"), "is cut off");
  std::string other = whole;
  other[18] = 40;  // e_machine: 32-bit ARM
  write("other.so", other);
  EXPECT_SAYS(error("other"), "another kind of machine");
  std::string object = whole;
  object[16] = 1;  // e_type: relocatable
  write("object.so", object);
  EXPECT_SAYS(error("object"), "-shared -fPIC");
  fs::create_directory(plugins() + "/folder.so");
  EXPECT_SAYS(error("folder"), "not a regular file");
  chmod(put("open.so", "probe").c_str(), 0777);
  EXPECT_SAYS(error("open"), "anybody may write to it");
}

TEST_F(LoaderTest, NotAPlugin) {
  put("none.so", "no_entry");
  EXPECT_SAYS(error("none"), "does not export weir_plugin_entry");
}

TEST_F(LoaderTest, WhatTheLinkerSaysNamesTheModule) {
  const std::string path = put("needy.so", "unresolved");
  const std::string text = error("needy");
  EXPECT_SAYS(text, path + ": cannot be loaded: undefined symbol: ");
  EXPECT_EQ(text.find(copies()), std::string::npos) << text;
}

TEST_F(LoaderTest, OtherVersionPrintsBothSides) {
  put("future.so", "probe_other_version");
  std::string text = error("future");
  EXPECT_SAYS(text, "made for version 0.99");
  EXPECT_SAYS(text, "this weir has 0.2");
  EXPECT_SAYS(text, "build the plugin with this weir's SDK");
}

TEST_F(LoaderTest, ReplacedFileIsANewModule) {
  Loader loader = this->loader();
  put("p.so", "probe");
  auto first = loader.load("p");
  ASSERT_TRUE(first.ok()) << first.status();
  // Overwritten in place, which would kill a process that had mapped this very file.
  write("p.so", read(built("probe_revision_2")));
  auto second = loader.load("p");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ((*first)->id, "weir.test.probe/1");
  EXPECT_EQ((*second)->id, "weir.test.probe/2");
  EXPECT_NE((*first)->http_filter.create, (*second)->http_filter.create);
  fs::remove(plugins() + "/p.so");
  weir::test::PluginScope scope;
  HttpConfig::make(**first, "", "nonsense", "config", scope.scope()).IgnoreError();
  EXPECT_EQ(scope.error_texts().size(), 1u) << "the old code still runs";
}

TEST_F(LoaderTest, CopiesArePrivateVerifiedAndMended) {
  put("p.so", "probe");
  std::string hash = sha256_hex(read(built("probe")));
  std::string copy = copies() + "/" + hash + "-" + std::to_string(getpid()) + "-p.so";
  fs::create_directory(copies());
  chmod(copies().c_str(), 0755);
  EXPECT_SAYS(error("p"), "must be a directory of this user with mode 0700");
  chmod(copies().c_str(), 0700);
  std::ofstream(copy) << "something else";
  Loader loader = this->loader();
  auto loaded = loader.load("p");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->copy, copy);
  EXPECT_EQ((*loaded)->hash, hash);
  EXPECT_EQ(sha256_hex(read(copy)), hash);
  loader.remove_copies();
  EXPECT_TRUE(fs::is_empty(copies()));
}

TEST_F(LoaderTest, ADirectoryOfItsOwnGoesWithTheCopies) {
  put("p.so", "probe");
  Loader loader({{plugins()}, ""});
  auto loaded = loader.load("p");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const fs::path directory = fs::path((*loaded)->copy).parent_path();
  EXPECT_TRUE(directory.string().starts_with("/tmp/weir-plugins-")) << directory;
  EXPECT_EQ(fs::status(directory).permissions(), fs::perms::owner_all);
  loader.remove_copies();
  EXPECT_FALSE(fs::exists(directory));
}

TEST_F(LoaderTest, StopsBeforeTheMapLimit) {
  EXPECT_TRUE(internal::check_map_room(500, 65530).ok());
  EXPECT_SAYS(internal::check_map_room(60000, 65530).message(), "60000 of 65530 memory maps");
  EXPECT_FALSE(internal::check_map_room(0, 10).ok());
}

TEST_F(LoaderTest, EntriesAreChecked) {
  weir_http_filter http{};
  http.struct_size = sizeof(http);
  http.config_create = [](weir_scope, weir_bytes, weir_bytes, void**) -> int32_t { return WEIR_OK; };
  http.config_destroy = [](void*) {};
  weir_plugin good{sizeof(weir_plugin),
                   WEIR_ABI_MAJOR,
                   WEIR_ABI_MINOR,
                   0,
                   "x/1",
                   [](const weir_api*) -> int32_t { return WEIR_OK; },
                   &http,
                   nullptr};
  EXPECT_TRUE(internal::check_entry(good).ok());
  weir_plugin longer = good;
  longer.struct_size = 4096;
  EXPECT_TRUE(internal::check_entry(longer).ok()) << "tables grow at their end";
  auto broken = [&](auto change) {
    weir_plugin entry = good;
    change(entry);
    return std::string(internal::check_entry(entry).message());
  };
  EXPECT_SAYS(broken([](weir_plugin& e) { e.struct_size = 4; }), "version");
  EXPECT_SAYS(broken([](weir_plugin& e) { e.struct_size = 24; }), "24 bytes");
  EXPECT_SAYS(broken([](weir_plugin& e) { e.abi_major = 7; }), "version 7.");
  EXPECT_SAYS(broken([](weir_plugin& e) { e.id = nullptr; }), "no id");
  EXPECT_SAYS(broken([](weir_plugin& e) { e.start = nullptr; }), "no start");
  EXPECT_SAYS(broken([](weir_plugin& e) { e.http_filter = nullptr; }), "offers nothing");
  weir_load_balancer lb{};
  lb.struct_size = sizeof(lb);
  EXPECT_SAYS(broken([&](weir_plugin& e) { e.load_balancer = &lb; }), "lacks one of");
  http.config_destroy = nullptr;
  EXPECT_SAYS(broken([](weir_plugin&) {}), "no config_create and config_destroy");
}

TEST(Sha256, PublishedVectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
}  // namespace weir::extensions::dynamic
