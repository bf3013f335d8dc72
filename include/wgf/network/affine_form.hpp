// SPDX-License-Identifier: BSL-1.0
#pragma once
// The closed form of maps that are affine: what keeps Gaussians Gaussian, and lets their errors be measured without samples.
#include <vector>

#include <Eigen/Core>

#include "../measure/gaussian.hpp"
#include "network.hpp"

namespace wgf {

/// x → matrix·x + offset.
struct AffineForm {
  Eigen::MatrixXd matrix;
  Eigen::VectorXd offset;

  Gaussian push_forward(const Gaussian& p) const { return {matrix * p.mean() + offset, matrix * p.covariance() * matrix.transpose()}; }
};

/// The map of an affine specification with these parameters (in the specification's order: for each layer W[in][out] row by row, then b).
template <AffineSpecification Spec>
AffineForm affine_form(const Spec& spec, int dim, const std::vector<double>& parameters) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Row = Eigen::Matrix<double, 1, Eigen::Dynamic>;
  const double* p = parameters.data();
  const auto layer = [&](int in, int out, Matrix& matrix, Row& offset) {  // points are rows here
    const Eigen::Map<const Matrix> weight(p, in, out);
    const Eigen::Map<const Row> bias(p + in * out, out);
    matrix = matrix * weight, offset = offset * weight + bias;
    p += in * out + out;
  };
  Matrix matrix = Matrix::Identity(dim, dim);
  Row offset = Row::Zero(dim);
  if constexpr (std::same_as<Spec, Affine>) {
    layer(dim, dim, matrix, offset);
  } else {
    matrix *= spec.input_scale;
    for (int l = 0; l < Spec::depth; ++l) layer(l == 0 ? dim : Spec::width, l + 1 == Spec::depth ? dim : Spec::width, matrix, offset);
  }
  matrix += Matrix::Identity(dim, dim);
  return {matrix.transpose(), offset.transpose()};
}

}  // namespace wgf
