#include "cli/help.h"
#include "cli/human.h"
#include "cli/table.h"

namespace ratchet::cli {
namespace {

Outcome ListAudit(Context& context, const PageOptions& page) {
  RATCHET_ASSIGN(Client client, context.Connect());
  RATCHET_ASSIGN(const Json list, client.GetList("/api/v1/audit", page.limit, page.after));
  if (context.Json()) {
    PrintList(context.console, list);
    return kExitDone;
  }
  std::int64_t now_us = context.clock.WallUs();
  Table table({{"ID", Align::kRight}, {"WHEN"}, {"ACTOR"}, {"ACTION"}, {"SUBJECT"}, {"DETAIL"}});
  for (const Json& item : Field(list, "items")) {
    auto at = IntField(item, "at");
    table.Add({ShownInt(IntField(item, "id")), at ? ShownAge(*at, now_us) : kAbsent, TextField(item, "actor"),
               TextField(item, "action"), ShownValue(Field(item, "subject")), ShownValue(Field(item, "detail"))});
  }
  context.console.Out(table.Render(context.console));
  NoteMore(context.console, list);
  return kExitDone;
}

}  // namespace

void AddAuditCommands(CLI::App& root, Context& context) {
  CLI::App* group = AddGroup(root, "audit", "read the record of who did what",
                             "Every change leaves an entry: who, what, when. Entries are never changed.");
  auto page = std::make_shared<PageOptions>();
  CLI::App* list = AddCommand(*group, context,
                              {.name = "list",
                               .summary = "list the entries",
                               .details = "One line for each change, in the server's order.",
                               .examples = "ratchet audit list --limit 20\nratchet audit list -o json"},
                              [&context, page] { return ListAudit(context, *page); });
  AddPageOptions(list, *page);
}

}  // namespace ratchet::cli
