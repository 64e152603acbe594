// From the name of a module to its loaded code. What is mapped is a private copy named by the hash of its content, so
// that nobody who replaces the file touches running code; the same content is loaded once; nothing is unloaded.
//
// Off unless the environment of the process names directories: configuration, which may come from far away, can choose
// among the plugins there and cannot add to them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "extensions/dynamic/module.h"

namespace weir::extensions::dynamic {

// [main]
class Loader {
 public:
  struct Options {
    std::vector<std::string> directories;  // absolute; plugins may lie in or below them
    std::string copies;                    // where copies are kept; empty: a new directory in /tmp
  };
  explicit Loader(Options options) : options_(std::move(options)) {}
  // WEIR_PLUGIN_DIRS: directories separated by ':'. WEIR_PLUGIN_COPIES: the directory of the copies.
  static Options options_from_environment();
  // The one that the process's configuration uses, with the options of the environment at its first use.
  static Loader& process();

  // `module`: an absolute path, or "x" for x.so or libx.so in one of the directories. The
  // pointer is good as long as the loader.
  Result<const Module*> load(std::string_view module);
  // Takes the copies away, and their directory if that was made here; what is mapped stays mapped. That of process() is
  // called when the process ends in order: what a crash leaves is there for the debugger.
  void remove_copies();

 private:
  Result<std::string> find(std::string_view module) const;
  Result<std::string> make_copy(const std::string& path, const std::string& content, const std::string& hash);
  Result<std::unique_ptr<Module>> open(const std::string& path, const std::string& copy) const;

  Options options_;
  std::map<std::string, std::unique_ptr<Module>> modules_;  // by hash
  std::vector<std::string> copies_;
  std::string own_directory_;  // empty: none was made
};

namespace internal {
// Memory maps in use and allowed; an error if loading one more library would come near the limit.
Status check_map_room(size_t used, size_t allowed);
// What is wrong with the beginning of a file that should be a shared library for this machine.
Status check_elf(std::string_view content);
// What is wrong with an entry: version, sizes, missing parts.
Status check_entry(const weir_plugin& entry);
}  // namespace internal

}  // namespace weir::extensions::dynamic
