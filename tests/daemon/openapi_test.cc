#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

#include "daemon/api.h"

namespace ratchet::daemon {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

Json Document() { return Json::parse(OpenApiDocument(), nullptr, false); }

TEST(OpenApi, DescribesEveryRouteOfTheTableWithItsRole) {
  const Json document = Document();
  ASSERT_TRUE(document.is_object());
  for (const ApiRoute& route : ApiRoutes()) {
    SCOPED_TRACE(route.spec.operation);
    const Json operation = document["paths"].value(route.spec.pattern, Json()).value(Lower(route.spec.method), Json());
    ASSERT_TRUE(operation.is_object());
    EXPECT_EQ(operation["operationId"], route.spec.operation);
    EXPECT_EQ(operation["x-role"], std::string(RoleName(route.spec.role)));
    EXPECT_EQ(operation.contains("requestBody"), route.spec.body_limit > 0);
    EXPECT_TRUE(operation["responses"].contains("default"));
  }
}

TEST(OpenApi, DescribesNothingThatIsNoRoute) {
  std::set<std::string> routes, operations;
  for (const ApiRoute& route : ApiRoutes()) {
    routes.insert(Lower(route.spec.method) + " " + route.spec.pattern);
    EXPECT_TRUE(operations.insert(route.spec.operation).second) << route.spec.operation;
  }
  const Json document = Document();
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) EXPECT_TRUE(routes.contains(method + " " + path)) << path;
  }
}

TEST(OpenApi, NamesEveryPathParameterOnce) {
  const Json document = Document();
  for (const ApiRoute& route : ApiRoutes()) {
    const Json operation = document["paths"][route.spec.pattern][Lower(route.spec.method)];
    std::set<std::string> named;
    for (const Json& parameter : operation.value("parameters", Json::array()))
      if (parameter["in"] == "path") named.insert(parameter["name"].get<std::string>());
    std::set<std::string> wanted;
    const std::string pattern = route.spec.pattern;
    for (size_t at = pattern.find('{'); at != std::string::npos; at = pattern.find('{', at + 1))
      wanted.insert(pattern.substr(at + 1, pattern.find('}', at) - at - 1));
    EXPECT_EQ(named, wanted) << route.spec.pattern;
  }
}

TEST(OpenApi, NamesTheQueryParametersThatTheTableTakes) {
  const Json document = Document();
  for (const ApiRoute& route : ApiRoutes()) {
    const Json operation = document["paths"][route.spec.pattern][Lower(route.spec.method)];
    std::set<std::string> named, taken;
    for (const Json& parameter : operation.value("parameters", Json::array()))
      if (parameter["in"] == "query") named.insert(parameter["name"].get<std::string>());
    std::istringstream words(route.spec.query == std::string(kAnyQuery) ? "" : route.spec.query);
    for (std::string word; words >> word;) taken.insert(word);
    EXPECT_EQ(named, taken) << route.spec.operation;
  }
}

void CheckReferences(const Json& node, const Json& document) {
  if (node.is_object() && node.contains("$ref")) {
    const std::string target = node["$ref"].get<std::string>();
    ASSERT_TRUE(target.starts_with("#/")) << target;
    EXPECT_TRUE(document.contains(Json::json_pointer(target.substr(1)))) << target;
  }
  if (node.is_structured()) {
    for (const Json& child : node) CheckReferences(child, document);
  }
}

TEST(OpenApi, RefersOnlyToWhatItDefines) {
  const Json document = Document();
  CheckReferences(document, document);
}

}  // namespace
}  // namespace ratchet::daemon
