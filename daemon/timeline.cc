#include "daemon/timeline.h"

#include <algorithm>
#include <string>
#include <utility>

#include "registry/runs.h"

namespace ratchet::daemon {
namespace {

using registry::Attempt;
using registry::BusySpan;
using registry::Run;
using registry::Step;

constexpr std::int64_t kLeastWaitUs = 1'000;  // shorter ones are the engine's own pace, no wait

template <typename T>
Json OrNull(const std::optional<T>& value) {
  return value ? Json(*value) : Json();
}

double Ms(std::int64_t us) { return static_cast<double>(us) / 1000; }

// One run's steps, with what was going on around them.
class Timeline {
 public:
  Timeline(const Run& run, const std::vector<BusySpan>& elsewhere, std::int64_t now_us)
      : run_(run), elsewhere_(elsewhere), end_us_(run.ended_at.value_or(now_us)) {}

  Json Shape() const {
    Json steps = Json::array();
    for (const Step& step : run_.steps) steps.push_back(StepShape(step));
    return {{"run", run_.id},
            {"state", registry::Name(run_.state)},
            {"created_at", run_.created_at},
            {"started_at", OrNull(run_.started_at)},
            {"ended_at", OrNull(run_.ended_at)},
            {"now_at", end_us_},
            {"steps", std::move(steps)},
            {"critical_path", CriticalPath()}};
  }

 private:
  static Json Wait(const std::string& what, std::int64_t from, std::int64_t until) {
    return {{"for", what}, {"from", from}, {"until", until}, {"ms", Ms(until - from)}};
  }

  // Steps that were passed over or stopped before they began waited for nothing.
  bool Waits(const Step& step) const { return step.started_at || step.state == registry::StepState::kPending; }

  Json StepShape(const Step& step) const {
    const Json waits = Waits(step) ? WaitsOf(step) : Json::array();
    std::int64_t waited_us = 0;
    for (const Json& wait : waits) waited_us += wait["until"].get<std::int64_t>() - wait["from"].get<std::int64_t>();
    Json attempts = Json::array();
    for (const Attempt& attempt : step.attempts)
      attempts.push_back({{"number", attempt.number},
                          {"state", registry::Name(attempt.state)},
                          {"started_at", attempt.started_at},
                          {"ended_at", OrNull(attempt.ended_at)}});
    return {{"name", step.name},
            {"kind", step.kind},
            {"state", registry::Name(step.state)},
            {"needs", step.needs},
            {"cached_from", OrNull(step.cached_from)},
            {"ready_at", OrNull(step.ready_at)},
            {"started_at", OrNull(step.started_at)},
            {"ended_at", OrNull(step.ended_at)},
            {"waited_ms", Ms(waited_us)},
            {"waits", waits},
            {"attempts", std::move(attempts)}};
  }

  Json WaitsOf(const Step& step) const {
    Json waits = Json::array();
    const auto add = [&](const std::string& what, std::int64_t from, std::int64_t until) {
      if (until - from >= kLeastWaitUs) waits.push_back(Wait(what, from, until));
    };
    const std::int64_t begun_us = run_.started_at.value_or(end_us_);
    if (step.needs.empty()) add("queue", run_.created_at, begun_us);
    const std::int64_t ready_us = std::max(step.ready_at.value_or(end_us_), begun_us);
    if (const Step* need = LastNeed(step)) add("need " + need->name, begun_us, ready_us);
    const std::int64_t first_us = FirstStart(step);
    if (step.ready_at || step.needs.empty()) add(Holding(step, ready_us, first_us), ready_us, first_us);
    for (size_t i = 1; i < step.attempts.size(); ++i)
      add("retry", step.attempts[i - 1].ended_at.value_or(end_us_), step.attempts[i].started_at);
    if (BacksOff(step)) add("retry", *step.attempts.back().ended_at, end_us_);
    return waits;
  }

  std::int64_t FirstStart(const Step& step) const {
    if (!step.attempts.empty()) return step.attempts.front().started_at;
    return step.started_at.value_or(end_us_);
  }

  static bool BacksOff(const Step& step) {
    return step.state == registry::StepState::kRunning && !step.attempts.empty() && step.attempts.back().ended_at;
  }

  // The need that ended last; while some have not, one of these.
  const Step* LastNeed(const Step& step) const {
    const Step* last = nullptr;
    for (const std::string& name : step.needs) {
      const Step* need = run_.FindStep(name);
      if (need && (!last || EndOf(*need) > EndOf(*last))) last = need;
    }
    return last;
  }

  std::int64_t EndOf(const Step& step) const { return step.ended_at.value_or(INT64_MAX); }

  // Why a step that could start did not: others had the processors, or else its worker was not there.
  std::string Holding(const Step& step, std::int64_t from, std::int64_t until) const {
    const auto overlaps = [&](std::int64_t begin, const std::optional<std::int64_t>& end) {
      return begin < until && end.value_or(INT64_MAX) > from;
    };
    for (const Step& other : run_.steps)
      for (const Attempt& attempt : other.attempts)
        if (other.name != step.name && overlaps(attempt.started_at, attempt.ended_at)) return "processors";
    for (const BusySpan& span : elsewhere_)
      if (overlaps(span.from, span.until)) return "processors";
    return "worker";
  }

  // Between its attempts a step waits, though it has begun.
  static std::int64_t BetweenAttempts(const Step& step) {
    std::int64_t sum_us = 0;
    for (size_t i = 1; i < step.attempts.size(); ++i) {
      const Attempt& before = step.attempts[i - 1];
      sum_us += std::max<std::int64_t>(0, step.attempts[i].started_at - before.ended_at.value_or(step.attempts[i].started_at));
    }
    return sum_us;
  }

  // From the step that ended last back along the needs that ended last.
  Json CriticalPath() const {
    const Step* at = nullptr;
    for (const Step& step : run_.steps)
      if (step.started_at && (!at || EndOf(step) >= EndOf(*at))) at = &step;
    std::vector<const Step*> chain;
    for (; at; at = LastNeed(*at)) chain.push_back(at);
    Json path = Json::array();
    std::int64_t from = run_.created_at;
    for (auto step = chain.rbegin(); step != chain.rend(); ++step) {
      const std::int64_t begun = (*step)->started_at.value_or(from), ended = (*step)->ended_at.value_or(end_us_);
      const std::int64_t between = BetweenAttempts(**step);
      path.push_back({{"step", (*step)->name},
                      {"waited_ms", Ms(std::max<std::int64_t>(0, begun - from) + between)},
                      {"ran_ms", Ms(std::max<std::int64_t>(0, ended - begun - between))}});
      from = ended;
    }
    return path;
  }

  const Run& run_;
  const std::vector<BusySpan>& elsewhere_;
  const std::int64_t end_us_;
};

}  // namespace

Json TimelineJson(const Run& run, const std::vector<BusySpan>& elsewhere, std::int64_t now_us) {
  return Timeline(run, elsewhere, now_us).Shape();
}

}  // namespace ratchet::daemon
