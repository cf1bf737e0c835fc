// SPDX-License-Identifier: Apache-2.0
#include "completion.h"

#include <map>
#include <string_view>

#include <fmt/core.h>

namespace drover::cli {
namespace {

// The word that the scripts' `offer` function takes for a kind.
std::string_view kind_word(WordKind kind) {
  switch (kind) {
    case WordKind::kVm:
      return "vm";
    case WordKind::kHost:
      return "host";
    case WordKind::kVmsThenHost:
      return "vm host";
    case WordKind::kMove:
      return "move";
    case WordKind::kFolder:
      return "folder";
    case WordKind::kFile:
      return "file";
    case WordKind::kShell:
      return "shell";
    case WordKind::kOther:
      return "";
  }
  return "";
}

// The path of a command without the program: "host invite"; "" for the whole.
std::string path_of(const CommandDoc& doc) {
  const auto space = doc.name.find(' ');
  return space == std::string::npos ? "" : doc.name.substr(space + 1);
}

std::vector<const CommandDoc*> with_whole(const CommandDoc& whole) {
  auto all = all_commands(whole);
  all.insert(all.begin(), &whole);
  return all;
}

// `case` arms: path of a command -> its subcommands and options, and what its words are.
std::string command_arms(const CommandDoc& whole) {
  std::string out;
  for (const CommandDoc* command : with_whole(whole)) {
    std::string words;
    for (const CommandDoc& below : command->commands) {
      words += " " + below.name.substr(below.name.rfind(' ') + 1);
    }
    std::string flags;
    for (const OptionDoc& option : command->options) {
      for (const std::string& flag : option.flags) flags += " " + flag;
    }
    std::string kinds;
    for (const OptionDoc& positional : command->positionals) {
      kinds += " " + std::string(kind_word(positional.kind));
    }
    out += fmt::format("    '{}') commands='{}' flags='{}' kinds='{}' ;;\n", path_of(*command),
                       words.empty() ? "" : words.substr(1), flags.empty() ? "" : flags.substr(1),
                       kinds.empty() ? "" : kinds.substr(1));
  }
  return out;
}

// `case` arms: an option with a value -> the kind of its value. Of two options of one name, the one
// whose value can be completed counts.
std::string value_arms(const CommandDoc& whole) {
  std::map<std::string, std::string> kinds;
  for (const CommandDoc* command : with_whole(whole)) {
    for (const OptionDoc& option : command->options) {
      if (option.value.empty()) continue;
      const std::string kind(kind_word(option.kind));
      for (const std::string& flag : option.flags) {
        std::string& known = kinds[flag];
        if (known.empty()) known = kind;
      }
    }
  }
  std::string out;
  for (const auto& [flag, kind] : kinds) {
    out += fmt::format("    {}) value={} ;;\n", flag, kind.empty() ? "other" : kind);
  }
  return out;
}

constexpr std::string_view kHead = R"sh(# Generated from drover's own options: do not edit.
_drover_list() {
  case $1 in
    vm) drover list --names ;;
    host) drover host list --names ;;
    move) drover moves --names ;;
    shell) printf '%s\n' bash zsh ;;
  esac 2>/dev/null
}

# Sets commands, flags, kinds for the command $1.
_drover_command() {
  commands= flags= kinds=
  case $1 in
)sh";

constexpr std::string_view kMiddle = R"sh(  esac
}

# Sets value to the kind of the value that option $1 takes; empty: it takes none.
_drover_value() {
  value=
  case $1 in
)sh";

constexpr std::string_view kTail = R"sh(  esac
}
)sh";

constexpr std::string_view kBash = R"sh(
_drover_offer() {
  local name word=${cur#[\"\']}
  word=${word//\\/}
  case $1 in
    file) compopt -o filenames; COMPREPLY+=($(compgen -f -- "$cur")) ;;
    folder) compopt -o filenames; COMPREPLY+=($(compgen -d -- "$cur")) ;;
    *) while IFS= read -r name; do
         [[ $name != "$word"* ]] || COMPREPLY+=("$(printf '%q' "$name")")
       done < <(_drover_list "$1") ;;
  esac
}

_drover() {
  local cur=${COMP_WORDS[COMP_CWORD]} path= value= commands flags kinds word kind i skip=no
  COMPREPLY=()
  _drover_command ''
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $skip == yes ]]; then skip=no; continue; fi
    if [[ $word == -* ]]; then
      _drover_value "$word"
      [[ -z $value ]] || skip=yes
    elif [[ " $commands " == *" $word "* ]]; then
      path="${path:+$path }$word"
      _drover_command "$path"
    fi
  done
  if [[ $skip == yes ]]; then
    _drover_value "${COMP_WORDS[COMP_CWORD - 1]}"
    _drover_offer "$value"
  elif [[ $cur == -* ]]; then
    local own=$flags
    _drover_command ''
    COMPREPLY=($(compgen -W "$own $flags" -- "$cur"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$cur"))
  else
    for kind in $kinds; do _drover_offer "$kind"; done
  fi
}
complete -F _drover drover
)sh";

constexpr std::string_view kZsh = R"sh(
_drover_offer() {
  case $1 in
    file) _files ;;
    folder) _files -/ ;;
    other) ;;
    *) local -a names; names=("${(@f)$(_drover_list $1)}"); compadd -a names ;;
  esac
}

_drover() {
  local path_= value= commands flags kinds word kind skip=no own
  local -i i
  _drover_command ''
  for ((i = 2; i < CURRENT; i++)); do
    word=${words[i]}
    if [[ $skip == yes ]]; then skip=no; continue; fi
    if [[ $word == -* ]]; then
      _drover_value "$word"
      [[ -z $value ]] || skip=yes
    elif [[ " $commands " == *" $word "* ]]; then
      path_="${path_:+$path_ }$word"
      _drover_command "$path_"
    fi
  done
  if [[ $skip == yes ]]; then
    _drover_value "${words[CURRENT-1]}"
    _drover_offer $value
  elif [[ ${words[CURRENT]} == -* ]]; then
    own=$flags
    _drover_command ''
    compadd -- ${=own} ${=flags}
  elif [[ -n $commands ]]; then
    compadd -- ${=commands}
  else
    for kind in ${=kinds}; do _drover_offer $kind; done
  fi
}
if [[ $funcstack[1] == _drover ]]; then _drover "$@"; else compdef _drover drover; fi
)sh";

std::string tables(const CommandDoc& whole) {
  std::string out(kHead);
  out += command_arms(whole);
  out += kMiddle;
  out += value_arms(whole);
  out += kTail;
  return out;
}

}  // namespace

std::string bash_completion(const CommandDoc& whole) { return tables(whole) + std::string(kBash); }

std::string zsh_completion(const CommandDoc& whole) {
  return "#compdef drover\n" + tables(whole) + std::string(kZsh);
}

}  // namespace drover::cli
