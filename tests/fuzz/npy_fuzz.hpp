// SPDX-License-Identifier: BSL-1.0
#pragma once
// NumPy files: what is read holds no more numbers than the file has, and comes back from a file of
// ours bit for bit.
#include <wgf/io/npy.hpp>

#include <sstream>

#include "input.hpp"

namespace wgf::fuzz {

inline void feed(std::string_view input) {
  std::istringstream in{std::string(input)};
  try {
    const Particles x = detail::read_npy_stream(in, input.size());
    demand(static_cast<std::size_t>(x.size()) <= input.size() / 4,
           "more numbers than the file has");
    write_npy(folder() / "x.npy", x);
    const Particles y = read_npy(folder() / "x.npy");
    demand(y.rows() == x.rows() && y.cols() == x.cols(), "another shape");
    demand(x.size() == 0 || std::memcmp(x.data(), y.data(),
                                        static_cast<std::size_t>(x.size()) * sizeof(double)) == 0,
           "other numbers");
  } catch (const FileError&) {
  }
}

inline Seeds seeds() {
  Particles x(2, 3);
  x << 1, 3, 5, 2, 4, 6;
  write_npy(folder() / "seed.npy", x);
  const std::string ours = test::read(folder() / "seed.npy");
  const auto array = [](int version, const std::string& header, std::size_t bytes) {
    std::string text = "\x93NUMPY" + std::string(1, static_cast<char>(version)) + '\0' +
                       static_cast<char>(header.size()) + '\0';
    if (version > 1) text += std::string(2, '\0');
    return text + header + std::string(bytes, '\x3f');
  };
  return {
      {"ours", ours},
      {"float32", array(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }\n", 24)},
      {"big_endian", array(2, "{'descr': '>f8', 'fortran_order': True, 'shape': (3,), }\n", 24)},
      {"other_order", array(3, R"({"shape":(1,2),"descr":">f4","fortran_order":False})", 8)},
      {"no_numbers", array(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 2)}", 0)}};
}

}  // namespace wgf::fuzz
