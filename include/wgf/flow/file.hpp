// SPDX-License-Identifier: BSL-1.0
#pragma once
// Flows in files: a magic word and a version, a text header that says what the file holds, the numbers, and a checksum.
//
//   "WGFFLOW\n" | u32 version | u32 header length | header: one "key: value" a line | numbers, little-endian | u32 CRC-32 of all before it
//
// The numbers are P_0's (doubles), then for each stage its stretch, mean and factor of its frame and the samples of its forward half
// (doubles), and its parameters (the scalar of the header). What goes forward, kernels and targets, a file does not keep.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <boost/crc.hpp>

#include "../io/write_atomically.hpp"
#include "flow.hpp"

namespace wgf {

namespace detail {

static_assert(std::endian::native == std::endian::little, "wgf: files are little-endian, and so must the machine be");

inline constexpr char flow_magic[9] = "WGFFLOW\n";
inline constexpr std::uint32_t flow_version = 2;

inline FileError flow_file_error(const std::filesystem::path& path, const std::string& why) {
  return FileError("wgf::load: " + path.string() + ": " + why);
}

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
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Reads numbers and never past the end: what a header claims is checked against what is there before memory is taken.
class ByteReader {
 public:
  ByteReader(const std::filesystem::path& path, const char* data, std::size_t n) : path_(path), at_(data), left_(n) {}
  template <class T>
  void get(T* data, std::size_t n) {
    need(n, sizeof(T));
    std::memcpy(data, at_, n * sizeof(T));
    at_ += n * sizeof(T), left_ -= n * sizeof(T);
  }
  template <class T>
  T get() {
    T value;
    get(&value, 1);
    return value;
  }
  Eigen::MatrixXd matrix(std::size_t rows, std::size_t cols) {
    if (cols > 0) need(rows, cols);  // and so the product does not overflow
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
    if (n > left_ / size) throw flow_file_error(path_, "the file is shorter than its header says");
  }
  std::size_t left() const { return left_; }

