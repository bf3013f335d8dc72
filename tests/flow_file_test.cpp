// SPDX-License-Identifier: BSL-1.0
// Flows in files: the round trip, and every way in which a file can be wrong.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/flow/file.hpp>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "catch.hpp"
#include "folder.hpp"
#include "support.hpp"

using namespace wgf;
using wgf::test::Folder, wgf::test::FullDisk, wgf::test::message_of, wgf::test::read,
    wgf::test::write;
namespace fs = std::filesystem;

namespace {
using Map = ResidualMlp<16, 2>;
template <class Scalar>
using MapFlow = Flow<Map, EigenBackend<Scalar>>;

template <class Scalar>
MapFlow<Scalar> make_flow(InitialMeasure initial, int stages = 3) {
  MapFlow<Scalar> flow(std::move(initial), {.input_scale = 1.5}, 0.1,
                       {.seed = 0x123456789abcdef0, .threads = 1});
  for (std::uint64_t k = 0; k < static_cast<std::uint64_t>(stages); ++k) {
    const Eigen::VectorXd values =
        0.3 * standard_normals(1, 3 * 16 + 1 + 17 * 2, k).row(0).transpose();
    const Frame frame =
        k == 1 ? Frame::none(2) : Frame::whitening(Gaussian::fit(standard_normals(2, 9, k, 1)));
    flow.stages.push_back(
        {frame, std::vector<Scalar>(values.begin(), values.end()), k == 2 ? 2.0 : 1.0});
  }
  return flow;
}
GaussianMixture mixture() {
  std::vector<Gaussian> parts;
  std::vector<double> weights;
  for (std::uint64_t k = 0; k < 7; ++k) {
    parts.push_back(Gaussian::fit(standard_normals(2, 9, k, 2)));
    weights.push_back(standard_uniforms(1, 1, k)(0, 0));
  }
  return {weights, parts};
}
template <class T>
bool same_bits(const T& a, const T& b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(),
                     static_cast<std::size_t>(a.size()) * sizeof(a.data()[0])) == 0;
}

// A small flow: no hidden bytes anywhere, two stages.
const MapFlow<float> small = make_flow<float>(Gaussian::isotropic(2, 1.5), 2);
std::string bytes_of_small(const Folder& folder) {
  save(small, folder / "small.wgf");
  return read(folder / "small.wgf");
}
void load_small(const fs::path& path) { load<MapFlow<float>>(path, small.map); }

// The file with its checksum made right again, so that what lies behind the checksum is reached.
std::string resealed(std::string bytes) {
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size() - 4);
  const auto sum = static_cast<std::uint32_t>(crc.checksum());
  std::memcpy(bytes.data() + bytes.size() - 4, &sum, 4);
  return bytes;
}
// With another text in the header.
std::string with_header(std::string bytes, const std::string& from, const std::string& to) {
  std::uint32_t length;
  std::memcpy(&length, bytes.data() + 12, 4);
  std::string header = bytes.substr(16, length);
  const auto at = header.find(from);
  REQUIRE(at != std::string::npos);
  header.replace(at, from.size(), to);
  bytes.replace(16, length, header);
  length = static_cast<std::uint32_t>(header.size());
  std::memcpy(bytes.data() + 12, &length, 4);
  return resealed(bytes);
}
}  // namespace

