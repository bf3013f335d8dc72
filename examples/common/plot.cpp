// SPDX-License-Identifier: BSL-1.0
#include "plot.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <numeric>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace examples {

namespace {

/// A gnuplot script and its PNG. Write commands with operator() and data with block(), then call
/// draw().
class Picture {
 public:
  Picture(std::filesystem::path file, int width, int height) : file_(std::move(file)) {
    script_file_ = errors_ = file_;
    script_file_ += ".gp", errors_ += ".err";
    (*this)(
        "set terminal pngcairo enhanced color size {},{} font 'DejaVu Sans,11' linewidth 1.2 "
        "background '#FFFFFF'\n",
        width, height);
    (*this)("set output {}\n", quoted(file_.string()));
    (*this)(
        "set encoding utf8\nset border lc rgb '#9AA0A8' lw 0.8\nset tics textcolor rgb '#50565E' "
        "scale 0.5 nomirror font ',10'\n");
    (*this)(
        "set title textcolor rgb '#20242A' font ',12' offset 0,-0.4\nset key textcolor rgb "
        "'#30353C' samplen 1.5 spacing 1.1\n");
  }
  Picture(const Picture&) = delete;
  Picture& operator=(const Picture&) = delete;
  ~Picture() {
    std::error_code ignored;
    for (const auto& f : {script_file_, errors_}) std::filesystem::remove(f, ignored);
  }

  /// Appends text to the script, formatted by fmt.
  template <class... Args>
  void operator()(fmt::format_string<Args...> text, Args&&... args) {
    fmt::format_to(std::back_inserter(script_), text, std::forward<Args>(args)...);
  }

  /// Appends a named data block with one row per column of `values`. \return its name, "$d1" for
  /// the first
  std::string block(const Eigen::Ref<const Eigen::MatrixXd>& values) {
    const std::string name = fmt::format("$d{}", ++blocks_);
    (*this)("{} << EOD\n", name);
    for (Eigen::Index j = 0; j < values.cols(); ++j) {
      for (Eigen::Index i = 0; i < values.rows(); ++i) (*this)("{:.6g} ", values(i, j));
      (*this)("\n");
    }
    (*this)("EOD\n");
    return name;
  }

  /// Text as a gnuplot string in single quotes.
  static std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("''") : std::string(1, c);
    return out + "'";
  }

  /// Runs gnuplot. \return false if that fails, with one line on stderr and no file
  bool draw() {
    if (!(std::ofstream(script_file_) << script_ << "\nunset output\n").flush())
      return failed("cannot write " + script_file_.string());
    const int status = std::system(
        fmt::format("gnuplot {} > /dev/null 2> {}", in_shell(script_file_), in_shell(errors_))
            .c_str());
    if (status == -1 || !WIFEXITED(status)) return failed("gnuplot was interrupted");
    if (WEXITSTATUS(status) == 127)
      return failed("gnuplot is not installed (apt-get install gnuplot-nox)");
    if (WEXITSTATUS(status) != 0) return failed("gnuplot: " + complaint());
    return std::filesystem::exists(file_) || failed("gnuplot wrote no file");
  }

 private:
  static std::string in_shell(const std::filesystem::path& path) {
    std::string out = "'";
    for (const char c : path.string()) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
  }
  /// The last line that gnuplot printed.
  std::string complaint() const {
    std::ifstream in(errors_);
    std::string line, last = "unknown error";
    while (std::getline(in, line))
      if (line.find_first_not_of(" ^\t") != line.npos) last = line;
    return last;
  }
  bool failed(const std::string& why) const {
    std::error_code ignored;
    std::filesystem::remove(file_, ignored);  // possibly incomplete
    fmt::print(stderr, "no picture {}: {}\n", file_.filename().string(), why);
    return false;
  }

  std::filesystem::path file_, script_file_, errors_;
  std::string script_;
  int blocks_ = 0;
};

/// The numbers of columns and rows of panels.
struct PanelGrid {
  int columns, rows;
  static PanelGrid of(std::size_t panels, int max_columns) {
    const int n = static_cast<int>(panels), rows = (n + max_columns - 1) / max_columns;
    return {(n + rows - 1) / rows, rows};
  }
};

/// Quantiles of unsorted values.
double quantile(std::vector<double> values, double q) {
  const auto k = static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + k, values.end());
  return values[static_cast<std::size_t>(k)];
}

