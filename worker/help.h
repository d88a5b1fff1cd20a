#pragma once

// What `ratchet-worker --help` says around its options.
namespace ratchet::worker {

inline constexpr char kDescription[] =
    R"(ratchet-worker - runs the steps of Ratchet's pipelines

SYNOPSIS
  ratchet-worker --list-recipes [--plugins DIR]
  ratchet-worker --run-step FOLDER [--plugins DIR] [--sandbox MEANS]
  ratchet-worker --control-fd N --role commands|recipes [OPTION...]

DESCRIPTION
  ratchetd starts two of these, one for commands and recipes that need no LibTorch, and one, with LibTorch and all plugins
  loaded, for the others. Each forks a
  supervisor for every step, which outlives it: it runs the step in a process of its own, in a sandbox, with limits and a
  log, and leaves result.json and exit.json in the step's folder. By hand it lists the recipes that the plugins bring, or
  runs one step again, say one that failed, with its output on the terminal (a command's goes to the step's log).)";

inline constexpr char kFooter[] =
    R"(FILES
  FOLDER/step.json       what is to be done; written by ratchetd
  FOLDER/result.json     there once the step has run to its end
  FOLDER/log             what the step printed
  libratchet_plugin_*.so, libratchet_steps_*.so
                         the recipes, in ../lib/ratchet/plugins beside the program; the latter need no LibTorch

SECURITY
  A step reads its inputs and the system's files, writes its own folder, and gets at nothing else of the data directory:
  by Landlock, or by a mount namespace where the kernel has no Landlock. The network stays open to it.

SIGNALS
  SIGTERM   a fork server ends at once, its steps go on

EXIT CODES
  0 done   1 failed, or the step did   2 wrong arguments

EXAMPLES
  ratchet-worker --list-recipes
  ratchet-worker --run-step ratchet-data/runs/7/train-1
)";

}  // namespace ratchet::worker
