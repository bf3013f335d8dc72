// SPDX-License-Identifier: BSL-1.0
#pragma once
// log det M and its gradient by random probes, for M = ∇T(x) in high dimension, from products with
// M alone. With independent random signs v,
//
//   gradient  ∂ log det M = tr(M⁻¹ ∂M) = E[vᵀ ∂M s],   M s = v   (Hutchinson, 1990)
//   value     log det M = tr log M = E[vᵀ log(M) v] for symmetric M, else with log(MᵀM)/2, by
//             Lanczos quadrature (Ubaru, Chen, Saad, 2017): vᵀ f(M) v ≈ |v|² Σ_i τ_i² f(λ_i) for
//             the eigenvalues λ_i of the tridiagonal matrix of the Lanczos process from v, and the
//             first components τ_i of its eigenvectors.
//
// The systems are solved by GMRES (Saad, Schultz, 1986), many at once: each iteration is a product
// of M with one row per probe. For symmetric M its basis is that of the Lanczos process, fully
// orthogonalised, and the solution is as accurate as that of conjugate gradients.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <Eigen/Eigenvalues>

#include "../../concepts.hpp"
#include "../../random.hpp"
#include "layer_products.hpp"

namespace wgf::eigen {

/// Random signs of `count` probes in `dim` dimensions for the points [begin, begin + n): row
/// i·count + p of `to`, whose length is `row`, belongs to probe p of point i. They are a function
/// of (seed, stream, draw, point).
template <class Scalar>
void draw_signs(const Random& random, const Probes& probes, long begin, int n, int dim, Scalar* to,
                int row) {
  const int share = (dim + 3) / 4 * 4;  // the numbers of a probe, in whole blocks
  random.fill<Scalar, false>(probes.stream, probes.draw, begin, n, probes.count * share,
                             [&](long point, int first, const Scalar* u) {
                               const int p = first / share, at = first % share;
                               Scalar* const sign = to + (point * probes.count + p) * row + at;
                               for (int j = 0; j < 4 && at + j < dim; ++j)
                                 sign[j] = u[j] < Scalar(0.5) ? -1 : 1;
                             });
}

/// GMRES, without restarts, for many systems of dimension d with different matrices at once, and
/// Lanczos quadrature if these are symmetric. Vectors are padded rows.
template <class Scalar>
class Krylov {
 public:
  /// The largest number of iterations. A system that then has a larger residual than the tolerance
  /// is given the solution with the smallest.
  static constexpr int most_iterations = 64;

  /// For at most `systems` systems.
  Krylov(int dim, int systems)
      : row_(padded<Scalar>(dim)),
        most_(std::min(dim, most_iterations)),
        block_(static_cast<std::size_t>(systems) * row_),
        basis_(block_ * (most_ + 1)),
        systems_(static_cast<std::size_t>(systems)),
        solution_(static_cast<std::size_t>(most_)) {
    const auto m = static_cast<std::size_t>(most_);
    for (System& s : systems_) {
      s.triangle.resize(m * (m + 1) / 2);
      for (auto* v : {&s.diagonal, &s.below, &s.cosine, &s.sine, &s.right}) v->resize(m + 1);
    }
  }

