#include "cli/help.h"

namespace ratchet::cli {
namespace {

// The words come from COMP_LINE, not from COMP_WORDS, since bash breaks words at '@', '=' and ':' too; what it takes
// for the current word begins after the last of these, so that much is cut off each answer.
constexpr const char* kBash = R"sh(# bash completion for ratchet: eval "$(ratchet completion bash)"
_ratchet() {
  local line=${COMP_LINE:0:COMP_POINT} words current answer
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  current=${words[${#words[@]}-1]}
  answer=$("${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
  COMPREPLY=()
  local word breaks=${COMP_WORDBREAKS//[^@=:]/} prefix=
  [[ -n $breaks && $current == *["$breaks"]* ]] && prefix=${current%"${current##*["$breaks"]}"}
  while IFS= read -r word; do
    [[ -n $word && $word == "$current"* ]] && COMPREPLY+=("${word#"$prefix"}")
  done <<< "$answer"
}
complete -o bashdefault -o default -F _ratchet ratchet
)sh";

constexpr const char* kZsh = R"sh(#compdef ratchet
# zsh completion for ratchet: put this into a file _ratchet in your fpath, or: eval "$(ratchet completion zsh)"
_ratchet() {
  local -a answers
  answers=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  answers=("${(@)answers:#}")
  if (( ${#answers} )); then
    compadd -- "${(@)answers}"
  else
    _files
  fi
}
if [[ ${funcstack[1]} == _ratchet ]]; then
  _ratchet "$@"
else
  compdef _ratchet ratchet
fi
)sh";

}  // namespace

void AddCompletionCommand(CLI::App& root, Context& context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = AddCommand(
      root, context,
      {.name = "completion",
       .summary = "print the completion script of a shell",
       .details = "The script completes commands, options, and the names of pipelines, models, datasets and runs,\n"
                  "for which it asks the server.",
       .examples = "eval \"$(ratchet completion bash)\"\n"
                   "ratchet completion zsh > ~/.zfunc/_ratchet"},
      [&context, shell]() -> Outcome {
        context.console.Out(*shell == "bash" ? kBash : kZsh);
        return kExitDone;
      });
  command->add_option("SHELL", *shell, "bash or zsh")->required()->type_name("bash|zsh")->check(OneOf({"bash", "zsh"}));
}

}  // namespace ratchet::cli
