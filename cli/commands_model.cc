#include <spdlog/fmt/fmt.h>

#include <set>

#include "base/names.h"
#include "cli/download.h"
#include "cli/help.h"
#include "cli/human.h"
#include "cli/live_metric.h"
#include "cli/serving_figures.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

std::string ModelPath(const std::string& name) { return "/api/v1/models/" + name; }
std::string VersionPath(const VersionedName& named) {
  return fmt::format("/api/v1/models/{}/versions/{}", named.name, named.version);
}
std::string ReportPath(const VersionedName& named) { return VersionPath(named) + "/decision/report"; }

Outcome List(Context& context) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(const Json list, client.GetList("/api/v1/models"));
  if (context.Json()) {
    PrintList(context.console, list);
    return kExitDone;
  }
  std::int64_t now_us = context.clock.WallUs();
  Table table({{"NAME"},
               {"LIVE", Align::kRight},
               {"PREVIOUS", Align::kRight},
               {"LATEST", Align::kRight},
               {"METRIC"},
               {"UPDATED"}});
  for (const Json& item : Field(list, "items")) {
    auto updated = IntField(item, "updated_at");
    table.Add({TextField(item, "name"), ShownInt(IntField(item, "live")), ShownInt(IntField(item, "previous")),
               ShownInt(IntField(item, "latest_version")), TextField(item, "metric"),
               updated ? ShownAge(*updated, now_us) : kAbsent});
  }
  context.console.Out(table.Render(context.console));
  if (table.Empty())
    context.console.NoteLine("No models yet. A pipeline's first run makes one: ratchet run start PIPELINE");
  return kExitDone;
}

std::string OpponentText(const Json& thing) {
  std::string kind = TextField(thing, "opponent_kind");
  if (auto version = IntField(thing, "opponent_version")) kind += fmt::format(" @{}", *version);
  return kind.empty() ? "opponent" : kind;
}

std::string IntervalText(const Json& decision) {
  const Json& interval = Field(decision, "interval");
  if (!interval.is_array() || interval.size() != 2 || !interval[0].is_number() || !interval[1].is_number()) return {};
  return fmt::format("{:+.4f} to {:+.4f} at confidence {}", interval[0].get<double>(), interval[1].get<double>(),
                     ShownValue(Field(decision, "confidence")));
}

std::string TestText(const Json& decision) {
  std::string test = TextField(decision, "test");
  if (test.empty()) return {};
  auto p = NumberField(decision, "p_value");
  auto wins = IntField(decision, "wins");
  auto losses = IntField(decision, "losses");
  std::string text = p ? test + ", " + ShownP(*p) : test;
  if (wins && losses) text += fmt::format(", {} wins and {} losses", ShownCount(*wins), ShownCount(*losses));
  return text;
}

// Who went past the gate, and why.
std::string OverrideText(const Json& forced_by) {
  if (!forced_by.is_object()) return {};
  return OneLine(fmt::format("by {} in release {}: {}", TextField(forced_by, "actor"),
                             ShownInt(IntField(forced_by, "release")), TextField(forced_by, "reason")));
}

// What looking at the sealed rows has cost; empty for a decision of before the ledger.
std::string LookText(const Json& holdout) {
  if (!holdout.is_object()) return {};
  const auto level = [&](const char* name) { return NumberField(holdout, name).value_or(0); };
  return fmt::format("number {} at the rows of epoch {}, at level {:.3g}; {:.3g} of alpha left, the next look has {:.3g}",
                     IntField(holdout, "look").value_or(0), IntField(holdout, "epoch").value_or(0), level("level"),
                     level("left"), level("next_level"));
}

