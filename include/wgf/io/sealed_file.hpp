// SPDX-License-Identifier: BSL-1.0
#pragma once
// The format of the library's binary files: a magic word and a version, a text header that
// describes the contents, the numbers, and a checksum.
//
//   magic (8 bytes) | u32 version | u32 header length | header: one "key: value" per line |
//   numbers, little-endian | u32 CRC-32 of everything before it
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <Eigen/Core>
#include <boost/crc.hpp>

#include "write_atomically.hpp"

namespace wgf::detail {

static_assert(std::endian::native == std::endian::little,
              "wgf: files are little-endian, and so must the machine be");

/// Identifies a kind of file, in the file and in messages.
struct FileKind {
  char magic[9];  ///< eight letters
  std::uint32_t version;
  const char* reader;  ///< the function that reads it: prefix of error messages
  const char* what;    ///< in messages, such as "a wgf flow"
};

using Header = std::map<std::string, std::string>;

class ByteWriter {
 public:
  template <class T>
  void put(const T* data, std::size_t n) {
    bytes_.append(reinterpret_cast<const char*>(data), n * sizeof(T));
  }
  template <class T>
    requires std::is_arithmetic_v<T>
  void put(T value) {
    put(&value, 1);
  }
  void put(const Eigen::MatrixXd& m) { put(m.data(), static_cast<std::size_t>(m.size())); }
  /// Writes a list for ByteReader::list(): its length, then the numbers.
  template <class T>
  void put_list(const std::vector<T>& values) {
    put(static_cast<std::uint64_t>(values.size())), put(values.data(), values.size());
  }
  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads numbers, and never past the end: sizes in the header are checked against the available
/// data before memory is allocated.
class ByteReader {
 public:
  ByteReader(std::string who, const char* data, std::size_t n)
      : who_(std::move(who)), at_(data), left_(n) {}
  template <class T>
  void get(T* data, std::size_t n) {
    need(n, sizeof(T));
    if (n > 0) std::memcpy(data, at_, n * sizeof(T));
    at_ += n * sizeof(T), left_ -= n * sizeof(T);
  }
  template <class T>
  T get() {
    T value;
    get(&value, 1);
    return value;
  }
  template <class T>
  std::vector<T> list() {
    return list<T>(get<std::uint64_t>());
  }
  template <class T>
  std::vector<T> list(std::size_t n) {
    need(n, sizeof(T));
    std::vector<T> values(n);
    get(values.data(), n);
    return values;
  }
  Eigen::MatrixXd matrix(std::size_t rows, std::size_t cols) {
    if (cols > 0) need(rows, cols);  // also ensures that the product does not overflow
    need(rows * cols, sizeof(double));
    Eigen::MatrixXd m(rows, cols);
    get(m.data(), rows * cols);
    return m;
  }
  std::string text(std::size_t n) {
    need(n, 1);
    std::string s(at_, n);
    at_ += n, left_ -= n;
    return s;
  }
  void need(std::size_t n, std::size_t size) const {
    if (n > left_ / size) fail("the file is shorter than its header says");
  }
  /// To be called after the last number. \throws FileError if there is more data.
  void end() const {
    if (left_ != 0) fail("the file is longer than its header says");
  }
  [[noreturn]] void fail(const std::string& why) const { throw FileError(who_ + why); }

 private:
  std::string who_;
  const char* at_;
  std::size_t left_;
};

/// The bytes of a complete file.
inline std::string sealed(const FileKind& kind, const Header& header, const ByteWriter& body) {
  std::string text;
  for (const auto& [key, value] : header) text += key + ": " + value + "\n";
  ByteWriter out;
  out.put(kind.magic, 8);
  out.put(kind.version);
  out.put(static_cast<std::uint32_t>(text.size()));
  out.put(text.data(), text.size());
  out.put(body.bytes().data(), body.bytes().size());
  boost::crc_32_type crc;
  crc.process_bytes(out.bytes().data(), out.bytes().size());
  out.put(static_cast<std::uint32_t>(crc.checksum()));
  return out.take();
}

/// A file that was read and verified: its header, and its numbers, to be read in order.
class OpenedFile {
 public:
  /// \throws FileError for a file that is missing, truncated, damaged, or of another kind or
  /// version.
  OpenedFile(const FileKind& kind, const std::filesystem::path& path)
      : who_(std::string(kind.reader) + ": " + path.string() + ": ") {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
      fail("cannot be read: it is not a regular file");
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file) fail(std::string("cannot be read: ") + std::strerror(errno));
    std::ostringstream content;
    content << file.rdbuf();
    bytes_ = std::move(content).str();
    open(kind);
  }
  const std::string& who() const { return who_; }
  [[noreturn]] void fail(const std::string& why) const { throw FileError(who_ + why); }
  bool has(const std::string& key) const { return header_.count(key) > 0; }
  /// The value of a header entry, empty if there is none.
  std::string entry(const std::string& key) const { return has(key) ? header_.at(key) : ""; }
  long number(const std::string& key, long least, long most) const {
    if (!has(key)) fail("the header lacks \"" + key + "\"");
    const std::string text = entry(key);
    const char* end = text.data() + text.size();
    long value = 0;
    const auto read = std::from_chars(text.data(), end, value);
    if (read.ec != std::errc() || read.ptr != end || value < least || value > most)
      fail("the header's \"" + key + "\" is \"" + text + "\"");
    return value;
  }
  /// \throws FileError unless the entry has the expected value.
  void must_be(const std::string& key, const std::string& expected) const {
    if (entry(key) != expected)
      fail("the file's " + key + " is " + entry(key) + ", not " + expected);
  }
  ByteReader numbers() const {
    return {who_, bytes_.data() + body_, bytes_.size() - body_ - sizeof(std::uint32_t)};
  }

 private:
  void open(const FileKind& kind) {
    constexpr std::size_t smallest = 8 + 3 * sizeof(std::uint32_t);
    if (bytes_.size() < 8 || std::memcmp(bytes_.data(), kind.magic, 8) != 0)
      fail(std::string("this is not a file of ") + kind.what);
    if (bytes_.size() < smallest) fail("the file is truncated");
    ByteReader in(who_, bytes_.data() + 8, bytes_.size() - 8 - sizeof(std::uint32_t));
    const auto version = in.get<std::uint32_t>();
    if (version != kind.version)
      fail("the file has version " + std::to_string(version) + ", this library reads version " +
           std::to_string(kind.version));
    std::uint32_t sum;
    std::memcpy(&sum, bytes_.data() + bytes_.size() - sizeof sum, sizeof sum);
    boost::crc_32_type crc;
    crc.process_bytes(bytes_.data(), bytes_.size() - sizeof sum);
    if (crc.checksum() != sum) fail("the checksum is wrong: the file is damaged or truncated");
    const auto length = in.get<std::uint32_t>();
    std::istringstream lines(in.text(length));
    for (std::string line; std::getline(lines, line);)
      if (const auto colon = line.find(": "); colon != std::string::npos)
        header_[line.substr(0, colon)] = line.substr(colon + 2);
    body_ = 8 + 2 * sizeof(std::uint32_t) + length;
  }

  std::string who_, bytes_;
  Header header_;
  std::size_t body_ = 0;
};

template <class Scalar>
constexpr const char* scalar_name() {
  return sizeof(Scalar) == 4 ? "float32" : "float64";
}

}  // namespace wgf::detail
