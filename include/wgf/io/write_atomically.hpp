// SPDX-License-Identifier: BSL-1.0
#pragma once
// Files that are there whole or not at all: written beside their place under another name, then
// renamed.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <random>
#include <string>
#include <system_error>

#include "file_error.hpp"

namespace wgf::detail {

/// Asks the system to put what it holds of a file, or of a folder's names, on the disk.
inline bool on_disk(const std::filesystem::path& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) return false;
  const bool done =
      ::fsync(file) == 0 || errno == EINVAL;  // EINVAL: something that cannot be put on a disk
  ::close(file);
  return done;
}

/// Calls write(stream) for a binary stream whose contents then replace the file at `path`. Readers
/// see the old file or the new one; if anything fails the old one stays and nothing is left behind.
/// The new file is on the disk, as far as the system can say, before it takes the old one's place:
/// not even a machine that fails leaves half of it. \param who begins the message of an error.
/// \throws FileError with the path and the reason.
template <class Write>
void write_atomically(const std::string& who, const std::filesystem::path& path, Write&& write) {
  namespace fs = std::filesystem;
  const auto fail = [&](const std::string& reason) {
    throw FileError(who + ": cannot write " + path.string() + ": " + reason);
  };
  const auto reason = [] {
    return errno != 0 ? std::generic_category().message(errno) : std::string("the stream failed");
  };
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status))
    fail("it exists and is not a regular file");

  fs::path temporary = path;
  std::random_device entropy;  // two writers of one file must not share the temporary
  temporary += ".part" + std::to_string((static_cast<std::uint64_t>(entropy()) << 32) | entropy());
  struct Remove {  // once renamed there is nothing to remove
    const fs::path& file;
    ~Remove() {
      std::error_code ignored;
      fs::remove(file, ignored);
    }
  } remove{temporary};
  errno = 0;
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    if (!out) fail(reason());
    write(static_cast<std::ostream&>(out));
    out.close();
    if (!out) fail(reason());
  }
  errno = 0;
  if (!on_disk(temporary, O_WRONLY)) fail(reason());
  fs::rename(temporary, path, error);
  if (error) fail(error.message());
  const fs::path folder = path.parent_path();
  on_disk(folder.empty() ? fs::path(".") : folder,
          O_RDONLY);  // the new name; not every file system can say so of a folder
}

}  // namespace wgf::detail