TEMPLATE_TEST_CASE("a flow comes back from its file bit for bit", "", float, double) {
  const Folder folder("flow_file");
  const std::vector<InitialMeasure> initials{
      Gaussian::fit(standard_normals(2, 9, 5)),
      mixture(),
      UniformBox((Eigen::VectorXd(2) << -1, 0.1).finished(),
                 (Eigen::VectorXd(2) << 1, 0.3).finished()),
      Barenblatt::at(Eigen::VectorXd(Eigen::Vector2d(0.1, -3)), 2.3, 0.7),
      Empirical(standard_normals(2, 33, 6)),
      BlockMixture(
          {{{1}, GaussianMixture({1, 2}, {Gaussian::isotropic(1, 1), Gaussian::isotropic(1, 3)})},
           {{0}, GaussianMixture({1}, {Gaussian::isotropic(1, 0.3)})}})};
  for (const auto& initial : initials)
    for (const int stages : {0, 3}) {
      INFO("measure number " << initial.index() << ", " << stages << " stages");
      const auto flow = make_flow<TestType>(initial, stages);
      save(flow, folder / "a.wgf");
      const auto back = load<MapFlow<TestType>>(folder / "a.wgf", flow.map, {.threads = 2});
      CHECK(back.initial.index() == flow.initial.index());
      CHECK(back.dim() == 2);
      CHECK(back.size() == stages);
      CHECK(back.step_size == flow.step_size);
      CHECK(back.backend.seed == flow.backend.seed);
      CHECK(back.backend.threads == 2);
      for (std::size_t k = 0; k < back.stages.size(); ++k) {
        CHECK(same_bits(back.stages[k].parameters, flow.stages[k].parameters));
        CHECK(same_bits(back.stages[k].frame.mean, flow.stages[k].frame.mean));
        CHECK(same_bits(back.stages[k].frame.factor, flow.stages[k].frame.factor));
        CHECK(back.stages[k].frame.identity == flow.stages[k].frame.identity);
        CHECK(back.stages[k].extrapolation == flow.stages[k].extrapolation);
      }
      CHECK(same_bits(back.draw_initial(400, 3), flow.draw_initial(400, 3)));
      CHECK(same_bits(back.sample(400), flow.sample(400)));
      save(back, folder / "b.wgf");
      CHECK(read(folder / "a.wgf") == read(folder / "b.wgf"));
    }
}

TEST_CASE("a mixture's weights come back bit for bit") {
  const Folder folder("flow_file");
  for (std::uint64_t k = 0; k < 100; ++k) {
    const auto n = static_cast<int>(2 + k % 15);
    const Eigen::VectorXd u = standard_uniforms(n, 1, k);
    const GaussianMixture mixture(
        {u.data(), u.data() + n},
        std::vector<Gaussian>(static_cast<std::size_t>(n), Gaussian::isotropic(2, 1)));
    save(make_flow<float>(mixture, 0), folder / "a.wgf");
    const auto back = load<MapFlow<float>>(folder / "a.wgf", {.input_scale = 1.5});
    CHECK(std::get<GaussianMixture>(back.initial).weights() == mixture.weights());
  }
}

TEST_CASE("of a measure of the user's own a file keeps the dimension") {
  const Folder folder("flow_file");
  const auto draw = [](long n, std::uint64_t seed) -> Particles {
    return standard_normals(2, n, seed, 77);
  };
  const auto flow = make_flow<float>(CustomMeasure{2, draw});
  save(flow, folder / "a.wgf");
  auto back = load<MapFlow<float>>(folder / "a.wgf", flow.map);
  CHECK(back.dim() == 2);
  CHECK(message_of<std::logic_error>([&] { back.sample(10); }) ==
        "wgf::Flow: P_0 was a measure of the user's own, which a file does not keep: assign "
        "flow.initial, or push particles");
  CHECK(back.push(draw(10, 1)) == flow.push(draw(10, 1)));
  back.initial = CustomMeasure{2, draw};
  CHECK(back.sample(10) == flow.sample(10));
}

