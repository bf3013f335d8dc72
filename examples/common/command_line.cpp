// SPDX-License-Identifier: BSL-1.0
#include "command_line.hpp"

#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace examples {

template <class T>
bool convert(const std::string& text, T& value) {
  return CLI::detail::lexical_cast(text, value);
}
template bool convert(const std::string&, int&);
template bool convert(const std::string&, long&);
template bool convert(const std::string&, double&);

Option Option::number(const std::string& requirement, std::function<bool(double)> good) {
  return check([requirement, good = std::move(good)](const std::string& text) {
    double value = 0;
    return convert(text, value) && good(value) ? std::string()
                                               : fmt::format("{}, got {}", requirement, text);
  });
}
Option Option::at_least(double least) {
  return number(fmt::format("must be at least {}", least),
                [least](double value) { return value >= least; });
}
Option Option::positive() {
  return number("must be a positive number", [](double value) { return value > 0; });
}
Option Option::between(double least, double most, bool exclude_least) {
  return number(fmt::format("must be {} {} and at most {}", exclude_least ? "above" : "at least",
                            least, most),
                [=](double value) {
                  return value >= least && value <= most && !(exclude_least && value == least);
                });
}
Option Option::one_of(std::vector<std::string> words) {
  option_->check(CLI::IsMember(std::move(words)));
  return *this;
}
Option Option::check(std::function<std::string(const std::string&)> problem,
                     const std::string& kind) {
  option_->check(CLI::Validator(
      [problem = std::move(problem)](const std::string& text) { return problem(text); }, kind));
  return *this;
}
Option Option::each(std::function<void(const std::string&)> use) {
  option_->each(use);
  return *this;
}
Option Option::excludes(Option other) {
  option_->excludes(other.option_);
  return *this;
}
Option Option::group(const std::string& heading) {
  option_->group(heading);
  return *this;
}
Option Option::type_name(const std::string& name) {
  option_->type_name(name);
  return *this;
}
Option Option::description(const std::string& text) {
  option_->description(text);
  return *this;
}
Option Option::shown_default(const std::string& text) {
  option_->default_str(text);
  return *this;
}

CommandLine::CommandLine(const std::string& description, const std::string& name)
    : name_(name), app_(std::make_unique<CLI::App>(description, name)) {}
CommandLine::~CommandLine() = default;

Option CommandLine::add(const std::string& name, Value value, const std::string& help) {
  return std::visit(
      [&](auto* target) {
        CLI::Option* option = app_->add_option(name, *target, help)->capture_default_str();
        if constexpr (std::is_same_v<decltype(target), bool*>)
          option->default_str(*target ? "true" : "false");
        return Option(option);
      },
      value);
}
Option CommandLine::add(const std::string& name, std::function<void(const std::string&)> use,
                        const std::string& help) {
  return Option(app_->add_option_function<std::string>(name, use, help));
}
Option CommandLine::add_flag(const std::string& name, std::function<void()> use,
                             const std::string& help) {
  return Option(app_->add_flag_callback(name, std::move(use), help));
}
Option CommandLine::get(const std::string& name) { return Option(app_->get_option(name)); }
std::string CommandLine::given_under(const std::string& heading) const {
  for (const CLI::Option* option : std::as_const(*app_).get_options())
    if (option->get_group() == heading && option->count() > 0) return option->get_name();
  return {};
}
void CommandLine::when_parsed(std::function<void()> use) { uses_.push_back(std::move(use)); }
bool CommandLine::parse(const std::vector<std::string>& arguments) {
  try {
    app_->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // from the back
    for (const auto& use : uses_) use();
    return true;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) throw UsageError(error.what());
    app_->exit(error);  // prints the help
    return false;
  }
}

}  // namespace examples