 private:
  std::filesystem::path path_;
  const char* at_;
  std::size_t left_;
};

template <class Scalar>
constexpr const char* scalar_name() {
  return sizeof(Scalar) == 4 ? "float32" : "float64";
}

using Header = std::map<std::string, std::string>;

inline void put_measure(const Gaussian& m, Header& header, ByteWriter& out) {
  header["initial"] = "Gaussian";
  out.put(m.mean()), out.put(m.covariance());
}
inline void put_measure(const GaussianMixture& m, Header& header, ByteWriter& out) {
  header["initial"] = "GaussianMixture", header["components"] = std::to_string(m.components().size());
  for (std::size_t i = 0; i < m.components().size(); ++i)
    out.put(m.weights()[i]), out.put(m.components()[i].mean()), out.put(m.components()[i].covariance());
}
inline void put_measure(const UniformBox& m, Header& header, ByteWriter& out) {
  header["initial"] = "UniformBox";
  out.put(m.lower()), out.put(m.upper());
}
inline void put_measure(const Barenblatt& m, Header& header, ByteWriter& out) {
  header["initial"] = "Barenblatt";
  out.put(m.centre()), out.put(m.exponent()), out.put(m.radius());
}
inline void put_measure(const Empirical& m, Header& header, ByteWriter& out) {
  header["initial"] = "Empirical", header["particles"] = std::to_string(m.particles().cols());
  out.put(m.particles());
}
inline void put_measure(const CustomMeasure&, Header& header, ByteWriter&) { header["initial"] = "custom"; }

inline long header_number(const std::filesystem::path& path, const Header& header, const std::string& key, long least, long most) {
  const auto it = header.find(key);
  if (it == header.end()) throw flow_file_error(path, "the header lacks \"" + key + "\"");
  const char *begin = it->second.data(), *end = begin + it->second.size();
  long value = 0;
  const auto read = std::from_chars(begin, end, value);
  if (read.ec != std::errc() || read.ptr != end || value < least || value > most)
    throw flow_file_error(path, "the header's \"" + key + "\" is \"" + it->second + "\"");
  return value;
}

inline InitialMeasure get_measure(const std::filesystem::path& path, const Header& header, std::size_t dim, ByteReader& in) {
  const std::string kind = header.count("initial") ? header.at("initial") : "";
  const auto gaussian = [&] {
    const Eigen::VectorXd mean = in.matrix(dim, 1);
    return Gaussian(mean, in.matrix(dim, dim));
  };
  if (kind == "Gaussian") return gaussian();
  if (kind == "GaussianMixture") {
    const auto n = static_cast<std::size_t>(header_number(path, header, "components", 1, 1'000'000));
    std::vector<double> weights;
    std::vector<Gaussian> components;
    for (std::size_t i = 0; i < n; ++i) weights.push_back(in.get<double>()), components.push_back(gaussian());
    return GaussianMixture(weights, components);
  }
  if (kind == "UniformBox") {
    const Eigen::VectorXd lower = in.matrix(dim, 1);
    return UniformBox(lower, in.matrix(dim, 1));
  }
  if (kind == "Barenblatt") {
    const Eigen::VectorXd centre = in.matrix(dim, 1);
    const auto exponent = in.get<double>();
    return Barenblatt::with_radius(centre, exponent, in.get<double>());
  }
  if (kind == "Empirical") {
    const auto n = static_cast<std::size_t>(header_number(path, header, "particles", 1, 1L << 40));
    return Empirical(in.matrix(dim, n));
  }
  if (kind == "custom") return CustomMeasure{static_cast<int>(dim), {}};
  throw flow_file_error(path, "the header's \"initial\" is \"" + kind + "\", which this version does not know");
}

}  // namespace detail

/// Writes a flow to a file, atomically. \throws FileError if it cannot be written.
template <class Map, class Backend, class ForwardTerms>
void save(const Flow<Map, Backend, ForwardTerms>& flow, const std::filesystem::path& path) {
  using Scalar = typename Flow<Map, Backend>::Scalar;
  detail::Header header{{"map", describe(flow.map)},
                        {"scalar", detail::scalar_name<Scalar>()},
                        {"dim", std::to_string(flow.dim())},
                        {"stages", std::to_string(flow.size())},
                        {"forward_terms", std::to_string(hana::value(hana::size(flow.forward)))},
                        {"parameters", std::to_string(flow.stages.empty() ? 0 : flow.stages.front().parameters.size())}};
  detail::ByteWriter body;
  body.put(flow.step_size);
  body.put(flow.backend.seed);
  std::visit([&](const auto& m) { detail::put_measure(m, header, body); }, flow.initial);
  for (const auto& stage : flow.stages) {
    body.put(static_cast<std::uint32_t>(stage.frame.identity));
    body.put(stage.stretch);
    body.put(stage.frame.mean), body.put(stage.frame.factor);
    body.put(static_cast<std::uint64_t>(stage.samples.cols())), body.put(stage.samples);
    body.put(stage.parameters.data(), stage.parameters.size());
  }
  std::string text;
  for (const auto& [key, value] : header) text += key + ": " + value + "\n";
  detail::ByteWriter out;
  out.put(detail::flow_magic, 8);
  out.put(detail::flow_version);
  out.put(static_cast<std::uint32_t>(text.size()));
  out.put(text.data(), text.size());
  out.put(body.bytes().data(), body.bytes().size());
  boost::crc_32_type crc;
  crc.process_bytes(out.bytes().data(), out.bytes().size());
  out.put(static_cast<std::uint32_t>(crc.checksum()));
  detail::write_atomically("wgf::save", path, [&](std::ostream& stream) { stream << out.bytes(); });
}

/// Reads a flow of type F, such as `wgf::load<decltype(flow)>("moons.wgf")` or `wgf::load<decltype(solver)::Flow>(…)`.
/// \param map,backend the specification that the file must hold, and the policy that will evaluate it (its seed is taken from the file).
/// \param forward_terms of a flow with forward halves: the terms that move its particles there, as forward_terms<Scheme>(functional) gives
/// them. \throws FileError for a file that is missing, truncated, damaged, of another version, or of another map or scalar than F's;
/// std::invalid_argument where the forward terms are not given.
template <class FlowType, class F = std::remove_cv_t<FlowType>>
F load(const std::filesystem::path& path, typename F::MapType map = {}, typename F::BackendType backend = {},
       typename F::ForwardType forward_terms = {}) {
  using Scalar = typename F::Scalar;
  std::ifstream file(path, std::ios::binary);
  if (!file) throw detail::flow_file_error(path, std::string("cannot be read: ") + std::strerror(errno));
  std::ostringstream content;
  content << file.rdbuf();
  const std::string bytes = std::move(content).str();
  constexpr std::size_t smallest = 8 + 3 * sizeof(std::uint32_t);
  if (bytes.size() < 8 || std::memcmp(bytes.data(), detail::flow_magic, 8) != 0)
    throw detail::flow_file_error(path, "this is not a file of a wgf flow");
  if (bytes.size() < smallest) throw detail::flow_file_error(path, "the file is truncated");
  detail::ByteReader in(path, bytes.data() + 8, bytes.size() - 8 - sizeof(std::uint32_t));
  const auto version = in.get<std::uint32_t>();
  if (version != detail::flow_version)
    throw detail::flow_file_error(
        path, "the file has version " + std::to_string(version) + ", this library reads version " + std::to_string(detail::flow_version));
  std::uint32_t sum;
  std::memcpy(&sum, bytes.data() + bytes.size() - sizeof sum, sizeof sum);
  boost::crc_32_type crc;
  crc.process_bytes(bytes.data(), bytes.size() - sizeof sum);
  if (crc.checksum() != sum) throw detail::flow_file_error(path, "the checksum is wrong: the file is damaged or truncated");

  detail::Header header;
  std::istringstream lines(in.text(in.get<std::uint32_t>()));
  for (std::string line; std::getline(lines, line);)
    if (const auto colon = line.find(": "); colon != std::string::npos) header[line.substr(0, colon)] = line.substr(colon + 2);
  const auto must_be = [&](const char* key, const std::string& expected) {
    if (header[key] != expected)
      throw detail::flow_file_error(path, std::string("the file's ") + key + " is " + header[key] + ", not " + expected);
  };
  must_be("map", describe(map));
  must_be("scalar", detail::scalar_name<Scalar>());
  must_be("forward_terms", std::to_string(hana::value(hana::size(forward_terms))));
  hana::for_each(forward_terms, [](const auto& t) {
    if (!(t.weight > 0))
      throw std::invalid_argument("wgf::load: a flow with forward halves needs their terms, wgf::forward_terms<Scheme>(functional)");
  });
  const auto dim = static_cast<std::size_t>(detail::header_number(path, header, "dim", 1, 1'000'000));
  const long stages = detail::header_number(path, header, "stages", 0, 1'000'000'000);
  const auto parameters = static_cast<std::size_t>(detail::header_number(path, header, "parameters", 0, 1L << 40));
  const auto step_size = in.get<double>();
  backend.seed = in.get<std::uint64_t>();
  const auto sensible = [](bool good, const char* what) {
    if (!good) throw std::invalid_argument(what);
  };
  try {
    sensible(step_size > 0 && std::isfinite(step_size), "the step size is not positive");
    F flow(detail::get_measure(path, header, dim, in), map, step_size, backend, forward_terms);
    for (long k = 0; k < stages; ++k) {
      const bool identity = in.get<std::uint32_t>() != 0;
      const auto stretch = in.get<double>();
      const Eigen::MatrixXd mean = in.matrix(dim, 1);
      Frame frame{mean, in.matrix(dim, dim), identity};
      const auto count = in.get<std::uint64_t>();
      Particles samples = in.matrix(dim, count);
      in.need(parameters, sizeof(Scalar));
      std::vector<Scalar> values(parameters);
      in.get(values.data(), parameters);
      sensible(frame.mean.allFinite() && frame.factor.allFinite() && (frame.factor.diagonal().array() > 0).all(),
               "a stage's coordinates are singular or not finite");
      sensible(stretch > 0 && std::isfinite(stretch) && samples.allFinite(), "a stage's stretch or samples are not finite");
      sensible(std::all_of(values.begin(), values.end(), [](Scalar v) { return std::isfinite(v); }), "a stage's parameters are not finite");
      flow.stages.push_back({std::move(frame), std::move(values), stretch, std::move(samples)});
    }
    if (in.left() != 0) throw detail::flow_file_error(path, "the file is longer than its header says");
    if (parameters > 0 && stages > 0) {  // the parameters must be as many as the map has
      const auto runtime = backend.start();
      auto net = runtime.network(map, flow.dim(), 1, 0, Keep::tile);
      net.set_parameters(flow.stages.front().parameters);
    }
    return flow;
  } catch (const std::invalid_argument& e) {
    throw detail::flow_file_error(path, std::string("its numbers make no sense: ") + e.what());
  }
}

}  // namespace wgf