  /// Solves M_r x_r = b_r for r < n, up to |M x − b| ≤ tolerance·|b|.
  /// \param multiply multiply(v, to) sets the rows of `to` to M_r v_r
  /// \returns the number of iterations
  template <class Multiply>
  int run(const Scalar* b, int n, double tolerance, Multiply&& multiply) {
    for (int r = 0; r < n; ++r) {
      System& s = systems_[static_cast<std::size_t>(r)];
      s.size = std::sqrt(dot(b + r * row_, b + r * row_));
      s.iterations = 0, s.right[0] = s.size;
      s.done = !(s.size > 0) || !std::isfinite(s.size);
      scale(b + r * row_, s.done ? 0 : 1 / s.size, block(0) + r * row_);
    }
    for (int j = 0; j < most_; ++j) {
      bool any = false;
      for (int r = 0; r < n; ++r) any = any || !systems_[static_cast<std::size_t>(r)].done;
      if (!any) return j;
      multiply(static_cast<const Scalar*>(block(j)), block(j + 1));
      for (int r = 0; r < n; ++r) extend(r, j, tolerance);
    }
    return most_;
  }
  /// The solution of system r; zero if it is not finite.
  void solution(int r, Scalar* to) {
    const System& s = systems_[static_cast<std::size_t>(r)];
    bool finite = true;
    for (int i = s.iterations; i-- > 0;) {
      double rest = s.right[at(i)];
      for (int j = i + 1; j < s.iterations; ++j)
        rest -= s.triangle[column(j) + at(i)] * solution_[at(j)];
      solution_[at(i)] = rest / s.triangle[column(i) + at(i)];
      finite = finite && std::isfinite(solution_[at(i)]);
    }
    std::fill_n(to, row_, Scalar(0));
    if (finite)
      for (int i = 0; i < s.iterations; ++i)
        add(block(i) + r * row_, static_cast<Scalar>(solution_[at(i)]), to);
  }
  /// Lanczos quadrature for b_rᵀ log(M_r) b_r, if M_r is symmetric; NaN if it is not found to be
  /// positive definite.
  double log_quadrature(int r) const {
    const System& s = systems_[static_cast<std::size_t>(r)];
    const int m = s.iterations;
    if (m == 0) return std::numeric_limits<double>::quiet_NaN();
    const Eigen::VectorXd below = Eigen::Map<const Eigen::VectorXd>(s.below.data(), m).head(m - 1);
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver;
    solver.computeFromTridiagonal(Eigen::Map<const Eigen::VectorXd>(s.diagonal.data(), m), below);
    double total = 0;
    for (int i = 0; i < m; ++i) {
      const double value = solver.eigenvalues()[i], first = solver.eigenvectors()(0, i);
      if (!(value > 0)) return std::numeric_limits<double>::quiet_NaN();
      total += first * first * std::log(value);
    }
    return s.size * s.size * total;
  }

 private:
  /// H = the projection of M on the basis, Q R = H: R by columns, the rotations of Q, Qᵀ|b|e_1; and
  /// the diagonal of H and the elements below it.
  struct System {
    std::vector<double> triangle, diagonal, below, cosine, sine, right;
    double size = 0;  // |b|
    int iterations = 0;
    bool done = false;
  };
  static std::size_t at(int i) { return static_cast<std::size_t>(i); }
  static std::size_t column(int j) { return at(j) * (at(j) + 1) / 2; }
  Scalar* block(int j) const { return basis_.data() + block_ * at(j); }
  double dot(const Scalar* a, const Scalar* b) const {
    Vec<Scalar> total{};
    for (int c = 0; c < row_; c += lanes<Scalar>) total = fma(load(a + c), load(b + c), total);
    return static_cast<double>(sum(total));
  }
  void add(const Scalar* a, Scalar factor, Scalar* to) const {
    const Vec<Scalar> f = broadcast(factor);
    for (int c = 0; c < row_; c += lanes<Scalar>) store(to + c, fma(f, load(a + c), load(to + c)));
  }
  void scale(const Scalar* a, double factor, Scalar* to) const {
    const Vec<Scalar> f = broadcast(static_cast<Scalar>(factor));
    for (int c = 0; c < row_; c += lanes<Scalar>) store(to + c, f * load(a + c));
  }
  /// The vector j + 1 of the basis of system r from the product of M with the vector j.
  void extend(int r, int j, double tolerance) {
    System& s = systems_[at(r)];
    Scalar* const w = block(j + 1) + r * row_;
    if (s.done) return std::fill_n(w, row_, Scalar(0)), void();
    double* const h = s.triangle.data() + column(j);
    const double before = std::sqrt(dot(w, w));
    for (int i = 0; i <= j; ++i) {
      const Scalar* const q = block(i) + r * row_;
      h[i] = dot(q, w);
      add(q, static_cast<Scalar>(-h[i]), w);
    }
    double rest = std::sqrt(dot(w, w));
    const bool complete = !(rest > 10 * std::numeric_limits<Scalar>::epsilon() * before);
    if (complete) rest = 0;  // only rounding is left
    s.diagonal[at(j)] = h[j], s.below[at(j)] = rest;
    for (int i = 0; i < j; ++i) rotate(s, i, h[i], h[i + 1]);
    const double length = std::hypot(h[j], rest);
    s.cosine[at(j)] = length > 0 ? h[j] / length : 1,
    s.sine[at(j)] = length > 0 ? rest / length : 0;
    h[j] = length, s.right[at(j + 1)] = 0;
    rotate(s, j, s.right[at(j)], s.right[at(j + 1)]);
    s.iterations = j + 1;
    s.done = complete || !(std::abs(s.right[at(j + 1)]) > tolerance * s.size);
    scale(w, s.done ? 0 : 1 / rest, w);
  }
  static void rotate(const System& s, int i, double& upper, double& lower) {
    const double c = s.cosine[at(i)], sine = s.sine[at(i)], a = upper, b = lower;
    upper = c * a + sine * b, lower = c * b - sine * a;
  }

