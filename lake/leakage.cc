#include "lake/leakage.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <unordered_map>
#include <utility>

#include "base/digest.h"
#include "base/names.h"
#include "lake/near_index.h"
#include "lake/pack.h"
#include "lake/pack_format.h"
#include "lake/split.h"

namespace ratchet::lake {
namespace {

constexpr std::int64_t kSampledRows = 1'000;  // of the holdout, to know free text by
constexpr std::size_t kMostPairBytes = 80;

using Cells = std::span<const Cell>;

// Every row of the packs once, a cell at a time, without copies: the columns asked for, in their order.
Status EachRow(const std::vector<std::string>& packs, const Schema& columns, std::int64_t most,
               const std::function<Status(std::int64_t row, Cells cells)>& take) {
  std::vector<Cell> cells(columns.columns.size());
  std::int64_t row = 0;
  for (const std::string& path : packs) {
    RATCHET_ASSIGN(auto file, SqliteFile::Open(path, SqliteFile::Mode::kRead));
    RATCHET_ASSIGN(SqliteStatement rows, file->Prepare(SelectSql(columns)));
    rows.Bind(1, std::int64_t{0});
    for (; row < most; ++row) {
      RATCHET_ASSIGN(const bool more, rows.Step());
      if (!more) break;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        cells[i] = rows.At(static_cast<int>(i) + 1);
        RATCHET_TRY(CheckCell(columns.columns[i], cells[i]));
      }
      RATCHET_TRY(take(row, cells));
    }
  }
  return {};
}

// The inputs of a row as 64 bits of SHA-256; 0 for a row without a value.
class RowDigest {
 public:
  std::uint64_t Of(Cells cells) {
    bytes_.clear();
    bool any = false;
    for (const Cell& cell : cells) any |= Append(cell);
    if (!any) return 0;
    hash_.Update(bytes_);
    return std::max<std::uint64_t>(hash_.FinishU64(), 1);
  }

 private:
  bool Append(const Cell& cell) {
    if (const auto* text = std::get_if<std::string_view>(&cell)) {
      Put('t', text->size());
      bytes_ += *text;
      return true;
    }
    double number = 0;
    if (const auto* real = std::get_if<double>(&cell)) {
      if (*real != *real) return Missing();
      number = *real == 0 ? 0.0 : *real;
    } else if (const auto* integer = std::get_if<std::int64_t>(&cell)) {
      number = static_cast<double>(*integer);
      if (static_cast<std::int64_t>(number) != *integer) return Put('i', *integer);  // beyond what a double holds
    } else {
      return Missing();
    }
    return Put('n', number);
  }
  template <typename T>
  bool Put(char kind, T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    bytes_ += kind;
    bytes_.append(raw, sizeof raw);
    return true;
  }
  bool Missing() {
    bytes_ += '-';
    return false;
  }

  std::string bytes_;
  Sha256 hash_;
};

// Rows of the holdout by digest.
class DigestIndex {
 public:
  void Add(std::uint64_t digest, std::uint32_t row) {
    if (digest != 0) entries_.push_back({digest, row});
  }
  void Close() {
    std::ranges::sort(entries_);
    begins_.assign((1u << kBits) + 1, 0);
    for (const auto& [digest, row] : entries_) ++begins_[(digest >> (64 - kBits)) + 1];
    for (std::size_t i = 1; i < begins_.size(); ++i) begins_[i] += begins_[i - 1];
  }
  template <typename Found>
  void Find(std::uint64_t digest, const Found& found) const {
    const std::size_t bucket = digest >> (64 - kBits);
    for (std::size_t i = begins_[bucket]; i < begins_[bucket + 1]; ++i)
      if (entries_[i].first == digest) found(entries_[i].second);
  }

 private:
  static constexpr int kBits = 16;
  std::vector<std::pair<std::uint64_t, std::uint32_t>> entries_;
  std::vector<std::uint32_t> begins_;
};

// How many rows repeat an earlier one, estimated from the rows whose digest is among the smallest: these are all the rows
// of a random part of the distinct ones.
class RepeatShare {
 public:
  void Add(std::uint64_t digest) {
    if (digest == 0 || digest > limit_) return;
    ++counts_[digest];
    if (counts_.size() <= kMost) return;
    limit_ /= 2;
    std::erase_if(counts_, [&](const auto& entry) { return entry.first > limit_; });
  }
  double Share() const {
    std::int64_t rows = 0;
    for (const auto& [digest, count] : counts_) rows += count;
    return rows == 0 ? 0 : 1 - static_cast<double>(counts_.size()) / static_cast<double>(rows);
  }

