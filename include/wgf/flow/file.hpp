// SPDX-License-Identifier: BSL-1.0
#pragma once
// Flow files, in the format of io/sealed_file.hpp with the magic word "WGFFLOW\n".
//
// The data are the step size, the seed and the parameters of P_0 (doubles); then for each stage its
// extrapolation, step size, mean and factor of its frame and the samples of its forward half
// (doubles), its parameters (in the scalar type of the header), its rejections and, if the header
// has "reweighted", its reweighting. The terms of forward halves (kernels and targets) and the
// target of the corrections are not stored.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "../io/sealed_file.hpp"
#include "flow.hpp"

namespace wgf {

namespace detail {

inline constexpr FileKind flow_file{"WGFFLOW\n", 5, "wgf::load", "a wgf flow"};

inline void put_measure(const Gaussian& m, Header& header, ByteWriter& out) {
  header["initial"] = "Gaussian";
  out.put(m.mean()), out.put(m.covariance());
}
inline void put_components(const GaussianMixture& m, ByteWriter& out) {
  for (std::size_t i = 0; i < m.components().size(); ++i)
    out.put(m.weights()[i]), out.put(m.components()[i].mean()),
        out.put(m.components()[i].covariance());
}
inline void put_measure(const GaussianMixture& m, Header& header, ByteWriter& out) {
  header["initial"] = "GaussianMixture",
  header["components"] = std::to_string(m.components().size());
  put_components(m, out);
}
inline void put_measure(const BlockMixture& m, Header& header, ByteWriter& out) {
  header["initial"] = "BlockMixture", header["blocks"] = std::to_string(m.blocks().size());
  for (const BlockMixture::Block& b : m.blocks()) {
    out.put_list(b.coordinates);
    out.put(static_cast<std::uint64_t>(b.law.components().size()));
    put_components(b.law, out);
  }
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
inline void put_measure(const CustomMeasure&, Header& header, ByteWriter&) {
  header["initial"] = "custom";
}

inline InitialMeasure get_measure(const OpenedFile& file, std::size_t dim, ByteReader& in) {
  const std::string kind = file.entry("initial");
  const auto gaussian = [&](std::size_t d) {
    const Eigen::VectorXd mean = in.matrix(d, 1);
    return Gaussian(mean, in.matrix(d, d));
  };
  const auto mixture = [&](std::size_t d, std::size_t n) {
    std::vector<double> weights;
    std::vector<Gaussian> components;
    for (std::size_t i = 0; i < n; ++i)
      weights.push_back(in.get<double>()), components.push_back(gaussian(d));
    return GaussianMixture(weights, components);
  };
  if (kind == "Gaussian") return gaussian(dim);
  if (kind == "GaussianMixture")
    return mixture(dim, static_cast<std::size_t>(file.number("components", 1, 1'000'000)));
  if (kind == "BlockMixture") {
    std::vector<BlockMixture::Block> blocks;
    for (long left = file.number("blocks", 1, 1'000'000); left > 0; --left) {
      std::vector<int> coordinates = in.list<int>();
      const auto n = in.get<std::uint64_t>();
      GaussianMixture law = mixture(coordinates.size(), n);
      blocks.push_back({std::move(coordinates), std::move(law)});
    }
    BlockMixture law(std::move(blocks));
    if (law.dim() != static_cast<int>(dim))
      throw std::invalid_argument("P_0 has another dimension than the flow");
    return law;
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
    const auto n = static_cast<std::size_t>(file.number("particles", 1, 1L << 40));
    return Empirical(in.matrix(dim, n));
  }
  if (kind == "custom") return CustomMeasure{static_cast<int>(dim), {}};
  file.fail("the header's \"initial\" is \"" + kind + "\", which this version does not know");
}

/// The numbers of a reweighting; none if there is none.
inline std::vector<double> numbers_of(const std::optional<Reweighting>& r) {
  if (!r) return {};
  const auto* const hmc = std::get_if<Hmc>(&r->move);
  return std::visit(
      [&](const auto& policy) -> std::vector<double> {
        return {static_cast<double>(hmc ? hmc->leapfrog_steps : 0),
                static_cast<double>(policy.moves),
                policy.acceptance,
                policy.step_size,
                policy.metric == Metric::full ? 1.0 : 0.0,
                r->step_size,
                r->log_evidence,
                r->error,
                r->ess_fraction,
                r->acceptance};
      },
      r->move);
}
/// \throws std::invalid_argument for invalid numbers.
inline std::optional<Reweighting> reweighting_of(const std::vector<double>& numbers) {
  if (numbers.empty()) return {};
  const auto need = [](bool good) {
    if (!good) throw std::invalid_argument("a reweighting's numbers are out of range");
  };
  need(numbers.size() == 10);
  const auto count = [&](double value) {
    need(value >= 0 && value <= 1e6 && value == std::floor(value));
    return static_cast<int>(value);
  };
  const int leapfrog_steps = count(numbers[0]), moves = count(numbers[1]), full = count(numbers[4]);
  need(full <= 1);
  const Metric metric = full ? Metric::full : Metric::diagonal;
  Reweighting r;
  if (leapfrog_steps > 0) r.move = Hmc{leapfrog_steps, moves, numbers[2], numbers[3], metric};
  else r.move = Mala{moves, numbers[2], numbers[3], metric};
  std::visit([](const auto& policy) { policy.check(); }, r.move);
  r.step_size = numbers[5], r.log_evidence = numbers[6], r.error = numbers[7];
  r.ess_fraction = numbers[8], r.acceptance = numbers[9];
  need(r.step_size > 0 && std::isfinite(r.step_size) && std::isfinite(r.log_evidence) &&
       r.error >= 0 && std::isfinite(r.error) && r.ess_fraction > 0 && r.ess_fraction <= 1.001 &&
       r.acceptance >= 0 && r.acceptance <= 1.001);
  return r;
}

/// Writes the data of a flow to `body`, and its description to `header`.
template <class F>
void put_flow(const F& flow, Header& header, ByteWriter& body) {
  header.merge(
      Header{{"map", describe(flow.map)},
             {"scalar", scalar_name<typename F::Scalar>()},
             {"dim", std::to_string(flow.dim())},
             {"stages", std::to_string(flow.size())},
             {"forward_terms", std::to_string(hana::value(hana::size(flow.forward)))},
             {"correction_terms", std::to_string(hana::value(hana::size(flow.corrections)))}});
  const bool reweighted = flow.is_reweighted();
  if (reweighted) header["reweighted"] = "yes";
  body.put(flow.step_size);
  body.put(flow.backend.seed);
  std::visit([&](const auto& m) { put_measure(m, header, body); }, flow.initial);
  for (const auto& stage : flow.stages) {
    body.put(static_cast<std::uint32_t>(stage.frame.identity));
    body.put(stage.extrapolation), body.put(stage.step_size), body.put(stage.inertia);
    body.put(stage.frame.mean), body.put(stage.frame.factor);
    body.put(static_cast<std::uint64_t>(stage.samples.cols())), body.put(stage.samples);
    body.put_list(stage.parameters);
    body.put(static_cast<std::uint64_t>(stage.rejections.size()));
    for (const Rejection& r : stage.rejections)
      body.put(r.log_scale), body.put(r.acceptance), body.put(r.error);
    if (reweighted) body.put_list(numbers_of(stage.reweighting));
  }
}
/// Reads what put_flow writes.
/// \throws FileError if it is a flow of another type, or its data are invalid.
template <class F>
F get_flow(const OpenedFile& file, ByteReader& in, const typename F::MapType& map,
           typename F::BackendType backend, const typename F::ForwardType& forward_terms,
           const typename F::CorrectionsType& correction_terms) {
  using Scalar = typename F::Scalar;
  file.must_be("map", describe(map));
  file.must_be("scalar", scalar_name<Scalar>());
  file.must_be("forward_terms", std::to_string(hana::value(hana::size(forward_terms))));
  file.must_be("correction_terms", std::to_string(hana::value(hana::size(correction_terms))));
  const auto dim = static_cast<std::size_t>(file.number("dim", 1, 1'000'000));
  const long stages = file.number("stages", 0, 1'000'000'000);
  const bool reweighted = file.entry("reweighted") == "yes";
  const auto step_size = in.get<double>();
  backend.seed = in.get<std::uint64_t>();
  const auto sensible = [](bool good, const char* what) {
    if (!good) throw std::invalid_argument(what);
  };
  try {
    sensible(step_size > 0 && std::isfinite(step_size), "the step size is not positive");
    F flow(get_measure(file, dim, in), map, step_size, backend, forward_terms, correction_terms);
    for (long k = 0; k < stages; ++k) {
      const bool identity = in.get<std::uint32_t>() != 0;
      const auto extrapolation = in.get<double>(), own_step_size = in.get<double>(),
                 inertia = in.get<double>();
      const Eigen::MatrixXd mean = in.matrix(dim, 1);
      Frame frame{mean, in.matrix(dim, dim), identity};
      const auto count = in.get<std::uint64_t>();
      Particles samples = in.matrix(dim, count);
      std::vector<Scalar> values = in.list<Scalar>();
      std::vector<Rejection> rejections;
      for (auto left = in.get<std::uint64_t>(); left > 0; --left) {
        const auto log_scale = in.get<double>(), acceptance = in.get<double>(),
                   error = in.get<double>();
        sensible(std::isfinite(log_scale) && acceptance > 0 && acceptance <= 1 && error >= 0 &&
                     error <= 1,
                 "a rejection's constants are out of range");
        rejections.push_back({log_scale, acceptance, error});
      }
      sensible(F::is_corrected || rejections.empty(), "it has rejections, but no target for them");
      std::optional<Reweighting> reweighting;
      if (reweighted) reweighting = reweighting_of(in.list<double>());
      sensible(F::is_corrected || !reweighting, "it is reweighted, but has no target for that");
      sensible(frame.mean.allFinite() && frame.factor.allFinite() &&
                   (frame.factor.diagonal().array() > 0).all(),
               "a stage's coordinates are singular or not finite");
      sensible(extrapolation > 0 && std::isfinite(extrapolation) && samples.allFinite(),
               "a stage's extrapolation or samples are not finite");
      sensible(own_step_size >= 0 && std::isfinite(own_step_size),
               "a stage's step size is negative or not finite");
      sensible(std::isfinite(inertia) && (k > 0 || inertia == 0),
               "a stage's inertia is not finite, or the first stage has one");
      hana::for_each(forward_terms, [&](const auto& t) {
        sensible(!t.term.interacts || samples.cols() > 0,
                 "a stage lacks the samples of its forward half");
      });
      sensible(std::all_of(values.begin(), values.end(), [](Scalar v) { return std::isfinite(v); }),
               "a stage's parameters are not finite");
      flow.stages.push_back({std::move(frame), std::move(values), extrapolation, std::move(samples),
                             own_step_size, inertia, std::move(rejections),
                             std::move(reweighting)});
    }
    // The number of parameters must be that of the map, unless a stage has none.
    std::size_t known = 0;
    for (const auto& stage : flow.stages) {
      const std::size_t count = stage.parameters.size();
      if (count == 0 || count == known) continue;
      sensible(known == 0, "stages have different numbers of parameters");
      const auto runtime = backend.start();
      auto net = runtime.network(map, flow.dim(), 1, 0, Keep::tile);
      net.set_parameters(stage.parameters);
      known = count;
    }
    return flow;
  } catch (const std::invalid_argument& e) {
    file.fail(std::string("its numbers make no sense: ") + e.what());
  }
}

}  // namespace detail

/// Writes a flow to a file, atomically.
/// \throws FileError if it cannot be written.
template <class Map, class Backend, class ForwardTerms, class Corrections>
void save(const Flow<Map, Backend, ForwardTerms, Corrections>& flow,
          const std::filesystem::path& path) {
  detail::Header header;
  detail::ByteWriter body;
  detail::put_flow(flow, header, body);
  detail::write_atomically("wgf::save", path, [&](std::ostream& stream) {
    stream << detail::sealed(detail::flow_file, header, body);
  });
}

/// Reads a flow of type F, such as `wgf::load<decltype(flow)>("moons.wgf")` or
/// `wgf::load<decltype(solver)::Flow>(…)`.
/// \param map,backend the specification that the file must contain, and the policy that will
/// evaluate it (its seed is read from the file).
/// \param forward_terms for a flow with forward halves: the terms that move its particles there, as
/// returned by forward_terms<Scheme>(functional).
/// \param correction_terms for a corrected flow: the target of its rejections, as returned by
/// correction_terms<Scheme>(functional).
/// \throws FileError if the file is missing, truncated, damaged, of another version, or contains
/// another map or scalar type than F; std::invalid_argument if forward or correction terms are
/// needed but not given.
template <class FlowType, class F = std::remove_cv_t<FlowType>>
F load(const std::filesystem::path& path, typename F::MapType map = {},
       typename F::BackendType backend = {}, typename F::ForwardType forward_terms = {},
       typename F::CorrectionsType correction_terms = {}) {
  const detail::OpenedFile file(detail::flow_file, path);
  hana::for_each(forward_terms, [](const auto& t) {
    if (!(t.weight > 0))
      throw std::invalid_argument(
          "wgf::load: a flow with forward halves needs their terms, "
          "wgf::forward_terms<Scheme>(functional)");
  });
  hana::for_each(correction_terms, [](const auto& t) {
    if (!(t.weight > 0))
      throw std::invalid_argument(
          "wgf::load: a corrected flow needs the target of its rejections, "
          "wgf::correction_terms<Scheme>(functional)");
  });
  detail::ByteReader in = file.numbers();
  F flow = detail::get_flow<F>(file, in, map, backend, forward_terms, correction_terms);
  in.end();
  return flow;
}

}  // namespace wgf
