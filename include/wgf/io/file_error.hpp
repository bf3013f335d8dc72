// SPDX-License-Identifier: BSL-1.0
#pragma once
// Errors in reading and writing files.
#include <stdexcept>

namespace wgf {

/// A file cannot be read or written, is damaged, or does not contain what was expected. The message
/// names the file.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace wgf
