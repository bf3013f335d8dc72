// SPDX-License-Identifier: BSL-1.0
#pragma once
// The output folder of an experiment: checked before the run, filled when it has succeeded.
#include <filesystem>
#include <string>
#include <vector>

namespace examples {

/// An output folder without partially written files. Files are written to a hidden folder inside it
/// and moved into place by publish(), one rename each. Without publish() the folder is left
/// unchanged.
class OutputFolder {
 public:
  /// Creates the folder and checks that it is writable. \throws std::runtime_error if it is not
  explicit OutputFolder(std::filesystem::path folder);
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder() { clean_up(); }

  /// The path to write the file `name` to before publish().
  std::filesystem::path path(const std::string& name) const { return unfinished_ / name; }
  const std::filesystem::path& folder() const { return folder_; }

  /// Moves all files written so far into place, replacing existing ones. May be called repeatedly.
  void publish();

 private:
  void clean_up() noexcept;

  std::filesystem::path folder_, unfinished_;
  std::vector<std::filesystem::path> made_;  // folders created by this object, innermost first
};

}  // namespace examples
