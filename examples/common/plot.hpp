// SPDX-License-Identifier: BSL-1.0
#pragma once
// Pictures by gnuplot: particles over the contours of a density, marginals beside reference draws,
// curves. A picture consists of panels. Titles and labels are in gnuplot's enhanced text mode, in
// which a_1 has a subscript. A picture never makes a run fail: without gnuplot these functions
// print a message to stderr and return false.
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include <wgf/particles.hpp>

namespace examples {

/// Colours that colour-blind readers can distinguish (after Okabe and Ito).
namespace colour {
inline constexpr const char* ours = "#1F6FB2";
inline constexpr const char* target = "#D9822B";
inline constexpr const char* third = "#2E9C6A";
inline constexpr const char* fourth = "#A3478F";
inline constexpr const char* quiet = "#8A8F98";
}  // namespace colour

/// Steps of a flow to draw, at these fractions of its length, each once.
std::vector<int> steps_to_draw(int steps,
                               std::initializer_list<double> shares = {0.0, 0.05, 0.15, 0.4, 1.0});

/// Points to draw, 2 × n.
struct Cloud {
  wgf::Particles points;
  std::string colour = colour::ours;
  std::string label = {};  ///< shown in the key unless empty
};

struct ScatterPanel {
  std::string title;
  std::vector<Cloud> clouds;
};

struct ScatterStyle {
  std::string title = {};
  std::function<double(const Eigen::Vector2d&)> log_density =
      {};  ///< if given, its contour lines are drawn in every panel
  std::vector<double> masses = {
      0.25, 0.5, 0.75, 0.95,
      0.995};  ///< mass enclosed by each contour, relative to that in the window
  std::optional<Eigen::Vector2d> lower = {},
                                 upper = {};  ///< the window; chosen from the points unless given
  int grid = 160;                             ///< grid points of the density per axis
  long max_points = 4000;                     ///< points drawn per cloud
  int max_columns = 5;
};

/// Panels, each with one or more clouds over the contour lines of a density.
/// \return whether the picture was drawn
bool draw_scatter(const std::filesystem::path& file, const std::vector<ScatterPanel>& panels,
                  const ScatterStyle& style = {});

struct MarginalPanel {
  std::string name;
  Eigen::VectorXd samples, reference;
};

struct MarginalStyle {
  std::string title = {};
  std::string samples_label = "Wasserstein gradient flow",
              reference_label = "reference draws (NUTS)";
  int bins = 32;
  int max_columns = 5;
};

/// Histograms of samples (outline) and reference draws (filled) with the same bins, one panel per
/// parameter. \return whether the picture was drawn
bool draw_marginals(const std::filesystem::path& file, const std::vector<MarginalPanel>& panels,
                    const MarginalStyle& style = {});

/// A curve y against x, or separate points if `marks` is set.
struct Curve {
  std::string label;
  Eigen::VectorXd x, y;
  std::string colour = colour::ours;
  bool marks = false;                   ///< points instead of a line
  bool dashed = false;                  ///< for exact solutions
  Eigen::VectorXd low = {}, high = {};  ///< the ends of error bars, if given
};

struct CurvePanel {
  std::string title, x_label, y_label;
  std::vector<Curve> curves;
  bool log_x = false, log_y = false;
  bool equal_units = false;  ///< equal scaling of both axes
};

/// Panels with curves and points. \return whether the picture was drawn
bool draw_curves(const std::filesystem::path& file, const std::vector<CurvePanel>& panels,
                 const std::string& title = {});

}  // namespace examples
