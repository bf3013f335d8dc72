// SPDX-License-Identifier: BSL-1.0
#include "output.hpp"

#include <unistd.h>

#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace examples {

OutputFolder::OutputFolder(std::filesystem::path folder) : folder_(std::move(folder)) {
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
    throw std::runtime_error(
        fmt::format("cannot write to the output folder {}: {}", folder_.string(), error.message()));
  }
  std::filesystem::remove(unfinished_ / "probe", error);
}

void OutputFolder::publish() {
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

void OutputFolder::clean_up() noexcept {
  std::error_code ignored;
  std::filesystem::remove_all(unfinished_, ignored);
  for (const auto& folder : made_)
    std::filesystem::remove(folder, ignored);  // innermost first, only if empty
}

}  // namespace examples
