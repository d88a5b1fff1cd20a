#include "plugins/tabular/network.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace ratchet::tabular {
namespace {

// A bin that no number reaches: fills the table up where a column has fewer bins than another.
constexpr double kUnreachable = 1e300;
// How many deviations from the mean still count as more; the rest is an outlier.
constexpr int kClampDeviations = 5;
// Part of the category codes that training takes for unknown, so that the unknown code learns to be of use.
constexpr double kForgetCategory = 0.01;

torch::Tensor Uniform(at::IntArrayRef sizes, std::int64_t fan_in) {
  const double bound = 1.0 / std::sqrt(static_cast<double>(std::max<std::int64_t>(1, fan_in)));
  return torch::empty(sizes).uniform_(-bound, bound);
}

std::int64_t EmbeddingSize(size_t categories) {
  return std::clamp<std::int64_t>(std::llround(1.6 * std::pow(static_cast<double>(categories + 2), 0.56)), 2, 24);
}

// Builds the module and its source side by side.
class Builder {
 public:
  Builder(const Features& features, const NetworkOptions& options) : features_(features), options_(options) {}

  torch::jit::Module Build() {
    net_.register_attribute("training", c10::BoolType::get(), true);
    const std::string encode = Encode();
    std::string scores = "def scores(self, numbers: Tensor, codes: Tensor) -> Tensor:\n";
    if (!features_.numbers.empty()) scores += Numbers();
    if (!features_.categories.empty()) scores += Categories();
    scores += fmt::format("    x = torch.cat([{}], 1)\n", fmt::join(parts_, ", "));
    scores += Layers();
    net_.define(encode + scores + Forward());
    for (torch::Tensor parameter : net_.parameters()) parameter.requires_grad_(true);
    return net_;
  }

 private:
  std::string Arguments() const {
    std::string list;
    for (size_t i = 0; i < features_.numbers.size(); ++i) list += fmt::format(", number{}: Tensor", i);
    for (size_t i = 0; i < features_.categories.size(); ++i) list += fmt::format(", text{}: List[str]", i);
    return list;
  }

  std::string Values() const {
    std::vector<std::string> names;
    for (size_t i = 0; i < features_.numbers.size(); ++i) names.push_back(fmt::format("number{}", i));
    for (size_t i = 0; i < features_.categories.size(); ++i) names.push_back(fmt::format("text{}", i));
    return fmt::format("{}", fmt::join(names, ", "));
  }

  // Types by number, as TorchScript in C++ has no names for them: 4 is int64, 6 float32, 7 float64.
  std::string Encode() {
    std::string body = fmt::format("def encode(self{}) -> Tuple[Tensor, Tensor]:\n", Arguments());
    std::vector<std::string> numbers, codes;
    for (size_t i = 0; i < features_.numbers.size(); ++i)
      numbers.push_back(fmt::format("torch.reshape(number{}.to(7), [-1])", i));
    for (size_t i = 0; i < features_.categories.size(); ++i) {
      RegisterVocabulary(i);
      body += fmt::format(
          "    vocabulary{0} = self.vocabulary{0}\n    code{0} = [vocabulary{0}.get(t, {1}) for t in text{0}]\n", i,
          kUnknownCategory);
      codes.push_back(fmt::format("torch.tensor(code{}, dtype=4)", i));
    }
    if (!numbers.empty()) body += fmt::format("    numbers = torch.stack([{}], 1)\n", fmt::join(numbers, ", "));
    if (!codes.empty()) body += fmt::format("    codes = torch.stack([{}], 1)\n", fmt::join(codes, ", "));
    if (numbers.empty()) body += "    numbers = torch.zeros([codes.size(0), 0], dtype=7)\n";
    if (codes.empty()) body += "    codes = torch.zeros([numbers.size(0), 0], dtype=4)\n";
    return body + "    return (numbers, codes)\n";
  }

  void RegisterVocabulary(size_t i) {
    c10::Dict<std::string, std::int64_t> vocabulary;
    vocabulary.insert("", kMissingCategory);
    std::int64_t code = kFirstCategory;
    for (const std::string& text : features_.categories[i].categories) vocabulary.insert(text, code++);
    net_.register_attribute(fmt::format("vocabulary{}", i),
                            c10::DictType::create(c10::StringType::get(), c10::IntType::get()), vocabulary);
  }

