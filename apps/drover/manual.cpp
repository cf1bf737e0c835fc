// SPDX-License-Identifier: Apache-2.0
#include "manual.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

namespace drover::cli {
namespace {

// Text that roff shall not take for requests, dashes that shall stay dashes.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string flag_words(const OptionDoc& option) {
  if (option.flags.empty()) return option.value;
  return fmt::format("{}{}{}", fmt::join(option.flags, ", "), option.value.empty() ? "" : " ",
                     option.value);
}

std::string sentence(const std::string& text) {
  return text.empty() || text.back() == '.' ? text : text + ".";
}

struct Footer {
  std::string remarks;
  std::string examples;  // without their two leading spaces
};

Footer split(const std::string& footer) {
  for (const std::string_view title : {"Examples:\n", "Example:\n"}) {
    const auto at = footer.find(title);
    if (at == std::string::npos) continue;
    Footer parts{footer.substr(0, at), ""};
    const std::string rest = footer.substr(at + title.size());
    for (std::size_t from = 0; from < rest.size();) {
      const std::size_t end = std::min(rest.find('\n', from), rest.size());
      std::string line = rest.substr(from, end - from);
      if (line.empty()) break;  // a closing remark
      parts.examples += line.substr(line.find_first_not_of(' ')) + "\n";
      from = end + 1;
    }
    return parts;
  }
  return {footer, ""};
}

std::string man_list(const std::string& title, const std::vector<OptionDoc>& options) {
  if (options.empty()) return "";
  std::string out = fmt::format(".SH {}\n", title);
  for (const OptionDoc& option : options) {
    out += fmt::format(".TP\n.B {}\n{}\n", roff(flag_words(option)), roff(sentence(option.text)));
  }
  return out;
}

std::string man_rows(const std::string& title, const std::vector<Row>& rows) {
  std::string out = fmt::format(".SH {}\n", title);
  for (const Row& row : rows) {
    out += fmt::format(".TP\n.B {}\n{}\n", roff(row.left), roff(row.right));
  }
  return out;
}

// Remarks keep their lines: some are small tables.
std::string man_remarks(const std::string& remarks) {
  return remarks.empty() ? "" : fmt::format(".PP\n.nf\n{}.fi\n", roff(remarks));
}

std::string markdown_list(const std::vector<OptionDoc>& options) {
  std::string out;
  for (const OptionDoc& option : options) {
    if (!option.flags.empty() && option.flags.front() == "-h") continue;
    out += fmt::format("* `{}`: {}\n", flag_words(option), sentence(option.text));
  }
  return out.empty() ? "" : "\n" + out;
}

std::string markdown_rows(std::string_view left, std::string_view right,
                          const std::vector<Row>& rows) {
  std::string out = fmt::format("\n| {} | {} |\n| --- | --- |\n", left, right);
  for (const Row& row : rows) out += fmt::format("| `{}` | {} |\n", row.left, row.right);
  return out;
}

std::string markdown_footer(const std::string& footer) {
  const Footer parts = split(footer);
  std::string out;
  if (!parts.remarks.empty()) {
    const bool table = parts.remarks.find("\n  ") != std::string::npos;
    out += table ? "\n```\n" + parts.remarks.substr(0, parts.remarks.find_last_not_of('\n') + 1) +
                       "\n```\n"
                 : "\n" + parts.remarks.substr(0, parts.remarks.find_last_not_of('\n') + 1) + "\n";
  }
  if (!parts.examples.empty()) out += "\n```sh\n" + parts.examples + "```\n";
  return out;
}

// A word and its text in two columns; a long word has its text on the next line.
std::string help_row(const std::string& word, const std::string& text) {
  constexpr std::size_t kColumn = 24;
  if (word.size() + 2 > kColumn) {
    return fmt::format("  {}\n  {:{}}{}\n", word, "", kColumn, text);
  }
  return fmt::format("  {:{}}{}\n", word, kColumn, text);
}

}  // namespace

std::string help_text(const CommandDoc& doc) {
  std::string out = fmt::format("{}\n\nUsage: {}\n", sentence(doc.text), doc.synopsis);
  if (!doc.commands.empty()) out += "\nCommands:\n";
  for (const CommandDoc& command : doc.commands) {
    out += help_row(command.name.substr(command.name.rfind(' ') + 1), command.text);
  }
  if (!doc.positionals.empty()) out += "\nArguments:\n";
  for (const OptionDoc& positional : doc.positionals) {
    out += help_row(positional.value, positional.text);
  }
  out += "\nOptions:\n";
  for (const OptionDoc& option : doc.options) out += help_row(flag_words(option), option.text);
  if (!doc.footer.empty()) out += "\n" + doc.footer + "\n";
  return out;
}

std::string page_name(const CommandDoc& doc) {
  std::string name = doc.name;
  for (char& c : name) {
    if (c == ' ') c = '-';
  }
  return name;
}

std::string man_page(const CommandDoc& whole, const CommandDoc& doc) {
  const bool is_whole = &whole == &doc;
  std::string out =
      fmt::format(".TH \"{}\" 1 \"\" \"drover {}\" \"Drover\"\n.SH NAME\n{} \\- {}\n",
                  page_name(doc), DROVER_VERSION, roff(page_name(doc)), roff(doc.text));
  out += fmt::format(".SH SYNOPSIS\n.B {}\n.SH DESCRIPTION\n{}\n", roff(doc.synopsis),
                     roff(sentence(doc.text)));
  const Footer footer = split(doc.footer);
  out += man_remarks(footer.remarks);
  if (!doc.commands.empty()) {
    out += ".SH COMMANDS\n";
    for (const CommandDoc& command : doc.commands) {
      out += fmt::format(".TP\n.BR {} (1)\n{}\n", roff(page_name(command)),
                         roff(sentence(command.text)));
    }
  }
  out += man_list("ARGUMENTS", doc.positionals) + man_list("OPTIONS", doc.options);
  if (is_whole) {
    out += man_rows("EXIT STATUS", exit_code_rows()) + man_rows("ENVIRONMENT", environment_rows()) +
           man_rows("FILES", file_rows());
  }
  if (!footer.examples.empty()) {
    out += fmt::format(".SH EXAMPLES\n.nf\n{}.fi\n", roff(footer.examples));
  }
  return out + ".SH SEE ALSO\n" + (is_whole ? ".BR droverd (8)\n" : ".BR drover (1)\n");
}

std::string markdown(const CommandDoc& whole) {
  std::string out = fmt::format(
      "# The command line\n\n<!-- Written by `drover man --markdown`; a test compares. "
      "-->\n\n{}\n\n"
      "```\n{}\n```\n",
      sentence(whole.text), whole.synopsis);
  out += markdown_list(whole.options);
  out += "\nThe options above may stand before or behind the command.\n\n## Exit codes\n" +
         markdown_rows("code", "meaning", exit_code_rows()) + "\n## Environment\n" +
         markdown_rows("variable", "meaning", environment_rows()) + "\n## Commands\n";
  for (const CommandDoc* command : all_commands(whole)) {
    out += fmt::format("\n### {}\n\n{}\n", command->name, sentence(command->text));
    if (!command->commands.empty()) continue;
    out += fmt::format("\n```\n{}\n```\n", command->synopsis);
    auto words = command->positionals;
    words.insert(words.end(), command->options.begin(), command->options.end());
    out += markdown_list(words) + markdown_footer(command->footer);
  }
  return out;
}

}  // namespace drover::cli