TEST_CASE("a flow of another map or scalar is refused with a sentence that names both") {
  const Folder folder("flow_file");
  bytes_of_small(folder);
  const auto path = folder / "small.wgf";
  const std::string start = "wgf::load: " + path.string() + ": the file's ";
  CHECK(
      message_of<FileError>([&] { load<Flow<ResidualMlp<16, 3>, EigenBackend<float>>>(path); }) ==
      start +
          "map is ResidualMlp<16, 2, PRelu>{input_scale = 1.5, affine = 0}, not ResidualMlp<16, 3, "
          "PRelu>{input_scale = 1, affine = 0}");
  CHECK(
      message_of<FileError>([&] {
        load<Flow<ResidualMlp<16, 2, Silu>, EigenBackend<float>>>(path, {.input_scale = 1.5});
      }) ==
      start +
          "map is ResidualMlp<16, 2, PRelu>{input_scale = 1.5, affine = 0}, not ResidualMlp<16, 2, "
          "Silu>{input_scale = 1.5, affine = 0}");
  CHECK(message_of<FileError>([&] { load<Flow<Affine, EigenBackend<float>>>(path); }) ==
        start + "map is ResidualMlp<16, 2, PRelu>{input_scale = 1.5, affine = 0}, not Affine");
  CHECK(
      message_of<FileError>([&] { load<MapFlow<float>>(path); }) ==
      start +
          "map is ResidualMlp<16, 2, PRelu>{input_scale = 1.5, affine = 0}, not ResidualMlp<16, 2, "
          "PRelu>{input_scale = 1, affine = 0}");
  CHECK(message_of<FileError>([&] { load<MapFlow<double>>(path, small.map); }) ==
        start + "scalar is float32, not float64");
  CHECK_NOTHROW(load_small(path));
  // A specification's numbers count to the last digit.
  CHECK_THROWS_AS(load<MapFlow<float>>(path, {.input_scale = 1.5 + 1e-9}), FileError);
}

TEST_CASE("a file cut short at any byte is refused") {
  const Folder folder("flow_file");
  const std::string bytes = bytes_of_small(folder);
  REQUIRE(bytes.size() < 3000);
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    write(folder / "cut.wgf", bytes.substr(0, n));
    INFO(n << " bytes of " << bytes.size());
    CHECK_THROWS_AS(load_small(folder / "cut.wgf"), FileError);
  }
  write(folder / "cut.wgf", bytes + '\0');
  CHECK_THROWS_AS(load_small(folder / "cut.wgf"), FileError);
  write(folder / "cut.wgf", bytes);
  CHECK_NOTHROW(load_small(folder / "cut.wgf"));
}

TEST_CASE("a file with any byte changed is refused") {
  const Folder folder("flow_file");
  const std::string bytes = bytes_of_small(folder);
  for (std::size_t n = 0; n < bytes.size(); ++n)
    for (const int flip : {0x01, 0xff}) {
      std::string damaged = bytes;
      damaged[n] = static_cast<char>(damaged[n] ^ flip);
      write(folder / "damaged.wgf", damaged);
      INFO("byte " << n << " xor " << flip);
      CHECK_THROWS_AS(load_small(folder / "damaged.wgf"), FileError);
    }
}

