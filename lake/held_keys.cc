#include "lake/held_keys.h"

#include "lake/pack.h"

namespace ratchet::lake {
namespace {

Cell CellOf(const Value& value) {
  return std::visit(
      [](const auto& held) -> Cell {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::string>) return std::string_view(held);
        else return held;
      },
      value);
}

}  // namespace

Result<std::unordered_set<std::uint64_t>> KeysHeld(const std::vector<std::string>& packs, const SplitPolicy& policy,
                                                   const Schema& schema, const std::unordered_set<std::uint64_t>& hashes) {
  std::unordered_set<std::uint64_t> held;
  if (packs.empty() || hashes.empty()) return held;
  Schema read = schema;
  std::vector<std::string> columns;
  if (policy.key) {
    columns = {*policy.key};
    read.columns = {schema.columns[static_cast<std::size_t>(schema.Find(*policy.key))]};
  }
  RATCHET_ASSIGN(const auto reader, PackReader::Open(packs, columns));
  Splitter splitter(policy, read);
  std::vector<Cell> cells;
  for (;;) {
    RATCHET_ASSIGN(const auto row, reader->NextRow());
    if (!row) return held;
    cells.clear();
    for (const Value& value : *row) cells.push_back(CellOf(value));
    if (const std::uint64_t hash = splitter.HashOf(cells); hashes.contains(hash)) held.insert(hash);
  }
}

}  // namespace ratchet::lake
