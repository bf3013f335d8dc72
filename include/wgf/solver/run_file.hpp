// SPDX-License-Identifier: BSL-1.0
#pragma once
// The file of a run in progress: the flow, what two runs must share for one to continue the other,
// and the mutable state of the run.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include <boost/core/demangle.hpp>

#include "../flow/file.hpp"
#include "../functional/functional.hpp"
#include "../options/options.hpp"
#include "../random.hpp"

namespace wgf::detail {

inline constexpr FileKind run_file{"WGFRUN1\n", 3, "wgf::JkoSolver::resume", "a wgf run"};

/// The mutable state of a run, except its flow.
template <class S, class TrainerSnapshot, class PopulationSnapshot>
struct RunSnapshot {
  using Scalar = S;
  int refreshes = 0, damped = 0;
  double seconds = 0;
  TrainerSnapshot trainer{};
  PopulationSnapshot population{};
  std::vector<Progress> history{};
};

// ---- identity

template <class T>
std::string type_name() {
  return boost::core::demangle(typeid(T).name());
}
/// Describes a weighted term, as far as possible: its weight, its dual network, and the values of
/// its target at some points and times, to six digits because other builds may round differently.
template <class Term>
std::string describe_term(const Weighted<Term>& t, const Particles& points) {
  std::string text = shortest(t.weight);
  if constexpr (requires { describe(t.term.dual.network); })
    text += " with " + describe(t.term.dual.network);
  if constexpr (requires { t.term.exponent; })
    text += " with exponent " + shortest(t.term.exponent);
  if constexpr (requires { t.term.energy.value(0.0); })
    for (const double log_p : {-1.0, 0.0, 1.0})
      text += (log_p < 0 ? " with energies " : ", ") + shortest(t.term.energy.value(log_p));
  if constexpr (requires { t.term.form.probes; })
    if (t.term.form.probes > 0)
      text += " with " + std::to_string(t.term.form.probes) + " probes to " +
              shortest(t.term.form.tolerance);
  if constexpr (has_target<Term>)
    for (Eigen::Index i = 0; i < points.cols(); ++i) {
      char value[32] = "none";
      try {
        const auto target = target_at(t.term.target, static_cast<double>(i));
        const auto log = target.log_density(Eigen::VectorXd(points.col(i)));
        std::snprintf(value, sizeof value, "%.6g", static_cast<double>(log));
      } catch (...) {  // outside of its support
      }
      text += std::string(i ? ", " : " with log-density ") + value;
    }
  if constexpr (requires { t.term.target.temperatures(); }) {
    text += " with steps of " + shortest(t.term.target.step_size()) + " at temperatures";
    for (const double beta : t.term.target.temperatures()) text += " " + shortest(beta);
  }
  return text;
}
/// The checksum of P_0, as far as files store it, and of the stages of a flow that the run
/// continues.
template <class Flow>
std::string start_checksum(const Flow& flow, int done_before) {
  Header header;
  ByteWriter bytes;
  if (done_before == 0) {
    std::visit([&](const auto& m) { put_measure(m, header, bytes); }, flow.initial);
  } else {
    Flow begun = flow;
    begun.stages.erase(begun.stages.begin() + done_before, begun.stages.end());
    put_flow(begun, header, bytes);
  }
  boost::crc_32_type crc;
  crc.process_bytes(bytes.bytes().data(), bytes.bytes().size());
  for (const auto& [key, value] : header) crc.process_bytes(value.data(), value.size());
  return "checksum " + std::to_string(crc.checksum());
}
/// Writes the fields of a policy that has settings(), which a saved run must share.
template <class Policy>
void put_settings(const Policy& policy, Header& header) {
  if constexpr (requires { policy.scheme; }) put_settings(policy.scheme, header);
  if constexpr (requires { Policy::settings(); })
    hana::for_each(Policy::settings(), [&](const auto& entry) {
      const auto value = policy.*hana::second(entry);
      if constexpr (std::is_same_v<decltype(value), const bool>)
        header[hana::first(entry)] = value ? "yes" : "no";
      else if constexpr (requires { describe(value); })
        header[hana::first(entry)] = describe(value);
      else header[hana::first(entry)] = shortest(value);
    });
}
template <class Group>
void put_options(const Group& group, const std::string& prefix, Header& header) {
  hana::for_each(Group::fields(), [&](const auto& field) {
    header["option " + prefix + field.name] = shortest(group.*field.member);
  });
}
/// What two runs must share for one to continue the other. The number of steps, reports and
/// safeguards may differ.
template <class Implicit, class Flow, class Scheme, class Method, class Backend>
Header run_identity(const Implicit& implicit, const Flow& flow, const Scheme& scheme,
                    const Method& method, const Backend& backend, const RunOptions& options,
                    int done_before) {
  using Forward = typename Flow::ForwardType;
  Header header{{"functional",
                 type_name<Implicit>() + (Flow::has_forward ? " and " + type_name<Forward>() : "")},
                {"scheme", type_name<Scheme>() + " of step size " + shortest(scheme.step_size)},
                {"method", method.describe()},
                {"backend", type_name<Backend>()},
                {"seed", std::to_string(backend.seed)},
                {"map", describe(flow.map)},
                {"dim", std::to_string(flow.dim())},
                {"start (P_0, or the flow to continue)", start_checksum(flow, done_before)}};
  const Particles points = standard_normals(flow.dim(), 3, 0);
  int number = 0;
  const auto describe_terms = [&](const auto& terms) {
    hana::for_each(terms, [&](const auto& t) {
      header["term " + std::to_string(++number)] = describe_term(t, points);
    });
  };
  describe_terms(implicit.terms), describe_terms(flow.forward);
  put_settings(scheme, header);
  put_options(options.training, "training.", header);
  put_options(options.population, "population.", header);
  return header;
}
/// \throws FileError naming the first entry that differs.
inline void check_identity(const OpenedFile& file, const Header& identity) {
  for (const auto& [key, expected] : identity)
    if (const std::string found = file.entry(key); found != expected)
      file.fail("it was saved by a run with another " + key + ": " + found + ", this one has " +
                expected);
}

// ---- numbers, in the order in which put_run writes them

inline void put_lists(const std::vector<std::vector<double>>& lists, ByteWriter& out) {
  out.put(static_cast<std::uint64_t>(lists.size()));
  for (const auto& list : lists) out.put_list(list);
}
template <class Snapshot>
void put_run(const Snapshot& run, ByteWriter& out) {
  const auto count = [&](int value) { out.put(static_cast<std::int64_t>(value)); };
  const auto& trainer = run.trainer;
  count(run.refreshes), count(run.damped), out.put(run.seconds);
  out.put(trainer.draws), out.put(trainer.next_step_size);
  count(trainer.rejected), count(trainer.rolled_back);
  const auto& progress = trainer.progress;
  out.put(progress.step_size), count(progress.iteration), count(progress.rolled_back);
  out.put_list(progress.level ? std::vector<double>{*progress.level} : std::vector<double>{});
  count(static_cast<int>(progress.done.size()));
  for (const auto& map : progress.done) out.put_list(map);
  put_lists(trainer.before, out), put_lists(trainer.networks, out);
  out.put_list(run.population.particles), out.put_list(run.population.before);
  out.put_list(run.population.log_densities);
  out.put(static_cast<std::uint64_t>(run.history.size()));
  for (const Progress& p : run.history)
    hana::for_each(Progress::fields(),
                   [&](auto member) { out.put(static_cast<double>(p.*member)); });
}

inline int get_count(ByteReader& in) {
  const auto value = in.get<std::int64_t>();
  if (value < 0 || value > std::numeric_limits<int>::max())
    throw std::invalid_argument("a count is out of range");
  return static_cast<int>(value);
}
template <class T>
std::vector<T> get_finite(ByteReader& in) {
  std::vector<T> values = in.list<T>();
  for (const T v : values)
    if (!std::isfinite(v)) throw std::invalid_argument("a number is not finite");
  return values;
}
inline std::vector<std::vector<double>> get_lists(ByteReader& in) {
  std::vector<std::vector<double>> lists;
  for (auto n = in.get<std::uint64_t>(); n > 0; --n) lists.push_back(get_finite<double>(in));
  return lists;
}
/// Reads a member of a Progress. Estimates need not be finite: a log-density may
/// be −∞ at a particle although its gradient there is finite.
template <class T>
void get_member(ByteReader& in, T& member) {
  const auto value = in.get<double>();
  if constexpr (std::is_same_v<T, bool>) {
    member = value != 0;
  } else {
    if constexpr (std::is_integral_v<T>)
      if (!(std::abs(value) <= (sizeof(T) > 4 ? 1e18 : 1.0 * std::numeric_limits<int>::max())))
        throw std::invalid_argument("a count is out of range");
    member = static_cast<T>(value);
  }
}
/// \throws std::invalid_argument for invalid numbers.
template <class Snapshot>
Snapshot get_run(ByteReader& in) {
  using Scalar = typename Snapshot::Scalar;
  const auto need = [](bool good, const char* what) {
    if (!good) throw std::invalid_argument(what);
  };
  Snapshot run;
  auto& trainer = run.trainer;
  run.refreshes = get_count(in), run.damped = get_count(in), run.seconds = in.get<double>();
  need(std::abs(run.seconds) < 1e9, "the time is out of range");
  trainer.draws = in.get<std::uint32_t>(), trainer.next_step_size = in.get<double>();
  need(trainer.next_step_size > 0 && std::isfinite(trainer.next_step_size),
       "the step size is not positive");
  trainer.rejected = get_count(in), trainer.rolled_back = get_count(in);
  auto& progress = trainer.progress;
  progress.step_size = in.get<double>(), progress.iteration = get_count(in);
  progress.rolled_back = get_count(in);
  need(progress.step_size >= 0 && std::isfinite(progress.step_size), "the step size is negative");
  if (const auto level = get_finite<double>(in); !level.empty()) progress.level = level.front();
  for (int n = get_count(in); n > 0; --n) progress.done.push_back(get_finite<Scalar>(in));
  trainer.before = get_lists(in), trainer.networks = get_lists(in);
  run.population.particles = get_finite<Scalar>(in);
  run.population.before = get_finite<Scalar>(in);
  run.population.log_densities = get_finite<double>(in);
  const auto entries = in.get<std::uint64_t>();
  constexpr std::size_t members = decltype(hana::size(Progress::fields()))::value;
  in.need(entries, members * sizeof(double));
  for (std::uint64_t i = 0; i < entries; ++i) {
    Progress p{};
    hana::for_each(Progress::fields(), [&](auto member) { get_member(in, p.*member); });
    run.history.push_back(p);
  }
  return run;
}

/// Writes flow and run, atomically.
/// \throws FileError if it cannot be written.
template <class Flow, class Snapshot>
void save_run(const std::filesystem::path& path, Header header, const Flow& flow,
              const Snapshot& run) {
  ByteWriter body;
  put_flow(flow, header, body);
  put_run(run, body);
  write_atomically("wgf::save", path,
                   [&](std::ostream& out) { out << sealed(run_file, header, body); });
}

}  // namespace wgf::detail