// Sealed rows that training has as well; empty where none were looked for or found.
std::string LeakText(const Json& leakage, const char* which, const char* words) {
  if (!leakage.is_object() || !leakage.contains(which)) return {};
  const Json& found = Field(leakage, which);
  const std::int64_t rows = IntField(found, "rows").value_or(0);
  if (rows == 0) return {};
  std::string text = fmt::format("{} sealed {} ({:.2g} %) {} {} {} of training", ShownCount(rows), rows == 1 ? "row" : "rows",
                                 100 * NumberField(found, "share").value_or(0), rows == 1 ? "has" : "have", words, rows == 1 ? "a row" : "rows");
  text += TextField(found, "action") == "dropped" ? ": judged without them" : ": judged with them";
  for (const Json& pair : Field(found, "examples")) {
    text += fmt::format("; {} is {}", OneLine(TextField(pair, "holdout")), OneLine(TextField(pair, "training")));
    break;
  }
  return text;
}

// Why the live version was no opponent, for a decision that says so.
Pairs UnscorableText(const Json& unscorable) {
  if (!unscorable.is_object()) return {};
  Pairs pairs{{"Live version", fmt::format("{}@{} cannot be scored any more ({}): {}", TextField(unscorable, "model"),
                                           ShownInt(IntField(unscorable, "live")), TextField(unscorable, "reason"),
                                           OneLine(TextField(unscorable, "message")))}};
  if (FlagField(unscorable, "reset")) pairs.push_back({"Baseline", "stood in for it, by gate.baseline: reset"});
  for (const Json& way : Field(unscorable, "ways_out")) pairs.push_back({"Way out", OneLine(ShownValue(way))});
  return pairs;
}

// A decision on a candidate that nothing could be compared with.
std::string NotComparedText(const Console& console, const Json& decision) {
  Pairs pairs{{"Decision", TextField(decision, "verdict") + (FlagField(decision, "forced") ? " (promoted by force)" : "")},
              {"Overridden", OverrideText(Field(decision, "forced_by"))}};
  for (auto& pair : UnscorableText(Field(decision, "live_unscorable"))) pairs.push_back(std::move(pair));
  return RenderPairs(pairs, console);
}

// The gate's report in a few lines.
std::string DecisionText(const Console& console, const Json& decision) {
  if (TextField(decision, "verdict") == "live_unscorable") return NotComparedText(console, decision);
  auto difference = NumberField(decision, "difference");
  auto needed = IntField(decision, "rows_needed");
  std::string metric = TextField(decision, "metric");
  return RenderPairs(
      {{"Decision", TextField(decision, "verdict") + (FlagField(decision, "forced") ? " (promoted by force)" : "")},
       {"Reason", OneLine(TextField(decision, "reason"))},
       {"Overridden", OverrideText(Field(decision, "forced_by"))},
       {"Scores", fmt::format("{} {} against {} of {}", metric, ShownScore(NumberField(decision, "candidate")),
                              ShownScore(NumberField(decision, "opponent")), OpponentText(decision))},
       {"Difference", difference ? fmt::format("{:+.4f}", *difference) : ""},
       {"Interval", IntervalText(decision)},
       {"Test", TestText(decision)},
       {"Rows", ShownCount(IntField(decision, "rows").value_or(0)) + " of the holdout"},
       {"Leakage", LeakText(Field(decision, "leakage"), "equal", "the inputs of")},
       {"Near leakage", LeakText(Field(decision, "leakage"), "near", "nearly the inputs of")},
       {"Look", LookText(Field(decision, "holdout"))},
       {"Rows needed", needed ? ShownCount(*needed) : ""}}, console);
}

