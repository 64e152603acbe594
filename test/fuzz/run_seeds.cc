// Stands for libFuzzer where a fuzz target is built as a test: runs it once on every file of the folder that is given.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  size_t seeds = 0;
  for (const auto& seed : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(seed.path(), std::ios::binary);
    std::string input((std::istreambuf_iterator<char>(file)), {});
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", seed.path().c_str());
      return 1;
    }
    std::fprintf(stderr, "%s\n", seed.path().filename().c_str());  // the last line names what did not come back
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
    seeds++;
  }
  std::printf("%zu seeds\n", seeds);
  return seeds == 0 ? 1 : 0;
}
