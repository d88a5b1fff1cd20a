#pragma once

#include <sqlite3.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "lake/schema.h"

namespace ratchet::flow {

struct CloseDatabase {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct CloseStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, CloseStatement>;

// Inputs by the name of their SQL schema.
using InputSchemas = std::map<std::string, lake::Schema>;

// The fault of the last call as the user's: the query is theirs.
std::unexpected<Error> QueryFailed(sqlite3* database);

// Columns of the query's result. One that is a column of an input is of its type and shape; of any other the values
// tell, for which the query is run once. kInvalid: a column has no usable name, or values of different kinds.
Result<lake::Schema> ResultSchema(sqlite3* database, sqlite3_stmt* query, const InputSchemas& inputs);

// Runs the query and writes its rows into a new pack; gives their number.
Result<std::int64_t> WriteResultPack(sqlite3* database, sqlite3_stmt* query, const lake::Schema& schema,
                                     const std::string& path);

}  // namespace ratchet::flow
