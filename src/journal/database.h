// SPDX-License-Identifier: Apache-2.0
// One SQLite file, opened so that a committed transaction survives a power cut (WAL,
// synchronous=FULL), checked on opening. The stores of this folder are built on it. Any thread:
// `mutex()` is held by Transaction, and by Statement for as long as it lives; a thread may nest
// them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

struct sqlite3;
struct sqlite3_stmt;

namespace drover::journal {

class Database;

// A prepared statement with its values bound in order from 1. Not movable between threads.
//   auto statement = database.prepare("SELECT name FROM peers WHERE key = ?1");
//   statement->bind(1, key);
//   while (*(row = statement->step())) use(statement->text(0));
class Statement {
 public:
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;

  // REQUIRES: before the first step, or after reset().
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, std::int64_t number);
  Statement& bind(int index, bool value) { return bind(index, std::int64_t{value}); }
  Statement& bind_blob(int index, std::span<const std::uint8_t> bytes);
  Statement& bind_null(int index);
  // True: a row is there. False: the statement is done.
  Result<bool> step();
  // Runs to the end; rows are dropped.
  Status run();
  Status reset();

  // Columns of the current row, from 0.
  std::string text(int column) const;
  std::int64_t number(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  Statement(Database& database, sqlite3_stmt* handle, std::unique_lock<std::recursive_mutex> lock);

  Database* database_;
  sqlite3_stmt* handle_;
  std::unique_lock<std::recursive_mutex> lock_;
  std::optional<Error> bind_error_;
};

// BEGIN IMMEDIATE until commit(); rolled back when it dies uncommitted. Not to be nested.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept;
  Transaction& operator=(Transaction&&) = delete;
  // On success the changes are on disk.
  Status commit();

 private:
  Transaction(Database& database, std::unique_lock<std::recursive_mutex> lock);
  Database* database_;  // null: committed or moved from
  std::unique_lock<std::recursive_mutex> lock_;
};

class Database {
 public:
  // Creates the file (0600) and its tables where there are none. kCorrupt: not a database, damaged,
  // or written by a newer Drover; the message says which and what to do. Nothing is changed then.
  static Result<std::unique_ptr<Database>> open(const std::filesystem::path& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // The lock is taken here and kept until the statement dies.
  Result<Statement> prepare(std::string_view sql);
  // Statements without values or rows, separated by semicolons.
  Status run(std::string_view sql);
  // Rows changed by the last statement. REQUIRES: within the same Transaction.
  std::int64_t changes() const;
  const std::filesystem::path& path() const { return path_; }

 private:
  friend class Statement;
  friend class Transaction;
  Database(std::filesystem::path path, sqlite3* handle);
  Status prepare_file();
  Status migrate();
  std::unexpected<Error> fail_sqlite(std::string_view what) const;

  const std::filesystem::path path_;
  sqlite3* const handle_;
  std::recursive_mutex mutex_;  // one connection: one thread at a time
};

}  // namespace drover::journal
