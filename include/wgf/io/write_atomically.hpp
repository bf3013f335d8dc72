// SPDX-License-Identifier: BSL-1.0
#pragma once
// Atomic file writes: a file is written under a temporary name in the same folder, then renamed.
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

/// Asks the system to flush a file, or the entries of a folder, to disk.
inline bool on_disk(const std::filesystem::path& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC);
  if (file < 0) return false;
  const bool done =
      ::fsync(file) == 0 || errno == EINVAL;  // EINVAL: something that cannot be flushed to a disk
  ::close(file);
  return done;
}

/// Calls write(stream) with a binary stream whose contents then replace the file at `path`. Readers
/// see the old file or the new one; if anything fails, the old file stays and no temporary file is
/// left. The new file is flushed to disk, as far as the system can tell, before it replaces the old
/// one, so that not even a system crash leaves a partial file.
/// \param who prefix of error messages.
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
  std::random_device entropy;  // two writers of one file must not share a temporary file
  temporary += ".part" + std::to_string((static_cast<std::uint64_t>(entropy()) << 32) | entropy());
  struct Remove {  // after the rename there is nothing to remove
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
          O_RDONLY);  // flushes the new name; not every file system supports this for a folder
}

}  // namespace wgf::detail
