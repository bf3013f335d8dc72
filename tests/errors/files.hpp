// SPDX-License-Identifier: BSL-1.0
#pragma once
// Files for the tests of errors.
#include <filesystem>
#include <random>
#include <string>

#include "../folder.hpp"

namespace wgf::test {

/// A new folder that is the process's own as long as this lives, so that messages name files
/// without it.
struct OwnFolder {
  std::filesystem::path before = std::filesystem::current_path(),
                        path = std::filesystem::temp_directory_path() /
                               ("wgf_errors_" + std::to_string(std::random_device{}()));
  OwnFolder() { std::filesystem::create_directory(path), std::filesystem::current_path(path); }
  ~OwnFolder() { std::filesystem::current_path(before), std::filesystem::remove_all(path); }
};

}  // namespace wgf::test
