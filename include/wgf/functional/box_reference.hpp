// SPDX-License-Identifier: BSL-1.0
#pragma once
// The uniform law on a box Ω_k around the particles: the reference density in the dual form of the
// generalized entropy (Proposition 2).
#include <optional>
#include <utility>

#include "../concepts.hpp"
#include "../measure/uniform_box.hpp"
#include "../step_context.hpp"

namespace wgf {

/// The uniform law on the smallest box that contains the particles, enlarged about its centre by a
/// factor and updated in every step; or on a box given by the user. Its samples are a lattice that
/// fills the box evenly, with a new random shift in each draw.
template <class R>
class BoxReference {
 public:
  BoxReference(const R& runtime, int dim, long batch, double margin,
               std::optional<UniformBox> fixed)
      : margin_(margin),
        batch_(batch),
        fixed_(std::move(fixed)),
        unit_(runtime.points(dim, batch)) {}

  void begin_step(const R& runtime, const StepContext<R>& context, double /*weight*/) {
    const Frame& frame = context.frame;
    const auto [lower, upper] = runtime.bounds(context.particles);
    Eigen::MatrixXd factor;  // from the unit cube into the coordinates of the step
    Eigen::VectorXd corner;
    if (fixed_) {
      const Eigen::VectorXd size = fixed_->upper() - fixed_->lower();
      factor = detail::solve_lower(frame.factor, size.asDiagonal());
      corner = frame.to_coordinates(fixed_->lower());
    } else {
      const Eigen::VectorXd size = margin_ * (upper - lower);
      factor = size.asDiagonal();
      corner = 0.5 * (lower + upper - size);
    }
    log_volume_ = factor.diagonal().array().log().sum() + frame.log_determinant();
    factor_ = runtime.constant(factor), corner_ = runtime.constant(corner);
  }
  template <class Z>
  void sample(const R& runtime, typename R::Slice s, Z&& z, std::uint32_t stream,
              std::uint32_t draw) {
    runtime.lattice(s, unit_(s), batch_, stream, draw);
    set_affine(factor_, corner_, unit_(s), z);
  }
  /// log |Ω_k|, in the user's coordinates.
  double log_volume() const { return log_volume_; }
  /// The log-density in the box. (The dual network is not trained outside the box.)
  double log_density(const Eigen::VectorXd& /*xi*/) const { return -log_volume_; }

 private:
  double margin_, log_volume_ = 0;
  long batch_;
  std::optional<UniformBox> fixed_;
  typename R::Points unit_;
  typename R::Constant factor_, corner_;
};

}  // namespace wgf
