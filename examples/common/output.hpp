// SPDX-License-Identifier: BSL-1.0
#pragma once
// The output folder of an experiment: checked before the run, filled when it has succeeded.
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

namespace examples {

/// An output folder without partially written files. Files are written to a hidden folder inside it
/// and moved into place by publish(), one rename each. Without publish() the folder is left
/// unchanged.
class OutputFolder {
 public:
  /// Creates the folder and checks that it is writable. \throws std::runtime_error if it is not
  explicit OutputFolder(std::filesystem::path folder) : folder_(std::move(folder)) {
    if (folder_.empty()) throw std::runtime_error("the output folder's name is empty");
    std::error_code error;
    if (std::filesystem::exists(folder_, error) && !std::filesystem::is_directory(folder_, error))
      throw std::runtime_error(
          fmt::format("{}: is a file, not a folder to write to", folder_.string()));
    for (auto parent = std::filesystem::absolute(folder_, error);
         !std::filesystem::exists(parent, error); parent = parent.parent_path())
      made_.push_back(parent);
    std::filesystem::create_directories(folder_, error);
    if (error) clean_up();
    if (error)
      throw std::runtime_error(
          fmt::format("cannot make the output folder {}: {}", folder_.string(), error.message()));
    unfinished_ = folder_ / fmt::format(".unfinished-{}", ::getpid());
    std::filesystem::create_directory(unfinished_, error);
    if (!error && !std::ofstream(unfinished_ / "probe").put('\n').flush())
      error = std::make_error_code(std::errc::io_error);
    if (error) {
      clean_up();
      throw std::runtime_error(fmt::format("cannot write to the output folder {}: {}",
                                           folder_.string(), error.message()));
    }
    std::filesystem::remove(unfinished_ / "probe", error);
  }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;
  ~OutputFolder() { clean_up(); }

  /// The path to write the file `name` to before publish().
  std::filesystem::path path(const std::string& name) const { return unfinished_ / name; }
  const std::filesystem::path& folder() const { return folder_; }

  /// Moves all files written so far into place, replacing existing ones. May be called repeatedly.
  void publish() {
    const std::filesystem::recursive_directory_iterator all(unfinished_);
    const std::vector<std::filesystem::directory_entry> entries(
        begin(all),
        end(all));  // copied, because renaming would disturb the iteration
    for (const auto& entry : entries) {
      const auto to = folder_ / entry.path().lexically_relative(unfinished_);
      std::error_code error;
      if (entry.is_directory()) std::filesystem::create_directories(to, error);
      else std::filesystem::rename(entry.path(), to, error);
      if (error)
        throw std::runtime_error(fmt::format("cannot write {}: {}", to.string(), error.message()));
    }
    made_.clear();  // no longer empty
  }

 private:
  void clean_up() noexcept {
    std::error_code ignored;
    std::filesystem::remove_all(unfinished_, ignored);
    for (const auto& folder : made_)
      std::filesystem::remove(folder, ignored);  // innermost first, only if empty
  }

  std::filesystem::path folder_, unfinished_;
  std::vector<std::filesystem::path> made_;  // folders created by this object, innermost first
};

}  // namespace examples
