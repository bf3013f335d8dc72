// SPDX-License-Identifier: BSL-1.0
#pragma once
// The closed form of affine maps. They map Gaussians to Gaussians, so that errors can be computed
// without samples.
#include <vector>

#include <Eigen/Core>

#include "../measure/gaussian.hpp"
#include "network.hpp"

namespace wgf {

/// x → matrix·x + offset.
struct AffineForm {
  Eigen::MatrixXd matrix;
  Eigen::VectorXd offset;

  Gaussian push_forward(const Gaussian& p) const {
    return {detail::times(matrix, p.mean()) + offset, detail::congruence(matrix, p.covariance())};
  }
};

/// The map of an affine specification with these parameters, in the order of the specification: for
/// each layer W[in][out] row by row, then b.
template <AffineSpecification Spec>
AffineForm affine_form(const Spec& spec, int dim, const std::vector<double>& parameters) {
  const double* p = parameters.data();
  AffineForm form{Eigen::MatrixXd::Identity(dim, dim), Eigen::VectorXd::Zero(dim)};
  const auto then = [&](int in, int out) {
    // W[in][out] is stored row by row; read column by column, it is the out × in matrix that acts
    // on a column vector.
    const Eigen::MatrixXd weight = Eigen::Map<const Eigen::MatrixXd>(p, out, in);
    form.matrix = detail::product(weight, form.matrix);
    form.offset =
        detail::times(weight, form.offset) + Eigen::Map<const Eigen::VectorXd>(p + in * out, out);
    p += in * out + out;
  };
  if constexpr (std::same_as<Spec, Affine>) {
    then(dim, dim);
  } else {
    form.matrix *= spec.input_scale;
    for (int l = 0; l < Spec::depth; ++l)
      then(l == 0 ? dim : Spec::width, l + 1 == Spec::depth ? dim : Spec::width);
  }
  form.matrix += Eigen::MatrixXd::Identity(dim, dim);
  return form;
}

}  // namespace wgf
