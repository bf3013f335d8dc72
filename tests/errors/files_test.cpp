// SPDX-License-Identifier: BSL-1.0
#include <wgf/io/npy.hpp>

#include <common/posteriors.hpp>

#include "files.hpp"
#include "refused.hpp"

using namespace wgf;
using namespace wgf::test;
using examples::EightSchools, examples::TestScores, examples::Reference, examples::read_csv,
    examples::read_json;

namespace {
/// Writes the file, then reads it.
template <class Read>
auto with(const std::string& bytes, Read read) {
  wgf::test::write("file", bytes);
  return read("file");
}
const auto npy = [](const char* path) { return read_npy(path); };
const auto csv = [](const char* path) { return read_csv(path); };
const auto json = [](const char* path) { return read_json(path); };
const auto schools = [](const char* path) { return EightSchools::read(path); };
const auto scores = [](const char* path) { return TestScores::read(path); };
std::string array(const std::string& header, std::size_t bytes) {
  return "\x93NUMPY" + std::string("\1\0", 2) + static_cast<char>(header.size()) + '\0' + header +
         std::string(bytes, '\0');
}
}  // namespace

TEST_CASE("errors of read_npy and write_npy") {
  const OwnFolder here;
  REFUSED(FileError, "wgf::write_npy: cannot write no/where.npy: No such file or directory",
          (write_npy("no/where.npy", Particles::Zero(2, 3)), 0));
  REFUSED(FileError, "wgf::write_npy: cannot write /dev/null: it exists and is not a regular file",
          (write_npy("/dev/null", Particles::Zero(2, 3)), 0));
  REFUSED(FileError, "wgf::read_npy: cannot read where.npy: No such file or directory",
          read_npy("where.npy"));
  REFUSED(FileError, "wgf::read_npy: cannot read /dev/zero: it is not a regular file",
          read_npy("/dev/zero"));
  REFUSED(FileError, "wgf::read_npy: cannot read file: it is not a .npy file (too short)",
          with("", npy));
  REFUSED(FileError, "wgf::read_npy: cannot read file: it is not a .npy file (wrong magic bytes)",
          with("x,y\n1,2\n3,4\n", npy));
  REFUSED(FileError,
          "wgf::read_npy: cannot read file: the numbers must be float32 or float64, the file holds "
          "'<i8'",
          with(array("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2)}", 16), npy));
  REFUSED(FileError,
          "wgf::read_npy: cannot read file: the array must have one or two dimensions, it has 3",
          with(array("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2, 1)}", 16), npy));
  REFUSED(FileError,
          "wgf::read_npy: cannot read file: the file is truncated: a shape of 9 x 2 needs more "
          "than its 16 bytes of numbers",
          with(array("{'descr': '<f8', 'fortran_order': False, 'shape': (9, 2)}", 16), npy));
  REFUSED(FileError,
          "wgf::read_npy: cannot read file: the file has 24 bytes of numbers where a shape of 1 x "
          "2 needs 16",
          with(array("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2)}", 24), npy));
  REFUSED(
      FileError,
      "wgf::read_npy: cannot read file: the header is malformed: the shape must consist of numbers",
      with(array("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 2)}", 16), npy));
}

TEST_CASE("errors of the examples' data") {
  const OwnFolder here;
  REFUSED(std::runtime_error, "data.json: no such file", read_json("data.json"));
  REFUSED(std::runtime_error, ".: is a folder, not a file", read_json("."));
  REFUSED(std::runtime_error, "/dev/zero: is not a regular file", read_json("/dev/zero"));
  REFUSED(std::runtime_error, "file: number overflow parsing '1e999'", with("[1e999]", json));
  REFUSED(std::runtime_error, "file: the field \"y\" is missing", with("[1, 2]", schools));
  REFUSED(std::runtime_error, "file: the field \"y\" has the wrong type (string)",
          with("{\"y\": \"none\"}", schools));
  REFUSED(std::runtime_error, "file: y and sigma must hold eight numbers each, sigma positive ones",
          with("{\"y\": [1, 2], \"sigma\": []}", schools));
  REFUSED(std::runtime_error,
          "file: kid_score, mom_hs and mom_iq have 3, 2 and 3 entries, but must have as many",
          with("{\"kid_score\": [1, 2, 3], \"mom_hs\": [0, 1], \"mom_iq\": [1, 2, 3]}", scores));
  REFUSED(std::runtime_error,
          "file: TestScores: 0 data with 4 columns do not determine 4 coefficients",
          with("{\"kid_score\": [], \"mom_hs\": [], \"mom_iq\": []}", scores));
  REFUSED(std::runtime_error, "file: line 1: no header", with("", csv));
  REFUSED(std::runtime_error, "file: no rows after the header", with("a,b\n", csv));
  REFUSED(std::runtime_error, "file: line 2, column 2: \"x\" is not a number",
          with("a,b\n1,x\n", csv));
  REFUSED(std::runtime_error, "file: line 2, column 1: \"nan\" is not a number",
          with("a,b\nnan,1\n", csv));
  REFUSED(std::runtime_error, "file: line 3: 1 values, but the header names 2",
          with("a,b\n1,2\n3\n", csv));
  wgf::test::write("reference_moments.json", "{\"constrained\": {\"beta1\": {\"mean\": 1}}}");
  REFUSED(std::runtime_error, "./reference_moments.json: the field \"sd\" is missing",
          Reference::read<TestScores>("."));
}
