// SPDX-License-Identifier: BSL-1.0
#include "data.hpp"

#include <charconv>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>

namespace examples {

std::filesystem::path shipped_data(const std::string& folder, const std::string& file) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path inside = fs::path("data") / folder / file,
                 program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& root : {fs::path(__FILE__).parent_path().parent_path(), program,
                           program / "../../../examples", fs::path("examples")})
    if (fs::exists(root / inside, error)) return root / inside;
  throw std::runtime_error(
      fmt::format("the data of {} were not found; use --data to give their path", folder));
}

std::string read_text(const std::filesystem::path& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored))
    throw std::runtime_error(fmt::format("{}: no such file", file.string()));
  if (std::filesystem::is_directory(file, ignored))
    throw std::runtime_error(fmt::format("{}: is a folder, not a file", file.string()));
  if (!std::filesystem::is_regular_file(file, ignored))  // a device could be endless
    throw std::runtime_error(fmt::format("{}: is not a regular file", file.string()));
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw std::runtime_error(fmt::format("{}: cannot be read", file.string()));
  return text.str();
}

nlohmann::json read_json(const std::filesystem::path& file) {
  const std::string text = read_text(file);
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    const std::string_view what =
        error.what();  // "[json.exception.…] parse error at line 3, column 5: …"
    const auto bracket = what.find("] ");
    throw std::runtime_error(fmt::format("{}: {}", file.string(),
                                         bracket == what.npos ? what : what.substr(bracket + 2)));
  }
}

Eigen::VectorXd vector_field(const nlohmann::json& object, const std::string& name,
                             const std::filesystem::path& file) {
  const auto numbers = field<std::vector<double>>(object, name, file);
  return Eigen::Map<const Eigen::VectorXd>(numbers.data(),
                                           static_cast<Eigen::Index>(numbers.size()));
}

Table read_csv(const std::filesystem::path& file) {
  std::istringstream text(read_text(file));
  const auto trimmed = [](std::string_view s) {
    const auto first = s.find_first_not_of(" \t\r\"");
    return first == s.npos ? std::string_view()
                           : s.substr(first, s.find_last_not_of(" \t\r\"") - first + 1);
  };
  const auto for_each_cell = [&](std::string_view line, auto&& use) {
    for (std::size_t column = 0;; ++column) {
      const auto comma = line.find(',');
      use(column, trimmed(line.substr(0, comma)));
      if (comma == line.npos) return column + 1;
      line.remove_prefix(comma + 1);
    }
  };

  Table table;
  std::string line;
  if (!std::getline(text, line) || trimmed(line).empty())
    throw std::runtime_error(fmt::format("{}: line 1: no header", file.string()));
  for_each_cell(line, [&](std::size_t, std::string_view cell) { table.names.emplace_back(cell); });

  std::vector<double> values;
  std::size_t rows = 0;
  for (std::size_t number = 2; std::getline(text, line); ++number) {
    if (trimmed(line).empty()) continue;
    const std::size_t cells = for_each_cell(line, [&](std::size_t column, std::string_view cell) {
      double value = 0;
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
      if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value))
        throw std::runtime_error(fmt::format("{}: line {}, column {}: \"{}\" is not a number",
                                             file.string(), number, column + 1, cell));
      values.push_back(value);
    });
    if (cells != table.names.size())
      throw std::runtime_error(fmt::format("{}: line {}: {} values, but the header names {}",
                                           file.string(), number, cells, table.names.size()));
    ++rows;
  }
  if (rows == 0)
    throw std::runtime_error(fmt::format("{}: no rows after the header", file.string()));
  table.values = Eigen::Map<const Eigen::MatrixXd>(values.data(),
                                                   static_cast<Eigen::Index>(table.names.size()),
                                                   static_cast<Eigen::Index>(rows));
  return table;
}

}  // namespace examples
