// SPDX-License-Identifier: BSL-1.0
#pragma once
// What goes wrong with files.
#include <stdexcept>

namespace wgf {

/// A file that cannot be read or written, is damaged, or holds something else than was asked for.
/// The message names the file.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace wgf