TEST_CASE(
    "a file whose checksum is right but whose claims are not is refused, and no byte of it crashes "
    "the reader") {
  const Folder folder("flow_file");
  const std::string bytes = bytes_of_small(folder);
  const auto path = folder / "wrong.wgf";
  const auto why = [&](const std::string& content) {
    write(path, content);
    std::string message = message_of<FileError>([&] { load_small(path); });
    const std::string start = "wgf::load: " + path.string() + ": ";
    return message.rfind(start, 0) == 0 ? message.substr(start.size()) : message;
  };
  CHECK(why("PK\3\4 this is another kind of file") == "this is not a file of a wgf flow");
  CHECK(why("") == "this is not a file of a wgf flow");
  std::string later = bytes;
  later[8] = 9;
  CHECK(why(later) == "the file has version 9, this library reads version 5");
  CHECK(why(with_header(bytes, "stages: 2", "stages: 3")) ==
        "the file is shorter than its header says");
  CHECK(why(with_header(bytes, "stages: 2", "stages: 1")) ==
        "the file is longer than its header says");
  CHECK(why(with_header(bytes, "stages: 2", "stages: -2")) == "the header's \"stages\" is \"-2\"");
  CHECK(why(with_header(bytes, "stages: 2", "stages: many")) ==
        "the header's \"stages\" is \"many\"");
  CHECK(why(with_header(bytes, "stages: 2", "others: 2")) == "the header lacks \"stages\"");
  CHECK(why(with_header(bytes, "dim: 2", "dim: 0")) == "the header's \"dim\" is \"0\"");
  CHECK(why(with_header(bytes, "dim: 2", "dim: 1000000")) ==
        "the file is shorter than its header says");
  CHECK(why(with_header(bytes, "initial: Gaussian", "initial: Cauchy")) ==
        "the header's \"initial\" is \"Cauchy\", which this version does not know");
  for (const char* other : {"UniformBox", "Empirical\nparticles: 1000000000000",
                            "GaussianMixture\ncomponents: 1000000", "custom"})
    CHECK_THROWS_AS(
        (write(path, with_header(bytes, "initial: Gaussian", std::string("initial: ") + other)),
         load_small(path)),
        FileError);
  // A covariance that is none.
  std::uint32_t header;
  std::memcpy(&header, bytes.data() + 12, 4);
  std::string singular = bytes;
  std::memset(singular.data() + 16 + header + 8 + 8 + 16, 0, 32);
  CHECK(why(resealed(singular)) ==
        "its numbers make no sense: wgf::Gaussian: the covariance must be positive definite to "
        "working precision");

  // The step size stands first; a stage's parameters and the number of its rejections last.
  const double bad_numbers[] = {0, -0.1, std::numeric_limits<double>::quiet_NaN()};
  for (const double bad : bad_numbers) {
    std::string changed = bytes;
    std::memcpy(changed.data() + 16 + header, &bad, sizeof bad);
    CHECK(why(resealed(changed)) == "its numbers make no sense: the step size is not positive");
  }
  std::string no_number = bytes;
  std::memset(no_number.data() + no_number.size() - 4 - 8 - 8, 0xff,
              8);  // a NaN, as float and as double
  CHECK(why(resealed(no_number)) ==
        "its numbers make no sense: a stage's parameters are not finite");

  // Samples, parameters and rejections whose bytes are more than can be counted.
  MapFlow<float> without(Gaussian::isotropic(2, 1.5), small.map, 0.1, {.threads = 1});
  without.stages.push_back({Frame::none(2), {}});
  save(without, folder / "without.wgf");
  CHECK_NOTHROW(load_small(folder / "without.wgf"));
  for (const std::size_t number : {3, 2, 1}) {  // from the end, of 8 bytes each
    std::string many = read(folder / "without.wgf");
    many[many.size() - 4 - 8 * (number - 1) - 1] = static_cast<char>(0x80);
    CHECK(why(resealed(many)) == "the file is shorter than its header says");
  }

  // Any single byte of the header and of the first numbers, resealed: refused or read, nothing
  // else.
  for (std::size_t n = 8; n < 16 + header + 100; ++n)
    for (const int flip : {0x01, 0x08, 0x80, 0xff}) {
      std::string changed = bytes;
      changed[n] = static_cast<char>(changed[n] ^ flip);
      write(path, resealed(changed));
      INFO("byte " << n << " xor " << flip);
      try {
        load_small(path);
      } catch (const FileError&) {
      } catch (const std::exception& e) {
        FAIL_CHECK("another exception: " << e.what());
      }
    }
}

TEST_CASE("files that cannot be read or written are named with the reason") {
  const Folder folder("flow_file");
  const auto missing = folder / "missing.wgf";
  CHECK(message_of<FileError>([&] { load_small(missing); }) ==
        "wgf::load: " + missing.string() + ": cannot be read: No such file or directory");
  CHECK_THROWS_AS(load_small(folder.path), FileError);
  const auto nowhere = folder / "no/such/folder.wgf";
  CHECK(message_of<FileError>([&] { save(small, nowhere); }) ==
        "wgf::save: cannot write " + nowhere.string() + ": No such file or directory");
  CHECK_THROWS_AS(save(small, folder.path), FileError);
  CHECK(folder.entries() == 0);
}

TEST_CASE("the old file stays whole when a new one cannot be written") {
  const Folder folder("flow_file");
  const std::string before = bytes_of_small(folder);
  std::string message;
  {
    const FullDisk full;
    REQUIRE(full.good());
    message = message_of<FileError>(
        [&] { save(make_flow<float>(Gaussian::isotropic(2, 1), 1), folder / "small.wgf"); });
  }
  CHECK(message ==
        "wgf::save: cannot write " + (folder / "small.wgf").string() + ": File too large");
  CHECK(read(folder / "small.wgf") == before);
  CHECK(folder.entries() == 1);
}
