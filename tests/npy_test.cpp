// SPDX-License-Identifier: BSL-1.0
#include <wgf/io/npy.hpp>
#include <wgf/random.hpp>

#include <bit>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <string>

#include "catch.hpp"
#include "folder.hpp"
#include "support.hpp"

using wgf::Particles;
using wgf::test::Folder, wgf::test::message_of, wgf::test::read, wgf::test::write;
namespace fs = std::filesystem;

namespace {
template <class T>
std::string bytes_of(std::initializer_list<T> values, bool big = false) {
  std::string all;
  for (const T value : values) {
    std::string one(reinterpret_cast<const char*>(&value), sizeof(T));
    if (big != (std::endian::native == std::endian::big)) one.assign(one.rbegin(), one.rend());
    all += one;
  }
  return all;
}
// A file of version 1.0 with this header.
std::string npy(const std::string& header, const std::string& numbers) {
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(header.size()) +
         std::string(1, '\0') + header + numbers;
}
std::string refusal(const fs::path& path, const std::string& bytes) {
  write(path, bytes);
  const std::string message = message_of<std::runtime_error>([&] { wgf::read_npy(path); });
  const std::string start = "wgf::read_npy: cannot read " + path.string() + ": ";
  return message.starts_with(start) ? message.substr(start.size())
                                    : "(the message lacks the path) " + message;
}
}  // namespace

TEST_CASE("write_npy and read_npy return the same bits") {
  const Folder folder("npy");
  for (const auto& [d, n] : {std::pair{1, 1}, {1, 7}, {3, 1}, {2, 10000}, {13, 5}, {2, 0}}) {
    const Particles x = wgf::standard_normals(d, n, 1);
    wgf::write_npy(folder / "x.npy", x);
    const Particles y = wgf::read_npy(folder / "x.npy");
    REQUIRE(y.rows() == d);
    REQUIRE(y.cols() == n);
    CHECK(y == x);
    CHECK(folder.entries() == 1);
  }
}

TEST_CASE("write_npy writes the bytes that numpy.save writes") {
  const Folder folder("npy");
  wgf::write_npy(folder / "x.npy", (Particles(2, 3) << 1, 3, 5, 2, 4, 6).finished());
  // numpy.save of [[1, 2], [3, 4], [5, 6]].
  std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }";
  header += std::string(117 - header.size(), ' ') + '\n';
  CHECK(read(folder / "x.npy") == npy(header, bytes_of<double>({1, 2, 3, 4, 5, 6})));
}

TEST_CASE("read_npy reads what NumPy may have written") {
  const Folder folder("npy");
  const fs::path path = folder / "x.npy";
  const Particles expected = (Particles(2, 3) << 1, 3, 5, 2, 4, 6).finished();
  SECTION("float32 in Fortran order") {
    std::string header = "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }";
    header += std::string(117 - header.size(), ' ') + '\n';
    write(path, npy(header, bytes_of<float>({1, 3, 5, 2, 4, 6})));
    CHECK(wgf::read_npy(path) == expected);
  }
  SECTION("float32 in C order") {
    write(path, npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }\n",
                    bytes_of<float>({1, 2, 3, 4, 5, 6})));
    CHECK(wgf::read_npy(path) == expected);
  }
  SECTION("float64 in Fortran order") {
    write(path, npy("{'descr': '<f8', 'fortran_order': True, 'shape': (3, 2), }\n",
                    bytes_of<double>({1, 3, 5, 2, 4, 6})));
    CHECK(wgf::read_npy(path) == expected);
  }
  SECTION("the most significant byte first") {
    write(path, npy("{'descr': '>f8', 'fortran_order': False, 'shape': (3, 2), }\n",
                    bytes_of<double>({1, 2, 3, 4, 5, 6}, true)));
    CHECK(wgf::read_npy(path) == expected);
    write(path, npy("{'descr': '>f4', 'fortran_order': True, 'shape': (3, 2), }\n",
                    bytes_of<float>({1, 3, 5, 2, 4, 6}, true)));
    CHECK(wgf::read_npy(path) == expected);
  }
  SECTION("one dimension: particles on the line") {
    write(path, npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }\n",
                    bytes_of<double>({1, 2, 3})));
    CHECK(wgf::read_npy(path) == (Particles(1, 3) << 1, 2, 3).finished());
  }
  SECTION("entries in another order, other quotes, no last comma") {
    write(path, npy(R"({"shape":(3,2),"descr":"<f8","fortran_order":False})",
                    bytes_of<double>({1, 2, 3, 4, 5, 6})));
    CHECK(wgf::read_npy(path) == expected);
  }
  SECTION("versions 2.0 and 3.0, whose header's length has four bytes") {
    for (const char version : {'\x02', '\x03'}) {
      const std::string header = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }\n";
      write(path, "\x93NUMPY" + std::string(1, version) + std::string(1, '\0') +
                      static_cast<char>(header.size()) + std::string(3, '\0') + header +
                      bytes_of<double>({1, 2, 3, 4, 5, 6}));
      CHECK(wgf::read_npy(path) == expected);
    }
  }
  SECTION("more numbers than are read at a time") {
    std::string numbers;
    for (int i = 0; i < 30001; ++i) numbers += bytes_of<float>({static_cast<float>(i)});
    write(path, npy("{'descr': '<f4', 'fortran_order': True, 'shape': (30001, 1), }\n", numbers));
    const Particles x = wgf::read_npy(path);
    CHECK(x == Eigen::RowVectorXd::LinSpaced(30001, 0, 30000));
  }
}