// The parts of the rows that the spec asks after, or that a search found.
void PrintSlices(Console& console, const std::string& title, const Json& slices) {
  Table table({{title}, WordColumn("STATE"), {"ROWS", Align::kRight}, {"DIFFERENCE", Align::kRight}, {"MARGIN", Align::kRight},
               {"P WORSE", Align::kRight}});
  for (const Json& slice : slices) {
    const std::string state = TextField(slice, "state");
    const bool judged = state == "holds" || state == "worse";
    const auto number = [&](const char* name) { return NumberField(slice, name).value_or(0); };
    table.Add({OneLine(TextField(slice, "name")), state, ShownCount(IntField(slice, "rows").value_or(0)),
               judged ? fmt::format("{:+.4f}", number("difference")) : kAbsent, fmt::format("{:.4g}", number("margin")),
               judged ? ShownP(number("p_adjusted")) : kAbsent});
    table.PaintLast(1, PaintOfState(state == "holds" ? "ok" : state));
  }
  if (!table.Empty()) console.Out("\n" + table.Render(console));
}

std::string ShownShare(const Json& figures, const char* name) {
  const auto share = NumberField(figures, name);
  return share ? fmt::format("{:.3f}", *share) : kAbsent;
}

// What both sides get wrong, class by class, and how far their probabilities are from what became of them.
void PrintClasses(Console& console, const Json& report) {
  if (!report.is_object()) return;
  const Json &ours = Field(report, "candidate"), &theirs = Field(report, "opponent");
  const Json &classes = Field(report, "classes"), &our_figures = Field(ours, "per_class"), &their_figures = Field(theirs, "per_class");
  Table table({{"CLASS"}, {"ROWS", Align::kRight}, {"PRECISION", Align::kRight}, {"RECALL", Align::kRight}, {"F1", Align::kRight},
               {"OPPONENT F1", Align::kRight}});
  for (size_t i = 0; i < classes.size() && i < our_figures.size() && i < their_figures.size(); ++i)
    table.Add({OneLine(ShownValue(classes[i])), ShownCount(static_cast<std::int64_t>(NumberField(our_figures[i], "support").value_or(0))),
               ShownShare(our_figures[i], "precision"), ShownShare(our_figures[i], "recall"), ShownShare(our_figures[i], "f1"),
               ShownShare(their_figures[i], "f1")});
  if (table.Empty()) return;
  console.Out("\n" + table.Render(console));
  console.OutLine(fmt::format("Expected calibration error {} against {}", ShownShare(ours, "expected_calibration_error"),
                              ShownShare(theirs, "expected_calibration_error")));
}

// Prints the version's decision report, where there is one.
Status PrintDecision(Context& context, Client& client, const VersionedName& named) {
  auto decision = client.GetJson(VersionPath(named) + "/decision");
  if (!decision) {
    if (decision.error().code == ErrorCode::kNotFound) return {};
    return std::unexpected(std::move(decision).error());
  }
  context.console.Out(fmt::format("\nDecision on {}@{}\n", named.name, named.version) + DecisionText(context.console, *decision));
  context.console.Out(ServingTable(context.console, Field(*decision, "serving")));
  PrintSlices(context.console, "SLICE", Field(*decision, "slices"));
  PrintSlices(context.console, "WORST SEGMENT", Field(*decision, "segments"));
  PrintClasses(context.console, Field(*decision, "class_report"));
  context.console.OutLine("\nReport  " + client.Url().Text() + ReportPath(named));
  return {};
}

std::string LineageText(const Json& version) {
  std::string text = TextField(version, "dataset");
  if (auto number = IntField(version, "dataset_version")) text += fmt::format("@{}", *number);
  if (auto run = IntField(version, "run")) text += fmt::format(", run {}", *run);
  return text;
}

Outcome ShowVersion(Context& context, Client& client, const VersionedName& named) {
  RATCHET_ASSIGN(std::string body, client.Get(VersionPath(named)));
  RATCHET_ASSIGN(Json version, DecodeAnswer(body));
  if (context.Json()) {
    PrintRaw(context.console, body);
    return kExitDone;
  }
  auto created = IntField(version, "created_at");
  context.console.Out(RenderPairs(
      {{"Version", fmt::format("{}@{}", named.name, named.version)},
       {"State", TextField(version, "state")},
       {"Score", fmt::format("{} {}", TextField(version, "metric"), ShownScore(NumberField(version, "score")))},
       {"Recipe", ShownValue(Field(version, "recipe"))},
       {"Made from", LineageText(version)},
       {"Bundle", TextField(version, "bundle")},
       {"Size", ShownSize(NumberField(version, "bundle_bytes").value_or(0))},
       {"Created", created ? ShownTime(*created) : ""}}, context.console));
  RATCHET_TRY(PrintDecision(context, client, named));
  return kExitDone;
}

