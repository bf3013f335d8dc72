// SPDX-License-Identifier: BSL-1.0
#pragma once
// The folder that an example writes to: checked before the run starts, filled in one go when it has
// ended.
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

/// An output folder in which nothing is ever half-written. Files are made in a hidden folder inside
/// it (the same file system, so that a rename is all it takes) and moved into place by publish();
/// without publish() the folder is left as it was found.
class OutputFolder {
 public:
  /// Makes the folder and checks that files can be made in it. \throws std::runtime_error saying
  /// why not.
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

  /// Where to write the file `name` now; publish() moves it into the folder.
  std::filesystem::path path(const std::string& name) const { return unfinished_ / name; }
  const std::filesystem::path& folder() const { return folder_; }

  /// Moves every file made so far into place, each by one rename over what was there before. May be
  /// called again.
  void publish() {
    const std::filesystem::recursive_directory_iterator all(unfinished_);
    const std::vector<std::filesystem::directory_entry> entries(
        begin(all),
        end(all));  // a list of its own: renaming disturbs the iteration
    for (const auto& entry : entries) {
      const auto to = folder_ / entry.path().lexically_relative(unfinished_);
      std::error_code error;
      if (entry.is_directory()) std::filesystem::create_directories(to, error);
      else std::filesystem::rename(entry.path(), to, error);
      if (error)
        throw std::runtime_error(fmt::format("cannot write {}: {}", to.string(), error.message()));
    }
    made_.clear();  // they hold something now
  }

 private:
  void clean_up() noexcept {
    std::error_code ignored;
    std::filesystem::remove_all(unfinished_, ignored);
    for (const auto& folder : made_)
      std::filesystem::remove(folder, ignored);  // from the inside out, only what is empty
  }

  std::filesystem::path folder_, unfinished_;
  std::vector<std::filesystem::path>
      made_;  // folders that were not there before, the innermost first
};

}  // namespace examples