  int row_, most_;
  std::size_t block_;
  Buffer<Scalar> basis_;  // a block for each iteration, with one row per system
  std::vector<System> systems_;
  std::vector<double> solution_;
};

/// The scratch of one worker, and the passes.
/// \tparam Passes Tangents or ConvexTangents
template <class Scalar, class Passes>
class ProbedTangents {
 public:
  using Layers = typename Passes::Layers;

  /// For this number of probes for each point.
  ProbedTangents(int dim, int probes)
      : dim_(dim),
        row_(padded<Scalar>(dim)),
        probes_(probes),
        group_(std::max(1, 192 / (1 + 2 * probes))),
        passes_(dim, Passes::symmetric ? 2 * probes : probes, group_),
        krylov_(dim, group_ * probes) {
    for (Buffer<Scalar>* b : {&signs_, &solutions_, &products_})
      *b = Buffer<Scalar>(static_cast<std::size_t>(group_) * probes * row_);
  }
  /// Those of a worker, made when first used with this number of probes.
  static ProbedTangents& of_worker(std::vector<std::unique_ptr<ProbedTangents>>& made, int worker,
                                   int dim, int probes) {
    auto& own = made[static_cast<std::size_t>(worker)];
    if (!own || own->probes_ != probes) own = std::make_unique<ProbedTangents>(dim, probes);
    return *own;
  }

  /// Calls give(i, estimate of log |det M|) for the n rows of x, with M = ∇T(x_i); the first is the
  /// point `begin` of the batch.
  template <class Give>
  void values(const Layers& net, const Random& random, const Probes& probes, long begin,
              const Scalar* x, std::ptrdiff_t ldx, int n, Give&& give) {
    each_group(net, random, probes, begin, x, ldx, n, [&](int first, int count) {
      krylov_.run(signs_.data(), count * probes_, probes.tolerance,
                  [&](const Scalar* v, Scalar* to) {
                    if constexpr (Passes::symmetric) {
                      passes_.multiply(net, count, probes_, v, to);
                    } else {
                      passes_.multiply(net, count, probes_, v, products_.data());
                      passes_.multiply_transposed(net, count, probes_, products_.data(), to);
                    }
                  });
      for (int i = 0; i < count; ++i) {
        double total = 0;
        for (int p = 0; p < probes_; ++p) total += krylov_.log_quadrature(i * probes_ + p);
        give(first + i, total / probes_ * (Passes::symmetric ? 1 : 0.5));
      }
    });
  }
  /// Adds the estimate of Σ factor·∂ log |det M| to the gradients.
  void gradients(const Layers& net, const Random& random, const Probes& probes, long begin,
                 const Scalar* x, std::ptrdiff_t ldx, int n, double factor) {
    each_group(net, random, probes, begin, x, ldx, n, [&](int, int count) {
      const int systems = count * probes_;
      krylov_.run(signs_.data(), systems, probes.tolerance, [&](const Scalar* v, Scalar* to) {
        passes_.multiply(net, count, probes_, v, to);
      });
      for (int r = 0; r < systems; ++r) krylov_.solution(r, solutions_.data() + r * row_);
      const auto weight = static_cast<Scalar>(factor / probes_);
      for (int k = 0; k < systems * row_; ++k) signs_.data()[k] *= weight;
      passes_.accumulate(net, count, probes_, signs_.data(), solutions_.data());
    });
  }

 private:
  /// work(first, count) for each group of points, whose passes and signs are ready.
  template <class Work>
  void each_group(const Layers& net, const Random& random, const Probes& probes, long begin,
                  const Scalar* x, std::ptrdiff_t ldx, int n, Work&& work) {
    for (int first = 0; first < n; first += group_) {
      const int count = std::min(group_, n - first);
      passes_.set_points(net, x + first * ldx, ldx, count);
      draw_signs(random, probes, begin + first, count, dim_, signs_.data(), row_);
      work(first, count);
    }
  }

  int dim_, row_, probes_, group_;
  Passes passes_;
  Krylov<Scalar> krylov_;
  Buffer<Scalar> signs_, solutions_, products_;
};

}  // namespace wgf::eigen