struct ExplainOptions {
  std::string word;
  std::string html;  // where the report goes as a page; empty = nowhere
};

// The page first: it can be had of decisions, too, that are too old to be made again. Empty: there is nothing more to print.
Result<std::string> FetchExplanation(Context& context, Client& client, const VersionedName& named, const std::string& html) {
  if (!html.empty())
    RATCHET_TRY(DownloadTo(context, client, ReportPath(named), html, fmt::format("decision report of {}@{}", named.name, named.version)));
  if (html == "-") return std::string();
  auto body = client.Get(VersionPath(named) + "/decision/explain");
  if (body || html.empty() || body.error().code != ErrorCode::kNotFound) return body;
  context.console.NoteLine(body.error().Message());
  return std::string();
}

// By which way of computing, where that is not today's.
std::string MethodText(const Json& method) {
  const auto number = IntField(method, "number"), newest = IntField(method, "newest");
  return number && newest && *number != *newest ? fmt::format(" by method {} (today's is {})", *number, *newest) : "";
}

// Exit status 1 where the report cannot be had again as it stands.
Outcome Explain(Context& context, const ExplainOptions& options) {
  RATCHET_ASSIGN(VersionedName named, ParseVersionedName("model", options.word, VersionIs::kRequired));
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(std::string body, FetchExplanation(context, client, named, options.html));
  if (body.empty()) return kExitDone;
  RATCHET_ASSIGN(Json explained, DecodeAnswer(body));
  const bool same = FlagField(explained, "same");
  if (context.Json()) {
    PrintRaw(context.console, body);
    return same ? kExitDone : kExitFailed;
  }
  const Json& report = Field(explained, "report");
  context.console.Out(DecisionText(context.console, report));
  context.console.Out(ServingTable(context.console, Field(report, "serving")));
  PrintSlices(context.console, "SLICE", Field(report, "slices"));
  PrintSlices(context.console, "WORST SEGMENT", Field(report, "segments"));
  context.console.OutLine("");
  std::string names;
  for (const Json& name : Field(explained, "differences")) names += (names.empty() ? "" : ", ") + ShownValue(name);
  const std::string again = "Made again from the scores that were kept" + MethodText(Field(explained, "method"));
  context.console.OutLine(same ? again + ": the same, bit for bit."
                               : fmt::format("{}: NOT the same in {}; {}.", again, names,
                                             FlagField(explained, "same_decision") ? "the decision itself is the same" : "nor is the decision"));
  context.console.OutLine("Scores " + TextField(explained, "scores"));
  return same ? kExitDone : kExitFailed;
}

struct ShowOptions {
  std::string word;
  std::string over;
  LiveMetricView live;
};
constexpr std::pair<const char*, std::int64_t> kSpans[] = {{"1h", 3600}, {"6h", 6 * 3600}, {"1d", 86'400}, {"7d", 7 * 86'400}};

