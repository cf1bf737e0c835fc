// SPDX-License-Identifier: Apache-2.0
// Rows in aligned columns, for people. Cells are made printable. One thread.
#pragma once

#include <string>
#include <vector>

namespace drover::cli {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;  // "" for all: no title line
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns, std::string indent = "");

  // REQUIRES: as many cells as columns.
  void add(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  // Lines, each ending in a newline, without trailing spaces.
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::string indent_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace drover::cli