/// The levels h for which {density ≥ h} contains the given fractions of the mass.
std::vector<double> enclosing_levels(const Eigen::MatrixXd& density,
                                     const std::vector<double>& masses) {
  std::vector<double> sorted(density.data(), density.data() + density.size());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const double total = std::accumulate(sorted.begin(), sorted.end(), 0.0);
  std::vector<double> levels;
  for (const double mass : masses) {
    double sum = 0;
    std::size_t i = 0;
    while (i + 1 < sorted.size() && (sum += sorted[i]) < mass * total) ++i;
    if (sorted[i] > 0) levels.push_back(sorted[i]);
  }
  std::sort(levels.begin(), levels.end());
  levels.erase(std::unique(levels.begin(), levels.end()), levels.end());
  return levels;
}

/// A window around all finite points: their 0.2 % to 99.8 % quantiles, slightly enlarged.
std::pair<Eigen::Vector2d, Eigen::Vector2d> window(const std::vector<ScatterPanel>& panels) {
  Eigen::Vector2d lower, upper;
  for (int i = 0; i < 2; ++i) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const auto& panel : panels)
      for (const auto& cloud : panel.clouds) {
        std::vector<double> values;
        for (Eigen::Index j = 0; j < cloud.points.cols(); ++j)
          if (std::isfinite(cloud.points(i, j))) values.push_back(cloud.points(i, j));
        if (values.empty()) continue;
        low = std::min(low, quantile(values, 0.002)),
        high = std::max(high, quantile(values, 0.998));
      }
    if (!(low <= high)) low = -1, high = 1;
    const double margin = std::max(0.06 * (high - low), 1e-6 * (1 + std::abs(low)));
    lower[i] = low - margin, upper[i] = high + margin;
  }
  return {lower, upper};
}

}  // namespace

std::vector<int> steps_to_draw(int steps, std::initializer_list<double> shares) {
  std::vector<int> all;
  for (const double share : shares)
    if (const int k = static_cast<int>(std::ceil(share * steps - 1e-9));
        all.empty() || k > all.back())
      all.push_back(k);
  return all;
}

bool draw_scatter(const std::filesystem::path& file, const std::vector<ScatterPanel>& panels,
                  const ScatterStyle& style) {
  if (panels.empty()) return true;
  auto [lower, upper] = window(panels);
  if (style.lower) lower = *style.lower;
  if (style.upper) upper = *style.upper;

  const auto grid = PanelGrid::of(panels.size(), style.max_columns);
  const int width = std::clamp(grid.columns * 360, 700, 1750), top = style.title.empty() ? 0 : 34;
  const double aspect = std::clamp((upper[1] - lower[1]) / (upper[0] - lower[0]), 0.4, 1.4);
  const int height =
      static_cast<int>(grid.rows * (width / grid.columns - 40) * aspect) + 60 * grid.rows + top;
  Picture picture(file, width, height);

  std::string contours;
  if (style.log_density) {
    const int n = style.grid;
    Eigen::MatrixXd density(n, n);
    const auto at = [&](int i, int axis) {
      return lower[axis] + (upper[axis] - lower[axis]) * i / (n - 1);
    };
    for (int j = 0; j < n; ++j)
      for (int i = 0; i < n; ++i) density(i, j) = style.log_density({at(i, 0), at(j, 1)});
    const double peak = density.maxCoeff();
    density = (density.array() - peak).exp().unaryExpr([](double p) {
      return std::isfinite(p) ? p : 0.0;
    });
    picture("$grid << EOD\n");
    for (int j = 0; j < n; ++j) {
      for (int i = 0; i < n; ++i)
        picture("{:.6g} {:.6g} {:.6g}\n", at(i, 0), at(j, 1), density(i, j));
      picture("\n");
    }
    picture("EOD\nset contour base\nunset surface\nset cntrparam levels discrete {:.6g}\n",
            fmt::join(enclosing_levels(density, style.masses), ","));
    picture(
        "set table $contours\nsplot $grid using 1:2:3 notitle\nunset table\nset surface\nunset "
        "contour\n");
    contours = "$contours using 1:2 with lines lw 0.9 lc rgb '#9FA6AF' notitle";
  }

  std::vector<std::vector<std::string>> blocks(panels.size());
  for (std::size_t p = 0; p < panels.size(); ++p)
    for (const auto& cloud : panels[p].clouds)
      blocks[p].push_back(picture.block(cloud.points.topRows(2).leftCols(
          std::min<Eigen::Index>(cloud.points.cols(), style.max_points))));

  picture("set multiplot layout {},{}{}\n", grid.rows, grid.columns,
          style.title.empty()
              ? ""
              : " title " + Picture::quoted(style.title) + " font ',14' offset 0,0.3");
  picture("set xrange [{:.6g}:{:.6g}]\nset yrange [{:.6g}:{:.6g}]\nset size ratio {:.4g}\n",
          lower[0], upper[0], lower[1], upper[1], aspect);
  picture("set lmargin 4.5\nset rmargin 1\nset tmargin 2.2\nset bmargin 2\n");
  for (std::size_t p = 0; p < panels.size(); ++p) {
    picture("set title {}\nset key top right\n", Picture::quoted(panels[p].title));
    std::string plots = contours;
    std::string keys;
    for (std::size_t c = 0; c < panels[p].clouds.size(); ++c) {
      const auto& cloud = panels[p].clouds[c];
      // Few points are large and solid, many are small and translucent.
      const long n = std::min<long>(cloud.points.cols(), style.max_points);
      const double size = n > 2500 ? 0.28 : n > 800 ? 0.36 : 0.5;
      const char* alpha = n > 2500 ? "9C" : n > 800 ? "78" : "40";
      plots +=
          fmt::format("{}{} using 1:2 with points pt 7 ps {} lc rgb '#{}{}' notitle",
                      plots.empty() ? "" : ", ", blocks[p][c], size, alpha, cloud.colour.substr(1));
      if (!cloud.label.empty())
        keys += fmt::format(", NaN with points pt 7 ps 0.8 lc rgb '{}' title {}", cloud.colour,
                            Picture::quoted(cloud.label));
    }
    picture("plot {}{}\n", plots.empty() ? "NaN notitle" : plots, keys);
  }
  picture("unset multiplot\n");
  return picture.draw();
}