Outcome Show(Context& context, ShowOptions options) {
  RATCHET_ASSIGN(VersionedName named, ParseVersionedName("model", options.word, VersionIs::kOptional));
  for (const auto& [name, span_s] : kSpans)
    if (options.over == name) options.live.span_s = span_s;
  const bool live_asked = options.live.span_s > 0 || !options.live.slice.empty();
  RATCHET_ASSIGN(Client client, context.Connect());
  if (named.version > 0) return ShowVersion(context, client, named);
  RATCHET_ASSIGN(std::string body, client.Get(ModelPath(named.name)));
  RATCHET_ASSIGN(Json model, DecodeAnswer(body));
  if (context.Json()) {
    if (live_asked) {
      RATCHET_ASSIGN(body, client.Get(LiveMetricPath(named.name, options.live)));
    }
    PrintRaw(context.console, body);
    return kExitDone;
  }
  auto live = IntField(model, "live");
  auto latest = IntField(model, "latest_version");
  auto updated = IntField(model, "updated_at");
  context.console.Out(RenderPairs({{"Model", named.name},
                                   {"Live", live ? fmt::format("{}@{}", named.name, *live) : "none yet"},
                                   {"Previous", ShownInt(IntField(model, "previous"))},
                                   {"Latest", ShownInt(latest)},
                                   {"Epoch", ShownInt(IntField(model, "epoch"))},
                                   {"Metric", TextField(model, "metric")},
                                   {"Updated", updated ? ShownTime(*updated) : ""}}, context.console));
  RATCHET_TRY(PrintLiveMetric(context, client, named.name, options.live));
  named.version = latest.value_or(0);
  if (named.version > 0) RATCHET_TRY(PrintDecision(context, client, named));
  return kExitDone;
}

Outcome Versions(Context& context, const std::string& name) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(const Json list, client.GetList(ModelPath(name) + "/versions"));
  if (context.Json()) {
    PrintList(context.console, list);
    return kExitDone;
  }
  std::int64_t now_us = context.clock.WallUs();
  Table table({{"VERSION", Align::kRight},
               WordColumn("STATE"),
               {"METRIC"},
               {"SCORE", Align::kRight},
               {"OPPONENT", Align::kRight},
               {"AGAINST"},
               WordColumn("VERDICT"),
               {"DATA"},
               {"RUN", Align::kRight},
               {"SIZE", Align::kRight},
               {"CREATED"}});
  for (const Json& item : Field(list, "items")) {
    auto created = IntField(item, "created_at");
    std::string data = TextField(item, "dataset");
    if (auto number = IntField(item, "dataset_version")) data += fmt::format("@{}", *number);
    table.Add({ShownInt(IntField(item, "version")), TextField(item, "state"), TextField(item, "metric"),
               ShownScore(NumberField(item, "score")), ShownScore(NumberField(item, "opponent")),
               TextField(item, "opponent_kind"), ShownValue(Field(item, "verdict")), data,
               ShownInt(IntField(item, "run")), ShownSize(NumberField(item, "bundle_bytes").value_or(0)),
               created ? ShownAge(*created, now_us) : kAbsent});
    table.PaintLast(1, PaintOfState(TextField(item, "state")));
    table.PaintLast(6, PaintOfState(TextField(item, "verdict")));
  }
  context.console.Out(table.Render(context.console));
  return kExitDone;
}

// What two versions are compared by: label → value.
std::vector<std::pair<std::string, std::string>> Traits(const Json& version, const Json& decision) {
  const Json& lineage = Field(Field(version, "manifest"), "lineage");
  const Json& training = Field(Field(version, "manifest"), "training");
  std::vector<std::pair<std::string, std::string>> traits = {
      {"state", TextField(version, "state")},
      {TextField(version, "metric"), ShownScore(NumberField(version, "score"))},
      {"verdict", ShownValue(Field(version, "verdict"))},
      {"reason", decision.is_object() ? TextField(decision, "reason") : kAbsent},
      {"holdout rows", decision.is_object() ? ShownValue(Field(decision, "rows")) : kAbsent},
      {"recipe", ShownValue(Field(version, "recipe"))},
      {"dataset", LineageText(version)},
      {"training rows", ShownValue(Field(training, "rows"))},
      {"pipeline revision", ShownValue(Field(lineage, "revision"))},
      {"seed", ShownValue(Field(lineage, "seed"))},
      {"bundle size", ShownSize(NumberField(version, "bundle_bytes").value_or(0))}};
  for (const auto& [name, value] : Field(lineage, "params").items())
    traits.emplace_back("params." + name, ShownValue(value));
  for (const auto& [name, value] : Field(lineage, "trainer_files").items())
    traits.emplace_back(name, ShownValue(value).substr(0, 12));
  return traits;
}