 private:
  static constexpr std::size_t kMost = 65'536;
  std::uint64_t limit_ = ~std::uint64_t{0};
  std::unordered_map<std::uint64_t, std::int64_t> counts_;
};

// What near rows are told by: which of the cells, and what is made of them.
class NearSigns {
 public:
  static Result<NearSigns> Of(const Schema& columns, const std::vector<std::string>& holdout) {
    NearSigns signs;
    for (std::size_t i = 0; i < columns.columns.size() && !signs.hasher_; ++i)
      if (ImageHasher::Takes(columns.columns[i])) signs.image_ = i, signs.hasher_.emplace(columns.columns[i]);
    std::vector<std::size_t> words(columns.columns.size());
    std::int64_t rows = 0;
    RATCHET_TRY(EachRow(holdout, columns, kSampledRows, [&](std::int64_t, Cells cells) -> Status {
      ++rows;
      for (std::size_t i = 0; i < cells.size(); ++i)
        if (columns.columns[i].type == ColumnType::kText) words[i] += signs.sketcher_.Words(Text(cells[i]));
      return {};
    }));
    for (std::size_t i = 0; i < words.size(); ++i)
      if (rows > 0 && words[i] >= kLeastWords * static_cast<std::size_t>(rows)) signs.texts_.push_back(i);
    return signs;
  }

  bool any() const { return hasher_ || !texts_.empty(); }
  bool free_text() const { return !texts_.empty(); }
  std::string Name() const {
    if (!hasher_) return texts_.empty() ? "" : "text";
    return texts_.empty() ? "image" : "image and text";
  }

  void Keep(std::uint32_t row, Cells cells) {
    if (const auto hash = ImageOf(cells)) images_.Add(row, *hash);
    if (const auto sketch = TextOf(cells)) sketches_.Add(row, *sketch);
    ++kept_;
  }
  void Close() {
    images_.Close();
    sketches_.Close();
    both_ = hasher_ && images_.size() > 0 && sketches_.size() > 0;
  }
  std::int64_t kept() const { return kept_; }

  void Find(Cells cells, const std::function<void(std::uint32_t)>& found) {
    if (!both_) return FindEither(cells, found);
    // With both signs only rows that have both are alike, and only where both agree.
    std::vector<std::uint32_t> pictures;
    if (const auto hash = ImageOf(cells)) images_.Find(*hash, [&](std::uint32_t row) { pictures.push_back(row); });
    if (pictures.empty()) return;
    if (const auto sketch = TextOf(cells))
      sketches_.Find(*sketch, [&](std::uint32_t row) {
        if (std::ranges::count(pictures, row) > 0) found(row);
      });
  }

