// SPDX-License-Identifier: BSL-1.0
// Every functional in a line, and those of one's own: each flow ends beside its known answer.
#include <cmath>
#include <cstdio>

#include <wgf/wgf.hpp>

// ---- of one's own

/// A divergence is its f, written for any r: here the α-divergence, α = 3/2. Its derivatives are
/// derived.
struct AlphaDivergence {
  auto f(const auto& r) const { return (pow(r, 1.5) - 1.5 * r + 0.5) / 0.75; }
};

/// A potential is a log-density's negative: E_P[−log q] for log q = −V. Here V = |x|⁴/4; its
/// gradient is derived.
struct Quartic {
  int dim() const { return 2; }
  template <class T>
  T log_density(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    const T q = x.squaredNorm();
    return -0.25 * q * q;
  }
};

/// An interaction kernel is an even function, here from its value alone: W(x) = |x|²/2, no longer
/// radial to the eye.
struct Spring {
  template <class T>
  T value(const Eigen::Matrix<T, Eigen::Dynamic, 1>& x) const {
    return 0.5 * x.squaredNorm();
  }
};

/// A type that one does not own, and what stands for it.
namespace vendor {
struct Plasma {
  double stiffness;
};
}  // namespace vendor
template <>
struct wgf::Adapt<vendor::Plasma> {
  static auto read(const vendor::Plasma& p) {
    return wgf::GaussianKernel{.amplitude = 1, .width = 1 / std::sqrt(p.stiffness)};
  }
};

namespace {

template <class Functional>
void show(const char* name, const Functional& functional, const wgf::Gaussian& start, double time,
          double exact_variance) {
  const wgf::JkoSolver solver{functional, wgf::ResidualMlp<32, 3, wgf::Silu>{},
                              wgf::Backward{.step_size = time / 5},
                              wgf::EigenBackend<float>{.seed = 1}};
  const auto flow = solver.run(start, {.steps = 5,
                                       .iterations = 150,
                                       .batch = 500,
                                       .map_rate = 2e-3,
                                       .dual_rate = 4e-3,
                                       .pool = 20'000,
                                       .stratified = true});
  const auto fitted = wgf::Gaussian::fit(flow.sample(20'000));
  std::printf("%-38s variance %.3f  (flow: %.3f)\n", name,
              fitted.covariance().trace() / start.dim(), exact_variance);
}

}  // namespace

int main() {
  const auto start = wgf::Gaussian::isotropic(2, 1.0);
  const auto target = wgf::Gaussian::isotropic(2, 0.5);
  const wgf::Particles samples = target.sample(20'000, 3);
  using Dual = wgf::NetworkSum<wgf::Quadratic, wgf::Mlp<32, 3, wgf::Silu>>;

  // Fokker–Planck: σ² = ¼ + ¾ e^{−8t}.
  show("kl(target)", wgf::kl(target, Dual{}), start, 0.1, 0.25 + 0.75 * std::exp(-0.8));
  // Heat: σ² = 1 + 2t.
  show("entropy()", wgf::entropy(Dual{}), start, 0.5, 2.0);
  // Quadratic interaction: σ² = e^{−2t}. With an entropy beside it the two balance at σ = 1, and
  // stay.
  show("interaction(QuadraticKernel)", wgf::interaction(wgf::QuadraticKernel{}), start, 0.5,
       std::exp(-1.0));
  show("interaction + entropy", wgf::interaction(wgf::QuadraticKernel{}) + wgf::entropy(Dual{}),
       start, 0.5, 1.0);
  // A potential alone: x ↦ e^{−4t}x for the target above.
  show("potential(target)", wgf::potential(target), start, 0.1, std::exp(-0.8));
  // To a law known by samples: whatever the divergence, the flow ends at their law.
  show("divergence_to(samples, JensenShannon)",
       wgf::divergence_to(samples, wgf::JensenShannon{}, Dual{}), start, 5, 0.25);
  show("divergence_to(samples, KL), VariationalBound",
       wgf::divergence_to(samples, wgf::KullbackLeibler{}, Dual{}, wgf::VariationalBound{}), start,
       1, 0.25);
  // One's own.
  show("an own divergence", wgf::divergence_to(samples, AlphaDivergence{}, Dual{}), start, 1, 0.25);
  show("an own kernel", wgf::interaction(Spring{}), start, 0.5, std::exp(-1.0));
  // Porous medium, m = 2, from Barenblatt's profile: R grows like (t + t₀)^{1/4} in two dimensions.
  const auto profile = wgf::Barenblatt::at(2, 2, 1.0), later = wgf::Barenblatt::at(2, 2, 2.0);
  const wgf::JkoSolver porous{wgf::generalized_entropy(2, Dual{}),
                              wgf::ResidualMlp<32, 3, wgf::Silu>{}, wgf::Backward{.step_size = 0.2},
                              wgf::EigenBackend<float>{.seed = 1}};
  const auto spread = porous.run(profile, {.steps = 5,
                                           .iterations = 150,
                                           .batch = 500,
                                           .map_rate = 2e-3,
                                           .dual_rate = 4e-3,
                                           .pool = 20'000});
  std::printf("%-38s radius   %.3f  (flow: %.3f)\n", "generalized_entropy(2)",
              std::sqrt(spread.sample(20'000).colwise().squaredNorm().mean()), later.rms_radius());
  // A sum of everything, one's own and others' types included, with weights.
  const auto everything = wgf::kl(Quartic{}, Dual{}) + 0.1 * wgf::generalized_entropy(3, Dual{}) +
                          0.5 * wgf::interaction(vendor::Plasma{2.0});
  const wgf::JkoSolver solver{everything, wgf::ResidualMlp<32, 3, wgf::Silu>{},
                              wgf::ForwardBackward{.step_size = 0.1},
                              wgf::EigenBackend<float>{.seed = 1}};
  const auto flow = solver.run(start, {.steps = 5,
                                       .iterations = 150,
                                       .batch = 500,
                                       .map_rate = 2e-3,
                                       .dual_rate = 4e-3,
                                       .pool = 20'000});
  std::printf("%-38s variance %.3f\n", "a sum, its interaction forward",
              wgf::Gaussian::fit(flow.sample(20'000)).covariance().trace() / 2);
}
