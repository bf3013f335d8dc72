// SPDX-License-Identifier: BSL-1.0
#pragma once
// A temporary folder for a test, removed at the end; whole files as strings; a full disk.
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>

namespace wgf::test {

struct Folder {
  std::filesystem::path path;
  explicit Folder(const std::string& name)
      : path(std::filesystem::temp_directory_path() /
             ("wgf_" + name + "_test_" + std::to_string(std::random_device{}()))) {
    std::filesystem::create_directory(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path / name; }
  long entries() const { return std::distance(std::filesystem::directory_iterator(path), {}); }
};
inline std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}
inline void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// Simulates a full disk for this process while the object exists: no file may grow beyond 100
/// bytes.
class FullDisk {
 public:
  FullDisk() {
    good_ = getrlimit(RLIMIT_FSIZE, &before_) == 0;
    const rlimit tight{100, before_.rlim_max};
    good_ = good_ && setrlimit(RLIMIT_FSIZE, &tight) == 0;
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_), std::signal(SIGXFSZ, handler_); }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  /// Whether the system supports this.
  bool good() const { return good_; }

 private:
  void (*handler_)(int) = std::signal(SIGXFSZ, SIG_IGN);
  rlimit before_{};
  bool good_ = false;
};

}  // namespace wgf::test