 private:
  static std::string_view Text(const Cell& cell) {
    const auto* text = std::get_if<std::string_view>(&cell);
    return text == nullptr ? std::string_view() : *text;
  }
  void FindEither(Cells cells, const std::function<void(std::uint32_t)>& found) {
    if (images_.size() > 0)
      if (const auto hash = ImageOf(cells)) images_.Find(*hash, found);
    if (sketches_.size() > 0)
      if (const auto sketch = TextOf(cells)) sketches_.Find(*sketch, found);
  }
  std::optional<ImageHash> ImageOf(Cells cells) {
    if (!hasher_) return std::nullopt;
    const std::string_view bytes = Text(cells[image_]);
    if (bytes.empty()) return std::nullopt;
    return hasher_->Hash({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  }
  std::optional<TextSketch> TextOf(Cells cells) {
    if (texts_.size() == 1) return sketcher_.Sketch(Text(cells[texts_.front()]));
    joined_.clear();
    for (const std::size_t i : texts_) joined_.append(Text(cells[i])) += '\n';
    return sketcher_.Sketch(joined_);
  }

  std::size_t image_ = 0;
  std::optional<ImageHasher> hasher_;
  std::vector<std::size_t> texts_;
  TextSketcher sketcher_;
  std::string joined_;
  ImageIndex images_;
  TextIndex sketches_;
  bool both_ = false;
  std::int64_t kept_ = 0;
};

// One question, from the columns to the answer.
class Search {
 public:
  explicit Search(const LeakQuestion& question) : question_(question) {}

  Result<Leaks> Run() {
    RATCHET_TRY(FindColumns());
    RATCHET_TRY(KeepHoldout());
    RATCHET_TRY(PassTraining());
    RATCHET_TRY(NameHoldoutRows());
    leaks_.training_repeats = repeats_.Share();
    return std::move(leaks_);
  }

 private:
  // The compared columns come first; the key, where there is one, is the last.
  Status FindColumns() {
    std::vector<std::string> names = question_.columns;
    if (!question_.key.empty()) names.push_back(question_.key);
    RATCHET_ASSIGN(const auto holdout, PackReader::Open(question_.holdout, names));
    columns_ = holdout->schema();
    leaks_.holdout_rows = holdout->rows();
    compared_ = question_.columns.size();
    if (leaks_.holdout_rows > std::numeric_limits<std::uint32_t>::max())
      return Fail(ErrorCode::kTooLarge, "look for training rows in", "the holdout", "it has more than 2^32 rows");
    leaks_.equal.marks.assign(static_cast<std::size_t>(leaks_.holdout_rows), 0);
    leaks_.near.marks = leaks_.equal.marks;
    if (question_.train.empty()) return {};
    RATCHET_ASSIGN(const auto train, PackReader::Open(question_.train, names));
    if (!(train->schema() == columns_))
      return Fail(ErrorCode::kInvalid, "look for training rows in", "the holdout", "its columns are others than those of training");
    leaks_.training_rows = train->rows();
    return {};
  }

  Status KeepHoldout() {
    Schema compared = columns_;
    compared.columns.resize(compared_);
    RATCHET_ASSIGN(signs_, NearSigns::Of(compared, question_.holdout));
    leaks_.telling = signs_.free_text() || std::ranges::any_of(compared.columns, [](const Column& column) {
                       return column.type == ColumnType::kBlob;
                     });
    if (question_.near) leaks_.near_by = signs_.Name();
    const bool near = question_.near && signs_.any();
    RATCHET_TRY(EachRow(question_.holdout, compared, leaks_.holdout_rows, [&](std::int64_t row, Cells cells) -> Status {
      equal_.Add(digest_.Of(cells), static_cast<std::uint32_t>(row));
      if (near && row < static_cast<std::int64_t>(kMostNearRows)) signs_.Keep(static_cast<std::uint32_t>(row), cells);
      return {};
    }));
    equal_.Close();
    signs_.Close();
    leaks_.near_compared = signs_.kept();
    return {};
  }

  Status PassTraining() {
    const bool near = leaks_.near_compared > 0;
    return EachRow(question_.train, columns_, leaks_.training_rows, [&](std::int64_t row, Cells cells) -> Status {
      const Cells compared = cells.first(compared_);
      const std::uint64_t digest = digest_.Of(compared);
      repeats_.Add(digest);
      bool is_equal = false;
      equal_.Find(digest, [&](std::uint32_t of) {
        is_equal = true;
        Mark(leaks_.equal, of, row, cells, equal_rows_);
      });
      if (near && !is_equal) signs_.Find(compared, [&](std::uint32_t of) { Mark(leaks_.near, of, row, cells, near_rows_); });
      return {};
    });
  }

  void Mark(LeakedRows& leaked, std::uint32_t of, std::int64_t row, Cells cells, std::vector<std::uint32_t>& told) {
    if (leaked.marks[of] != 0) return;
    leaked.marks[of] = 1;
    if (told.size() >= 2 * kLeakPairsTold) return;  // of near ones some turn out to be equal to another row
    told.push_back(of);
    leaked.pairs.push_back({.holdout = {}, .training = NameOf(row, cells)});
  }

  std::string NameOf(std::int64_t row, Cells cells) const {
    std::string name;
    if (cells.size() > compared_) AppendKeyText(cells.back(), name);
    if (name.size() > kMostPairBytes) {
      name.resize(kMostPairBytes);
      while (!name.empty() && (static_cast<unsigned char>(name.back()) & 0xC0) == 0x80) name.pop_back();
      if (!name.empty() && static_cast<unsigned char>(name.back()) >= 0xC0) name.pop_back();
    }
    return name.empty() || !IsUtf8Text(name) ? "row " + std::to_string(row + 1) : name;
  }

  // A near row that is equal to another training row counts as equal alone. Then the pairs get the names of their sealed
  // rows.
  Status NameHoldoutRows() {
    for (std::size_t row = 0; row < leaks_.equal.marks.size(); ++row)
      if (leaks_.equal.marks[row] != 0) leaks_.near.marks[row] = 0;
    for (auto* leaked : {&leaks_.equal, &leaks_.near}) leaked->rows = std::ranges::count(leaked->marks, 1);
    std::unordered_map<std::uint32_t, std::string*> wanted;
    Choose(leaks_.equal, equal_rows_, wanted);
    Choose(leaks_.near, near_rows_, wanted);
    if (wanted.empty()) return {};
    Schema key;
    if (columns_.columns.size() > compared_) key.columns.push_back(columns_.columns.back());
    const std::size_t compared = std::exchange(compared_, 0);
    RATCHET_TRY(EachRow(question_.holdout, key, leaks_.holdout_rows, [&](std::int64_t row, Cells cells) -> Status {
      if (const auto at = wanted.find(static_cast<std::uint32_t>(row)); at != wanted.end()) *at->second = NameOf(row, cells);
      return {};
    }));
    compared_ = compared;
    return {};
  }

  static void Choose(LeakedRows& leaked, const std::vector<std::uint32_t>& told, std::unordered_map<std::uint32_t, std::string*>& wanted) {
    std::vector<LeakPair> kept;
    std::vector<std::uint32_t> rows;
    for (std::size_t i = 0; i < told.size() && kept.size() < kLeakPairsTold; ++i)
      if (leaked.marks[told[i]] != 0) kept.push_back(std::move(leaked.pairs[i])), rows.push_back(told[i]);
    leaked.pairs = std::move(kept);
    for (std::size_t i = 0; i < rows.size(); ++i) wanted[rows[i]] = &leaked.pairs[i].holdout;
  }

  const LeakQuestion& question_;
  Schema columns_;
  std::size_t compared_ = 0;
  RowDigest digest_;
  DigestIndex equal_;
  RepeatShare repeats_;
  NearSigns signs_;
  std::vector<std::uint32_t> equal_rows_, near_rows_;  // of the pairs
  Leaks leaks_;
};

}  // namespace

Result<Leaks> FindLeaks(const LeakQuestion& question) { return Search(question).Run(); }

}  // namespace ratchet::lake