std::string TraitOf(const std::vector<std::pair<std::string, std::string>>& traits, const std::string& label) {
  for (const auto& [name, value] : traits)
    if (name == label) return value;
  return kAbsent;
}

struct Compared {
  Json version;
  Json decision;
};

Result<Compared> FetchCompared(Client& client, const VersionedName& named) {
  Compared compared;
  RATCHET_ASSIGN(compared.version, client.GetJson(VersionPath(named)));
  auto decision = client.GetJson(VersionPath(named) + "/decision");
  if (decision)
    compared.decision = std::move(*decision);
  else if (decision.error().code != ErrorCode::kNotFound)
    return std::unexpected(std::move(decision).error());
  return compared;
}

Outcome Diff(Context& context, const std::string& first, const std::string& second) {
  RATCHET_ASSIGN(VersionedName a, ParseVersionedName("model", first, VersionIs::kRequired));
  RATCHET_ASSIGN(VersionedName b, ParseVersionedName("model", second, VersionIs::kRequired));
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(Compared left, FetchCompared(client, a));
  RATCHET_ASSIGN(Compared right, FetchCompared(client, b));
  if (context.Json()) {
    Json both = Json::array();
    for (const Compared* side : {&left, &right})
      both.push_back({{"version", side->version}, {"decision", side->decision}});
    PrintItems(context.console, both);
    return kExitDone;
  }
  auto left_traits = Traits(left.version, left.decision);
  auto right_traits = Traits(right.version, right.decision);
  Table table({{""}, {""}, {first}, {second}});
  std::set<std::string> done;
  for (const auto* traits : {&left_traits, &right_traits}) {
    for (const auto& [label, unused] : *traits) {
      if (label.empty() || !done.insert(label).second) continue;
      std::string was = TraitOf(left_traits, label);
      std::string is = TraitOf(right_traits, label);
      table.Add({was == is ? "" : "≠", label, was, is});
      if (was != is) table.PaintLast(0, Paint::kYellow);
    }
  }
  // A reason is a whole sentence, so that two beside one another would be far wider than any screen.
  const Surroundings& around = context.console.Around();
  const bool color = around.out_is_terminal && around.color_allowed;
  context.console.Out(table.Render(around.columns, color, Overflow::kWrap));
  return kExitDone;
}

Outcome Export(Context& context, const std::string& word, const std::string& path) {
  RATCHET_ASSIGN(VersionedName named, ParseVersionedName("model", word, VersionIs::kRequired));
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_TRY(DownloadTo(context, client, VersionPath(named) + "/bundle", path, fmt::format("bundle of {}@{}", named.name, named.version)));
  return kExitDone;
}

void AddExplain(CLI::App& group, Context& context) {
  auto explained = std::make_shared<ExplainOptions>();
  CLI::App* explain = AddCommand(
      group, context,
      {.name = "explain",
       .summary = "show a decision, and make it again from the scores that were kept",
       .details = "Each decision keeps the scores of every row, its seeds and its rule, so that it can be computed again\n"
                  "years later without the models. What comes out is compared with the report member by member.\n"
                  "With --html the report is also written as one page that opens without a server, to print or to keep.",
       .examples = "ratchet model explain parcel-sorter@2\n"
                   "ratchet model explain parcel-sorter@2 --html parcel-sorter-2.html",
       .exit_status = "  0                       the report is the same, bit for bit\n"
                      "  1                       it is not, or there is none\n"},
      [&context, explained] { return Explain(context, *explained); });
  AddArgument(explain, context, "NAME@V", explained->word, "The version", Completes::kModelVersion);
  context.completions[explain->add_option("--html", explained->html, "Write the report as a page, or - for standard output and nothing else")
                          ->type_name("FILE")] = Completes::kFile;
}

}  // namespace

