#include "plugins/flow/flow.h"

extern "C" const ratchet::sdk::Plugin* ratchet_plugin_v3() {
  static const ratchet::flow::Pass pass;
  static const ratchet::flow::Sql sql;
  static const ratchet::sdk::Plugin plugin{"flow", "0.1.0", {}, {&pass, &sql}};
  return &plugin;
}