TEST_CASE("read_npy refuses malformed files with their path and a reason") {
  const Folder folder("npy");
  const fs::path path = folder / "x.npy";
  const std::string good = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 2), }\n";
  const std::string numbers = bytes_of<double>({1, 2, 3, 4, 5, 6}), whole = npy(good, numbers);
  const auto shape = [&](const std::string& s) {
    return refusal(
        path, npy("{'descr': '<f8', 'fortran_order': False, 'shape': " + s + ", }\n", numbers));
  };
  const auto with = [&](const std::string& header) { return refusal(path, npy(header, numbers)); };

  CHECK(refusal(path, "") == "it is not a .npy file (too short)");
  CHECK(refusal(path, "\x93NUMPY") == "it is not a .npy file (too short)");
  CHECK(refusal(path, "x,y\n1,2\n3,4\n") == "it is not a .npy file (wrong magic bytes)");
  CHECK(refusal(path, "\x93NUMPX" + whole.substr(6)) ==
        "it is not a .npy file (wrong magic bytes)");
  CHECK(refusal(path, "\x93NUMPY\x09" + whole.substr(7)) ==
        "version 9 of the .npy format is unknown");

  CHECK(refusal(path, whole.substr(0, 9)) == "the file ends within the header");
  CHECK(refusal(path, whole.substr(0, 40)) == "the file ends within the header");
  CHECK(refusal(path, std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + good) ==
        "the file ends within the header");
  CHECK(refusal(path,
                std::string("\x93NUMPY\x02\x00\x00\x00\x02\x00", 12) + std::string(200000, ' ')) ==
        "the header is too long for an array of numbers (131072 bytes)");
  CHECK(refusal(path, whole.substr(0, whole.size() - 1)) ==
        "the file is truncated: a shape of 3 x 2 needs more than its 47 bytes of numbers");
  CHECK(refusal(path, whole + "x") ==
        "the file has 49 bytes of numbers where a shape of 3 x 2 needs 48");

  // Claims that would need more memory than there is, or overflow when multiplied.
  CHECK(shape("(1000000000, 1000000)") ==
        "the file is truncated: a shape of 1000000000 x 1000000 needs more than its 48 bytes of "
        "numbers");
  CHECK(shape("(4294967296, 4294967296)") ==
        "the file is truncated: a shape of 4294967296 x 4294967296 needs more than its 48 bytes of "
        "numbers");
  CHECK(shape("(2, 99999999999999999)") ==
        "the file is truncated: a shape of 2 x 99999999999999999 needs more than its 48 bytes of "
        "numbers");
  CHECK(shape("(99999999999999999999999999, 1)") == "the shape is too large");
  CHECK(shape("(0, 5)") == "the file has 48 bytes of numbers where a shape of 0 x 5 needs 0");
  CHECK(shape("()") == "the array must have one or two dimensions, it has 0");
  CHECK(shape("(3, 2, 1)") == "the array must have one or two dimensions, it has 3");
  CHECK(shape("(-3, 2)") == "the header is malformed: the shape must consist of numbers");
  CHECK(shape("(3 2)") == "the header is malformed: expected ')'");

  CHECK(with("{'descr': '<i8', 'fortran_order': False, 'shape': (3, 2), }") ==
        "the numbers must be float32 or float64, the file holds '<i8'");
  CHECK(with("{'descr': [('x', '<f8')], 'fortran_order': False, 'shape': (3, 2), }") ==
        "arrays of records are not supported");
  CHECK(with("{'descr': '<f8', 'fortran_order': Perhaps, 'shape': (3, 2), }") ==
        "the header is malformed: fortran_order must be True or False");
  CHECK(with("{'descr': '<f8', 'shape': (3, 2), }") ==
        "the header lacks descr, fortran_order or shape");
  CHECK(with("{'descr': '<f8', 'colour': 'red', }") == "the header has an unknown entry 'colour'");
  CHECK(with("{'descr': '<f8") == "the header is malformed: expected a string in quotes");
  CHECK(with("{'descr' '<f8'}") == "the header is malformed: expected ':'");
  CHECK(with("") == "the header is malformed: expected '{'");
  CHECK(with("{") == "the header is malformed: expected a string in quotes");
  CHECK(with(good + "}") == "the header goes on after its end");

  // However the file is cut, and whatever byte is changed, it is read or refused.
  for (std::size_t i = 0; i < whole.size(); ++i)
    CHECK_FALSE(refusal(path, whole.substr(0, i)).starts_with('('));
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (const char c : {'\x00', '\x7f', '\xff', '9', '('}) {
      std::string changed = whole;
      changed[i] = c;
      std::istringstream in(changed);
      Eigen::Index read = 6;
      try {
        read = wgf::detail::read_npy_stream(in, changed.size()).size();
      } catch (const std::runtime_error&) {  // refused: any other exception, or a wrong size, fails
      }
      CHECK(read == 6);
    }
}