void AddModelCommands(CLI::App& root, Context& context) {
  CLI::App* group = AddGroup(root, "model", "look at models and their versions",
                             "A model has numbered, immutable versions, written NAME@7; at most one is live.");
  AddCommand(*group, context,
             {.name = "list",
              .summary = "list the models",
              .details = "One line for each model with its live and previous version.",
              .examples = "ratchet model list"},
             [&context] { return List(context); });

  auto shown = std::make_shared<ShowOptions>();
  CLI::App* show =
      AddCommand(*group, context,
                 {.name = "show",
                  .summary = "show a model with its newest decision, or one version with its own",
                  .details = "Which version is live, which was live before, how they do by feedback, and why the gate decided as\n"
                             "it did. --slice tells the live metric also by the values of a column, --over also over time.",
                  .examples = "ratchet model show parcel-sorter\nratchet model show parcel-sorter@2\n"
                              "ratchet model show churn --slice plan --over 1d"},
                 [&context, shown] { return Show(context, *shown); });
  AddArgument(show, context, "NAME[@V]", shown->word, "The model, or one version", Completes::kModel);
  show->add_option("--slice", shown->live.slice, "A column, an input's or the target, by whose values to tell the live metric")
      ->type_name("COLUMN");
  show->add_option("--over", shown->over, "Tell it over time, by hours or days")->type_name("SPAN")->check(OneOf({"1h", "6h", "1d", "7d"}));

  AddExplain(*group, context);

  auto name = std::make_shared<std::string>();
  CLI::App* versions = AddCommand(*group, context,
                                  {.name = "versions",
                                   .summary = "list a model's versions with their scores",
                                   .details = "Scores are on the holdout as it was when the version was tested.",
                                   .examples = "ratchet model versions parcel-sorter"},
                                  [&context, name] { return Versions(context, *name); });
  AddArgument(versions, context, "NAME", *name, "The model's name", Completes::kModel);

  auto pair = std::make_shared<std::pair<std::string, std::string>>();
  CLI::App* diff =
      AddCommand(*group, context,
                 {.name = "diff",
                  .summary = "compare two versions",
                  .details = "Parameters, score, rows, dataset versions and decisions side by side, as wide as the\n"
                             "terminal (80 columns in a pipe); what differs is marked. With -o json: an array of both,\n"
                             "each {\"version\", \"decision\"}.",
                  .examples = "ratchet model diff parcel-sorter@1 parcel-sorter@2"},
                 [&context, pair] { return Diff(context, pair->first, pair->second); });
  AddArgument(diff, context, "A", pair->first, "One version, NAME@V", Completes::kModelVersion);
  AddArgument(diff, context, "B", pair->second, "The other version, NAME@V", Completes::kModelVersion);

  auto exported = std::make_shared<std::pair<std::string, std::string>>();
  CLI::App* to_file =
      AddCommand(*group, context,
                 {.name = "export",
                  .summary = "download a version's bundle",
                  .details = "The bundle is a tar of manifest.json and model.pt (TorchScript): it gives the same\n"
                             "answers on an edge box and in Python as on the server.",
                  .examples = "ratchet model export parcel-sorter@2 parcel-sorter-2.tar\n"
                              "ratchet model export parcel-sorter@2 - | tar -xf - -C out"},
                 [&context, exported] { return Export(context, exported->first, exported->second); });
  AddArgument(to_file, context, "NAME@V", exported->first, "The version", Completes::kModelVersion);
  AddArgument(to_file, context, "FILE", exported->second, "Where to, or - for standard output", Completes::kFile);
}

}  // namespace ratchet::cli
