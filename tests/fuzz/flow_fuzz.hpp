// SPDX-License-Identifier: BSL-1.0
#pragma once
// Flow files: wgf::load reads or refuses, and what it read can be used and written.
#include <wgf/backend/eigen/backend.hpp>
#include <wgf/flow/file.hpp>
#include <wgf/functional/functional.hpp>
#include <wgf/scheme/forward_backward.hpp>

#include "input.hpp"

namespace wgf::fuzz {

using Residual = Flow<ResidualMlp<16, 2>, EigenBackend<float>>;
using Convex = Flow<IcnnGradient<16, 1>, EigenBackend<double>>;
using Linear = Flow<Affine, EigenBackend<double>>;
inline auto forward() { return forward_terms<ForwardBackward>(interaction(QuadraticKernel{})); }
using Forward = Flow<Affine, EigenBackend<float>, decltype(forward())>;

/// What a user does with a flow. Numbers in the file may be as large as they like: results need not
/// be finite.
template <class F>
void use(const F& flow) {
  demand(flow.dim() >= 1 && flow.size() >= 0, "a flow without dimension");
  const int d = flow.dim();
  if (d > 16) return;
  const Particles zero = Particles::Zero(d, 3);
  demand(flow.push(zero).cols() == 3, "particles are lost");
  if (!std::holds_alternative<CustomMeasure>(flow.initial))
    demand(flow.sample(2, 1).rows() == d, "a sample of another dimension");
  if constexpr (std::same_as<typename F::MapType, Affine> && !F::has_forward) {
    if (std::holds_alternative<Gaussian>(flow.initial)) try {
        flow.gaussian();
      } catch (const std::invalid_argument&) {  // a map that makes no Gaussian of one
      }
  }
  // What was written is read again, as the same bytes.
  const auto once = folder() / "once.wgf", twice = folder() / "twice.wgf";
  save(flow, once);
  save(load<F>(once, flow.map, {.threads = 1}, flow.forward), twice);
  demand(test::read(once) == test::read(twice), "a flow changes on its way through a file");
}
template <class F>
void load_and_use(const std::filesystem::path& path, typename F::ForwardType terms = {}) {
  try {
    const F flow = load<F>(path, {}, {.threads = 1}, terms);
    use(flow);
  } catch (const FileError&) {
  }
}
inline void feed(std::string_view input) {
  const auto path = file("input.wgf", sealed(std::string(input)));
  load_and_use<Residual>(path), load_and_use<Convex>(path), load_and_use<Linear>(path),
      load_and_use<Forward>(path, forward());
}

template <class F>
F made(InitialMeasure initial, int parameters, int stages, long samples = 0,
       typename F::ForwardType terms = {}) {
  F flow(std::move(initial), {}, 0.1, {.seed = 1, .threads = 1}, terms);
  const int d = flow.dim();
  for (int k = 0; k < stages; ++k) {
    const Eigen::VectorXd values =
        0.1 * standard_uniforms(1, parameters, static_cast<std::uint64_t>(k)).row(0).transpose();
    flow.stages.push_back({k ? Frame::whitening(Gaussian::isotropic(d, 2)) : Frame::none(d),
                           {values.begin(), values.end()},
                           k ? 2.0 : 1.0,
                           samples ? Particles(standard_normals(d, samples, 1)) : Particles()});
  }
  return flow;
}
inline Seeds seeds() {
  Seeds all;
  const auto add = [&](const char* name, const auto& flow) {
    save(flow, folder() / "seed.wgf");
    all.emplace_back(name, test::read(folder() / "seed.wgf"));
  };
  const Gaussian one = Gaussian::isotropic(1, 1.5), two = Gaussian::isotropic(2, 1.5);
  add("residual", made<Residual>(two, 3 * 16 + 1 + 17 * 2, 1));
  add("convex", made<Convex>(UniformBox::cube(1, 1), 16 + 16 + 16 + 1 + 1, 1));
  add("affine", made<Linear>(two, 6, 3));
  add("mixture", made<Linear>(GaussianMixture({1, 2}, {one, one}), 2, 1));
  add("blocks", made<Linear>(BlockMixture({{{1}, GaussianMixture({1, 2}, {one, one})},
                                           {{0}, GaussianMixture({1}, {one})}}),
                             6, 1));
  add("barenblatt", made<Linear>(Barenblatt::at(2, 2, 1), 6, 0));
  add("empirical", made<Linear>(Empirical(standard_normals(2, 3, 1)), 6, 1));
  add("custom", made<Linear>(CustomMeasure{2, {}}, 6, 1));
  add("forward", made<Forward>(one, 2, 2, 3, forward()));
  add("forward_without_samples", made<Forward>(one, 2, 1, 0, forward()));  // which is refused
  return all;
}

}  // namespace wgf::fuzz