TEST_CASE("read_npy and write_npy say which file, and why") {
  const Folder folder("npy");
  const std::string missing = (folder / "missing.npy").string(), place = folder.path.string();
  CHECK(message_of<std::runtime_error>([&] { wgf::read_npy(missing); }) ==
        "wgf::read_npy: cannot read " + missing + ": No such file or directory");
  CHECK(message_of<std::runtime_error>([&] { wgf::read_npy(folder.path); }) ==
        "wgf::read_npy: cannot read " + place + ": it is not a regular file");
  const std::string nowhere = (folder / "no_folder/x.npy").string();
  CHECK(message_of<std::runtime_error>([&] { wgf::write_npy(nowhere, Particles::Zero(1, 1)); }) ==
        "wgf::write_npy: cannot write " + nowhere + ": No such file or directory");
  CHECK(message_of<std::runtime_error>([&] {
          wgf::write_npy(folder.path, Particles::Zero(1, 1));
        }) == "wgf::write_npy: cannot write " + place + ": it exists and is not a regular file");
}

TEST_CASE("a write that fails leaves the old file, and nothing else") {
  const Folder folder("npy");
  write(folder / "x", "old");
  CHECK_THROWS_AS(wgf::detail::write_atomically("test", folder / "x",
                                                [](std::ostream& out) {
                                                  out << "half of the new";
                                                  throw std::runtime_error("in the middle");
                                                }),
                  std::runtime_error);
  CHECK(read(folder / "x") == "old");
  CHECK(message_of<std::runtime_error>([&] {
          wgf::detail::write_atomically("test", folder / "x",
                                        [](std::ostream& out) { out.setstate(std::ios::failbit); });
        }).starts_with("test: cannot write " + (folder / "x").string() + ": "));
  CHECK(read(folder / "x") == "old");
  CHECK(folder.entries() == 1);
  wgf::detail::write_atomically("test", folder / "x", [](std::ostream& out) { out << "new"; });
  CHECK(read(folder / "x") == "new");
  CHECK(folder.entries() == 1);
}