bool draw_marginals(const std::filesystem::path& file, const std::vector<MarginalPanel>& panels,
                    const MarginalStyle& style) {
  if (panels.empty()) return true;
  const auto grid = PanelGrid::of(panels.size(), style.max_columns);
  const int height = (grid.rows == 1 ? 330 : 250) * grid.rows + 85;
  Picture picture(file, std::clamp(grid.columns * 280, 560, 1500), height);

  struct Block {
    std::string data;
    double low, high;
  };
  std::vector<Block> blocks;
  for (const auto& panel : panels) {
    const auto finite = [](const Eigen::VectorXd& x) {
      std::vector<double> values(x.begin(), x.end());
      std::erase_if(values, [](double v) { return !std::isfinite(v); });
      return values;
    };
    const auto samples = finite(panel.samples), reference = finite(panel.reference);
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (const auto& values : {samples, reference})
      if (!values.empty())
        low = std::min(low, quantile(values, 0.001)),
        high = std::max(high, quantile(values, 0.999));
    if (!(low < high)) low = std::isfinite(low) ? low - 1 : -1, high = low + 2;
    const double step = (high - low) / style.bins;
    const auto histogram = [&](const std::vector<double>& values) -> Eigen::VectorXd {
      Eigen::VectorXd counts = Eigen::VectorXd::Zero(style.bins);
      for (const double v : values)
        if (v >= low && v < high)
          ++counts[std::min(static_cast<int>((v - low) / step), style.bins - 1)];
      return counts / (step * static_cast<double>(std::max<std::size_t>(values.size(), 1)));
    };
    const Eigen::VectorXd s = histogram(samples), r = histogram(reference);
    Eigen::MatrixXd rows(3, style.bins + 2);  // an empty bin at each end closes the outline
    rows.setZero();
    for (int i = 0; i < style.bins + 2; ++i) rows(0, i) = low + step * (i - 0.5);
    rows.row(1).segment(1, style.bins) = s.transpose(),
                           rows.row(2).segment(1, style.bins) = r.transpose();
    blocks.push_back({picture.block(rows), low - 0.5 * step, high + 0.5 * step});
  }

  // The key is below the panels.
  const double foot = 34.0 / height, head = style.title.empty() ? 0.99 : 1 - 36.0 / height;
  picture("set multiplot\n");
  if (!style.title.empty())
    picture("set label 1 {} at screen 0.5,{:.4f} center font ',14' textcolor rgb '#20242A'\n",
            Picture::quoted(style.title), (1 + head) / 2);
  picture("set lmargin 2\nset rmargin 2\nset tmargin 2\nset bmargin 2\nunset key\n");
  picture(
      "set style fill solid 1.0 border lc rgb '#DCD3C6'\nunset ytics\nset border 1\nset xtics "
      "nomirror\nset xtics autofreq\nset yrange "
      "[0:*]\n");
  const double panel_width = 1.0 / grid.columns, panel_height = (head - foot) / grid.rows;
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const int column = static_cast<int>(p) % grid.columns, row = static_cast<int>(p) / grid.columns;
    picture(
        "set origin {:.4f},{:.4f}\nset size {:.4f},{:.4f}\nset title {}\nset xrange "
        "[{:.6g}:{:.6g}]\n",
        column * panel_width, head - (row + 1) * panel_height, panel_width, panel_height,
        Picture::quoted(panels[p].name), blocks[p].low, blocks[p].high);
    // About five labels: steps of 1, 2 or 5 times a power of ten.
    const double rough = (blocks[p].high - blocks[p].low) / 4,
                 power = std::pow(10, std::floor(std::log10(rough)));
    picture("set xtics {:.3g}\n", power * (rough / power < 1.5   ? 1
                                           : rough / power < 3.5 ? 2
                                           : rough / power < 7.5 ? 5
                                                                 : 10));
    picture(
        "plot {0} using 1:3 with boxes fc rgb '#DCD3C6' notitle, {0} using 1:2 with histeps lw 1.8 "
        "lc rgb '{1}' notitle\n",
        blocks[p].data, colour::ours);
    if (p == 0) picture("unset label 1\n");
  }
  picture(
      "unset title\nunset border\nunset xtics\nset origin 0,0\nset size 1,{:.4f}\nset tmargin "
      "0\nset bmargin 0\n",
      foot);
  picture(
      "set key center center horizontal samplen 2 font ',11' width 2\nset xrange [0:1]\nset yrange "
      "[0:1]\n");
  picture(
      "plot NaN with lines lw 2.5 lc rgb '{}' title {}, NaN with boxes fc rgb '#DCD3C6' title {}\n",
      colour::ours, Picture::quoted(style.samples_label), Picture::quoted(style.reference_label));
  picture("unset multiplot\n");
  return picture.draw();
}