  std::string Numbers() {
    const auto count = static_cast<std::int64_t>(features_.numbers.size());
    std::int64_t bins = 1;
    for (const NumberFeature& feature : features_.numbers)
      bins = std::max(bins, static_cast<std::int64_t>(feature.edges.size()) - 1);
    torch::Tensor median = torch::empty({count}, torch::kFloat64), mean = torch::empty_like(median),
                  deviation = torch::empty_like(median);
    torch::Tensor low = torch::full({count, bins}, kUnreachable, torch::kFloat64), width = torch::ones_like(low);
    for (std::int64_t i = 0; i < count; ++i) {
      const NumberFeature& feature = features_.numbers[i];
      median[i] = feature.median;
      mean[i] = feature.mean;
      deviation[i] = feature.deviation;
      for (size_t b = 0; b + 1 < feature.edges.size(); ++b) {
        low[i][b] = feature.edges[b];
        width[i][b] = feature.edges[b + 1] - feature.edges[b];
      }
    }
    net_.register_buffer("median", median);
    net_.register_buffer("mean", mean);
    net_.register_buffer("deviation", deviation);
    net_.register_buffer("bin_low", low);
    net_.register_buffer("bin_width", width);
    parts_ = {"standard", "missing.to(6)", "torch.flatten(pieces, 1)"};
    inputs_ += count * (2 + bins);
    return fmt::format(
        "    missing = torch.isnan(numbers)\n"
        "    filled = torch.where(missing, self.median, numbers)\n"
        "    standard = torch.clamp((filled - self.mean) / self.deviation, -{0}, {0}).to(6)\n"
        "    pieces = torch.clamp((torch.unsqueeze(filled, 2) - self.bin_low) / self.bin_width, 0, 1).to(6)\n",
        kClampDeviations);
  }

  std::string Categories() {
    std::string body = fmt::format(
        "    if self.training:\n"
        "        codes = torch.masked_fill(codes, torch.rand_like(codes, dtype=6) < {}, {})\n",
        kForgetCategory, kUnknownCategory);
    for (size_t i = 0; i < features_.categories.size(); ++i) {
      const size_t categories = features_.categories[i].categories.size();
      const std::int64_t size = EmbeddingSize(categories);
      const auto rows = static_cast<std::int64_t>(categories) + kFirstCategory;
      net_.register_parameter(fmt::format("embedding{}", i), torch::empty({rows, size}).normal_(0, 0.3), false);
      parts_.push_back(fmt::format("torch.embedding(self.embedding{0}, torch.select(codes, 1, {0}))", i));
      inputs_ += size;
    }
    return body;
  }

  std::string Linear(const std::string& name, std::int64_t in, std::int64_t out, const std::string& value) {
    net_.register_parameter(name + "_weight", Uniform({out, in}, in), false);
    net_.register_parameter(name + "_bias", torch::zeros({out}), false);
    return fmt::format("torch.linear({1}, self.{0}_weight, self.{0}_bias)", name, value);
  }

  std::string Layers() {
    std::string body = "    h = x\n";
    std::int64_t in = inputs_;
    for (std::int64_t i = 0; i < options_.layers; ++i) {
      // '#' keeps the point: TorchScript takes no whole number where a real one belongs.
      body += fmt::format("    h = torch.dropout(torch.relu({}), {:#}, self.training)\n",
                          Linear(fmt::format("layer{}", i), in, options_.hidden, "h"), options_.dropout);
      in = options_.hidden;
    }
    const std::string deep = Linear("head", in, options_.outputs, "h");
    net_.register_parameter("direct_weight", torch::zeros({options_.outputs, inputs_}), false);
    return body + fmt::format("    return {} + torch.linear(x, self.direct_weight)\n", deep);
  }

  std::string Forward() {
    const std::string call =
        fmt::format("def forward(self{}) -> Tensor:\n    numbers, codes = self.encode({})\n", Arguments(), Values());
    if (options_.head == Head::kClasses) return call + "    return torch.softmax(self.scores(numbers, codes), 1)\n";
    net_.register_buffer("target_mean", torch::tensor(options_.target_mean, torch::kFloat64));
    net_.register_buffer("target_deviation", torch::tensor(options_.target_deviation, torch::kFloat64));
    return call +
           "    return (torch.reshape(self.scores(numbers, codes), [-1]).to(7) * self.target_deviation + "
           "self.target_mean).to(6)\n";
  }

  const Features& features_;
  const NetworkOptions& options_;
  torch::jit::Module net_{"TabularNetwork"};
  std::vector<std::string> parts_;
  std::int64_t inputs_ = 0;
};

}  // namespace

torch::jit::Module MakeNetwork(const Features& features, const NetworkOptions& options) {
  return Builder(features, options).Build();
}

}  // namespace ratchet::tabular
