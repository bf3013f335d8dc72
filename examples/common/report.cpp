// SPDX-License-Identifier: BSL-1.0
#include "report.hpp"

#include <cmath>
#include <ctime>
#include <ostream>
#include <stdexcept>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <wgf/io/write_atomically.hpp>

namespace examples {

namespace {
const std::string& snake_case(const std::string& name) {
  const bool good = !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
                    name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == name.npos;
  if (!good)
    throw std::invalid_argument(fmt::format("Report: the name \"{}\" is not in snake_case", name));
  return name;
}
}  // namespace

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

Report::Report(const std::string& program, const CommonOptions& options)
    : content_(std::make_unique<nlohmann::ordered_json>()) {
  *content_ = {{"program", program}, {"seed", options.seed}};
  for (const char* part : {"settings", "seconds", "metrics"})
    (*content_)[part] = nlohmann::ordered_json::object();
  (*content_)["notes"] = nlohmann::ordered_json::array();
  setting("threads", options.threads);
  setting("steps", options.steps);
#ifdef WGF_EXAMPLES_ON_TORCH
  setting("device", options.device);
#endif
}
Report::~Report() = default;

void Report::setting(const std::string& name, const Setting& value) {
  std::visit([&](const auto& v) { (*content_)["settings"][snake_case(name)] = v; }, value);
}
void Report::metric(const std::string& name, double value) {
  if (!std::isfinite(value)) note(fmt::format("{} is not finite", name));
  (*content_)["metrics"][snake_case(name)] = value;
}
void Report::details(const std::string& name, const nlohmann::ordered_json& value) {
  (*content_)["metrics"][snake_case(name)] = value;
}
void Report::put_list(const std::string& name,
                      const std::variant<std::vector<double>, std::vector<long>>& numbers) {
  std::visit([&](const auto& v) { (*content_)["metrics"][snake_case(name)] = v; }, numbers);
}
void Report::seconds(const std::string& name, double value) {
  (*content_)["seconds"][snake_case(name)] = std::round(value * 1e4) / 1e4;
}
double Report::seconds(const std::string& name) const {
  return (*content_)["seconds"].at(name).get<double>();
}
void Report::note(const std::string& text) { (*content_)["notes"].push_back(text); }

void Report::write(const std::filesystem::path& file) const {
  wgf::detail::write_atomically("report", file,
                                [&](std::ostream& out) { out << content_->dump(2) << '\n'; });
}

}  // namespace examples
