// SPDX-License-Identifier: BSL-1.0
#pragma once
// What the fuzz targets share: files for readers that want a path, the checksum that a mutated file
// lacks, and seeds.
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/crc.hpp>

#include "../folder.hpp"

namespace wgf::fuzz {

/// Inputs that a reader accepts, by name.
using Seeds = std::vector<std::pair<std::string, std::string>>;

/// The process's own folder, in memory where there is such a place.
inline const std::filesystem::path& folder() {
  namespace fs = std::filesystem;
  static const struct Folder {
    fs::path path =
        (fs::is_directory("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path()) /
        ("wgf_fuzz_" + std::to_string(getpid()));
    Folder() { fs::create_directories(path); }
    ~Folder() { fs::remove_all(path); }
  } folder;
  return folder.path;
}
/// The path of a file there with these bytes.
inline std::filesystem::path file(const std::string& name, std::string_view bytes) {
  const auto path = folder() / name;
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}
/// With the CRC-32 of all other bytes as the last four, so that a reader goes on behind it.
inline std::string sealed(std::string bytes) {
  if (bytes.size() < 4) return bytes;
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size() - 4);
  const auto sum = static_cast<std::uint32_t>(crc.checksum());
  std::memcpy(bytes.data() + bytes.size() - 4, &sum, 4);
  return bytes;
}
/// Ends the run: what was read is not what a reader may return.
inline void demand(bool good, const char* what) {
  if (!good) throw std::logic_error(std::string("fuzz: ") + what);
}

}  // namespace wgf::fuzz
