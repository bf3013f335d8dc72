// SPDX-License-Identifier: BSL-1.0
#pragma once
// Particles as NumPy .npy files (formats 1.0 to 3.0): numpy.load reads files from write_npy, and
// read_npy reads files from numpy.save.
#include <algorithm>
#include <bit>
#include <cctype>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "../particles.hpp"
#include "write_atomically.hpp"

namespace wgf {

namespace detail {

/// The header of a .npy file:
/// {'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }.
struct NpyHeader {
  std::string type;
  bool fortran = false;
  std::vector<std::uint64_t> shape;

  /// Parses the dictionary. \throws FileError with a description of what is wrong.
  static NpyHeader parse(std::string_view text) {
    NpyHeader header;
    bool seen[3] = {};
    Cursor at{text};
    at.expect('{');
    while (!at.accept('}')) {
      const std::string key = at.quoted();
      at.expect(':');
      if (key == "descr") {
        at.skip();
        if (at.text.empty() || (at.text[0] != '\'' && at.text[0] != '"'))
          throw FileError("arrays of records are not supported");
        header.type = at.quoted(), seen[0] = true;
      } else if (key == "fortran_order") {
        header.fortran = at.boolean(), seen[1] = true;
      } else if (key == "shape") {
        header.shape = at.numbers(), seen[2] = true;
      } else {
        throw FileError("the header has an unknown entry '" + key + "'");
      }
      if (!at.accept(',')) {
        at.expect('}');
        break;
      }
    }
    at.skip();
    if (!at.text.empty()) throw FileError("the header goes on after its end");
    if (!seen[0] || !seen[1] || !seen[2])
      throw FileError("the header lacks descr, fortran_order or shape");
    return header;
  }

 private:
  struct Cursor {
    std::string_view text;

