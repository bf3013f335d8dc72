// SPDX-License-Identifier: BSL-1.0
#pragma once
// Readers of JSON and CSV data. An error message is one line that names the file and the line or
// field.
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <wgf/particles.hpp>

namespace examples {

/// A file in examples/data/, in the source tree or near the program.
/// \throws std::runtime_error if it is not there
std::filesystem::path shipped_data(const std::string& folder, const std::string& file);

/// The contents of a text file. \throws std::runtime_error if it cannot be read
std::string read_text(const std::filesystem::path& file);

/// A parsed JSON file. \throws std::runtime_error with line and column of a syntax error, or with a
/// number that overflows a double
nlohmann::json read_json(const std::filesystem::path& file);

/// A field of a JSON object. \throws std::runtime_error if it is missing or has another type
template <class T>
T field(const nlohmann::json& object, const std::string& name, const std::filesystem::path& file) {
  if (!object.is_object() || !object.contains(name))
    throw std::runtime_error(fmt::format("{}: the field \"{}\" is missing", file.string(), name));
  try {
    return object.at(name).get<T>();
  } catch (const nlohmann::json::exception&) {
    throw std::runtime_error(fmt::format("{}: the field \"{}\" has the wrong type ({})",
                                         file.string(), name, object.at(name).type_name()));
  }
}

/// A field of numbers as a vector.
Eigen::VectorXd vector_field(const nlohmann::json& object, const std::string& name,
                             const std::filesystem::path& file);

/// A CSV file of numbers: the column names and the values. A row of the file is a column of the
/// matrix, so that draws are particles.
struct Table {
  std::vector<std::string> names;
  wgf::Particles values;  ///< names.size() × number of rows
};

/// Reads a CSV file with a header and finite numbers. \throws std::runtime_error with line and
/// column
Table read_csv(const std::filesystem::path& file);

}  // namespace examples