bool draw_curves(const std::filesystem::path& file, const std::vector<CurvePanel>& panels,
                 const std::string& title) {
  if (panels.empty()) return true;
  const auto grid = PanelGrid::of(panels.size(), 4);
  Picture picture(file, std::clamp(grid.columns * 470, 700, 1500),
                  420 * grid.rows + (title.empty() ? 0 : 34));
  std::vector<std::vector<std::string>> blocks(panels.size());
  for (std::size_t p = 0; p < panels.size(); ++p)
    for (const auto& curve : panels[p].curves) {
      Eigen::MatrixXd rows(curve.low.size() > 0 ? 4 : 2, curve.x.size());
      rows.topRows(2) << curve.x.transpose(), curve.y.transpose();
      if (rows.rows() == 4) rows.bottomRows(2) << curve.low.transpose(), curve.high.transpose();
      blocks[p].push_back(picture.block(rows));
    }
  picture(
      "set multiplot layout {},{}{}\nset grid lc rgb '#E4E6EA' lt 1 lw 0.7\nset key below center "
      "horizontal maxcols 2\n",
      grid.rows, grid.columns,
      title.empty() ? "" : " title " + Picture::quoted(title) + " font ',14' offset 0,-0.2");
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const auto& panel = panels[p];
    picture("set offsets graph 0.02, graph 0.02, graph 0.04, {}\nset size {}\n",
            panel.equal_units ? "graph 0.04" : "0", panel.equal_units ? "ratio -1" : "noratio");
    picture(
        "set title {}\nset xlabel {} offset 0,0.4\nset ylabel {}\n{} logscale x\n{} logscale "
        "y\nset format y '{}'\n",
        Picture::quoted(panel.title), Picture::quoted(panel.x_label),
        Picture::quoted(panel.y_label), panel.log_x ? "set" : "unset",
        panel.log_y ? "set" : "unset", panel.log_y ? "10^{%T}" : "%h");
    std::string plots;
    for (std::size_t c = 0; c < panel.curves.size(); ++c) {
      const auto& curve = panel.curves[c];
      const std::string look = curve.marks    ? "points pt 7 ps 0.8"
                               : curve.dashed ? "lines lw 1.8 dt 2"
                                              : "lines lw 2";
      plots += fmt::format(
          "{}{} using 1:2 with {} lc rgb '{}' {}", plots.empty() ? "" : ", ", blocks[p][c], look,
          curve.colour, curve.label.empty() ? "notitle" : "title " + Picture::quoted(curve.label));
      if (curve.low.size() > 0)
        plots +=
            fmt::format(", {} using 1:2:3:4 with yerrorbars pt 7 ps 0.5 lw 1 lc rgb '{}' notitle",
                        blocks[p][c], curve.colour);
    }
    picture("plot {}\n", plots.empty() ? "NaN notitle" : plots);
  }
  picture("unset multiplot\n");
  return picture.draw();
}

}  // namespace examples