    void skip() {
      while (!text.empty() &&
             (text[0] == ' ' || text[0] == '\n' || text[0] == '\t' || text[0] == '\r'))
        text.remove_prefix(1);
    }
    bool accept(char c) {
      skip();
      if (text.empty() || text[0] != c) return false;
      text.remove_prefix(1);
      return true;
    }
    void expect(char c) {
      if (!accept(c)) throw FileError(std::string("the header is malformed: expected '") + c + "'");
    }
    std::string quoted() {
      skip();
      const char quote = text.empty() ? '\0' : text[0];
      const std::size_t end =
          quote == '\'' || quote == '"' ? text.find(quote, 1) : std::string_view::npos;
      if (end == std::string_view::npos)
        throw FileError("the header is malformed: expected a string in quotes");
      std::string inside(text.substr(1, end - 1));
      text.remove_prefix(end + 1);
      return inside;
    }
    bool boolean() {
      skip();
      for (const bool value : {true, false}) {
        const std::string_view word = value ? "True" : "False";
        if (!text.starts_with(word)) continue;
        text.remove_prefix(word.size());
        return value;
      }
      throw FileError("the header is malformed: fortran_order must be True or False");
    }
    std::vector<std::uint64_t> numbers() {
      std::vector<std::uint64_t> all;
      expect('(');
      while (!accept(')')) {
        skip();
        std::uint64_t value = 0;
        std::size_t digits = 0;
        for (; digits < text.size() && std::isdigit(static_cast<unsigned char>(text[digits]));
             ++digits) {
          if (digits == 18) throw FileError("the shape is too large");
          value = 10 * value + static_cast<std::uint64_t>(text[digits] - '0');
        }
        if (digits == 0)
          throw FileError("the header is malformed: the shape must consist of numbers");
        text.remove_prefix(digits);
        all.push_back(value);
        if (!accept(',')) {
          expect(')');
          break;
        }
      }
      return all;
    }
  };
};

/// The number of type T at `bytes`: big-endian if `big`, otherwise little-endian.
template <class T>
double npy_number(const char* bytes, bool big) {
  char ordered[sizeof(T)];
  std::memcpy(ordered, bytes, sizeof(T));
  if (big != (std::endian::native == std::endian::big)) std::reverse(ordered, ordered + sizeof(T));
  T value;
  std::memcpy(&value, ordered, sizeof(T));
  return static_cast<double>(value);
}

/// The array in a stream of `size` bytes. \throws FileError with the reason if there is none.
inline Particles read_npy_stream(std::istream& in, std::uint64_t size) {
  const auto read = [&](char* to, std::uint64_t count) {
    if (count > size || !in.read(to, static_cast<std::streamsize>(count)))
      throw FileError("the file ends within the header");
    size -= count;
  };
  // "\x93NUMPY", version (two bytes), length of the header (two bytes in version 1, four in later
  // versions), header, numbers.
  char magic[8];
  if (size < 8) throw FileError("it is not a .npy file (too short)");
  read(magic, 8);
  if (std::memcmp(magic, "\x93NUMPY", 6) != 0)
    throw FileError("it is not a .npy file (wrong magic bytes)");
  const int version = static_cast<unsigned char>(magic[6]);
  if (version < 1 || version > 3)
    throw FileError("version " + std::to_string(version) + " of the .npy format is unknown");
  unsigned char length_bytes[4] = {};
  read(reinterpret_cast<char*>(length_bytes), version == 1 ? 2 : 4);
  std::uint64_t length = 0;
  for (int i = 3; i >= 0; --i) length = 256 * length + length_bytes[i];
  if (length > size) throw FileError("the file ends within the header");
  if (length > 65536)
    throw FileError("the header is too long for an array of numbers (" + std::to_string(length) +
                    " bytes)");
  std::string text(length, '\0');
  read(text.data(), length);
  const NpyHeader header = NpyHeader::parse(text);

  const std::string& type = header.type;
  const bool big = type.starts_with('>');
  if (type != "<f4" && type != "<f8" && type != ">f4" && type != ">f8")
    throw FileError("the numbers must be float32 or float64, the file holds '" + type + "'");
  const std::uint64_t width = type.ends_with('4') ? 4 : 8;
  if (header.shape.empty() || header.shape.size() > 2)
    throw FileError("the array must have one or two dimensions, it has " +
                    std::to_string(header.shape.size()));
  const std::uint64_t n = header.shape[0], d = header.shape.size() == 2 ? header.shape[1] : 1;
  // Checked before memory is allocated: the file must contain as many numbers as its shape claims
  // (computed in an order that cannot overflow), and neither dimension may exceed the range of a
  // matrix index, whatever the other is.
  const std::uint64_t held = size / width, most = std::numeric_limits<Eigen::Index>::max() / 8;
  const bool fits = d == 0 || n <= held / d;
  if (!fits || n > most || d > most)
    throw FileError("the file is truncated: a shape of " + std::to_string(n) + " x " +
                    std::to_string(d) + " needs more than its " + std::to_string(size) +
                    " bytes of numbers");
  if (n * d * width != size)
    throw FileError("the file has " + std::to_string(size) + " bytes of numbers where a shape of " +
                    std::to_string(n) + " x " + std::to_string(d) + " needs " +
                    std::to_string(n * d * width));

  Particles x(static_cast<Eigen::Index>(d), static_cast<Eigen::Index>(n));
  std::vector<char> buffer(std::min<std::uint64_t>(size, 1 << 16));  // a multiple of both widths
  std::uint64_t index = 0;
  while (size > 0) {
    const std::uint64_t chunk = std::min<std::uint64_t>(size, buffer.size());
    if (!in.read(buffer.data(), static_cast<std::streamsize>(chunk)))
      throw FileError("the numbers cannot be read");
    size -= chunk;
    for (std::uint64_t i = 0; i < chunk; i += width, ++index) {
      const double value =
          width == 4 ? npy_number<float>(&buffer[i], big) : npy_number<double>(&buffer[i], big);
      // In the file, coordinates vary fastest in C order, and particles in Fortran order.
      const std::uint64_t particle = header.fortran ? index % n : index / d,
                          coordinate = header.fortran ? index / n : index % d;
      x(static_cast<Eigen::Index>(coordinate), static_cast<Eigen::Index>(particle)) = value;
    }
  }
  return x;
}

}  // namespace detail

/// Writes the particles as an array of shape (n, d), float64 in C order, so that row i of the NumPy
/// array is particle i. The file is written completely or not at all.
/// \throws FileError with the path and the reason if it cannot be written.
inline void write_npy(const std::filesystem::path& path, const Particles& x) {
  static_assert(
      std::endian::native == std::endian::little,
      "wgf: write_npy writes numbers as they lie in memory, least significant byte first");
  std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (" +
                       std::to_string(x.cols()) + ", " + std::to_string(x.rows()) + "), }";
  const std::size_t preamble = 10;
  header.append(63 - (preamble + header.size()) % 64, ' ')
      .push_back('\n');  // the numbers begin at a multiple of 64 bytes
  const char start[preamble] = {
      '\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, static_cast<char>(header.size()), 0};
  detail::write_atomically("wgf::write_npy", path, [&](std::ostream& out) {
    out.write(start, preamble).write(header.data(), static_cast<std::streamsize>(header.size()));
    // The columns of a d × n matrix, one after another, are the rows of an n × d array.
    out.write(reinterpret_cast<const char*>(x.data()),
              static_cast<std::streamsize>(static_cast<std::size_t>(x.size()) * sizeof(double)));
  });
}

/// Reads an array of shape (n, d), or (n) for d = 1, of float32 or float64 in C or Fortran order:
/// row i is particle i. Memory is allocated only after the size of the file has been checked
/// against the shape in the header.
/// \returns d × n.
/// \throws FileError with the path and the reason if the file cannot be read or contains something
/// else.
inline Particles read_npy(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& reason) {
    throw FileError("wgf::read_npy: cannot read " + path.string() + ": " + reason);
  };
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error))
    fail(error ? error.message() : "it is not a regular file");
  const std::uint64_t size = std::filesystem::file_size(path, error);
  if (error) fail(error.message());
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("it cannot be opened");
  try {
    return detail::read_npy_stream(in, size);
  } catch (const FileError& problem) {
    fail(problem.what());
  }
  return {};
}

}  // namespace wgf
