// SPDX-License-Identifier: Apache-2.0
#include "journal/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "journal/schema.h"

namespace drover::journal {
namespace {

// Another process only ever looks (a backup, an administrator): it is done within this.
constexpr int kBusyTimeoutMs = 5000;

bool is_damage(int code) {
  const int primary = code & 0xff;
  return primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
}

}  // namespace

// --- Statement
// -----------------------------------------------------------------------------------------------

Statement::Statement(Database& database, sqlite3_stmt* handle,
                     std::unique_lock<std::recursive_mutex> lock)
    : database_(&database), handle_(handle), lock_(std::move(lock)) {}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      handle_(std::exchange(other.handle_, nullptr)),
      lock_(std::move(other.lock_)),
      bind_error_(std::move(other.bind_error_)) {}

Statement::~Statement() { sqlite3_finalize(handle_); }

Statement& Statement::bind(int index, std::string_view text) {
  const int code =
      sqlite3_bind_text64(handle_, index, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK && !bind_error_)
    bind_error_ = database_->fail_sqlite("bind a value").error();
  return *this;
}

Statement& Statement::bind(int index, std::int64_t number) {
  const int code = sqlite3_bind_int64(handle_, index, number);
  if (code != SQLITE_OK && !bind_error_)
    bind_error_ = database_->fail_sqlite("bind a value").error();
  return *this;
}

Statement& Statement::bind_blob(int index, std::span<const std::uint8_t> bytes) {
  const int code =
      sqlite3_bind_blob64(handle_, index, bytes.data(), bytes.size(), SQLITE_TRANSIENT);
  if (code != SQLITE_OK && !bind_error_)
    bind_error_ = database_->fail_sqlite("bind a value").error();
  return *this;
}

Statement& Statement::bind_null(int index) {
  const int code = sqlite3_bind_null(handle_, index);
  if (code != SQLITE_OK && !bind_error_)
    bind_error_ = database_->fail_sqlite("bind a value").error();
  return *this;
}

Result<bool> Statement::step() {
  if (bind_error_) return std::unexpected(*bind_error_);
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return database_->fail_sqlite("read or write");
}

Status Statement::run() {
  while (true) {
    ASSIGN_OR_RETURN(const bool row, step());
    if (!row) return {};
  }
}

Status Statement::reset() {
  // reset() repeats the error of the last step, which that step already returned.
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
  bind_error_.reset();
  return {};
}

std::string Statement::text(int column) const {
  const auto* bytes = sqlite3_column_text(handle_, column);
  if (bytes == nullptr) return {};
  return {reinterpret_cast<const char*>(bytes),
          static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

std::int64_t Statement::number(int column) const { return sqlite3_column_int64(handle_, column); }

bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

// --- Transaction
// ---------------------------------------------------------------------------------------------

Transaction::Transaction(Database& database, std::unique_lock<std::recursive_mutex> lock)
    : database_(&database), lock_(std::move(lock)) {}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)), lock_(std::move(other.lock_)) {}

Result<Transaction> Transaction::begin(Database& database) {
  std::unique_lock lock(database.mutex_);
  RETURN_IF_ERROR(database.run("BEGIN IMMEDIATE"));
  return Transaction(database, std::move(lock));
}

Transaction::~Transaction() {
  // A failed rollback leaves nothing committed either: SQLite has then rolled back by itself.
  if (database_ != nullptr) static_cast<void>(database_->run("ROLLBACK"));
}

Status Transaction::commit() {
  DROVER_CHECK(database_ != nullptr);
  RETURN_IF_ERROR(database_->run("COMMIT"));
  database_ = nullptr;
  lock_.unlock();
  return {};
}

// --- Database
// ------------------------------------------------------------------------------------------------

Database::Database(std::filesystem::path path, sqlite3* handle)
    : path_(std::move(path)), handle_(handle) {}

Database::~Database() { sqlite3_close_v2(handle_); }

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& path) {
  // SQLite would create the file with the umask's mode; make it private first. Its -wal and -shm
  // files follow.
  const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return fail_errno(fmt::format("Cannot open the database {}", path.string()));
  sqlite3* handle = nullptr;
  const int flags =
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> database(new Database(path, handle));
  if (code != SQLITE_OK) return database->fail_sqlite("open");
  RETURN_IF_ERROR(database->prepare_file());
  RETURN_IF_ERROR(database->migrate());
  return database;
}

Status Database::prepare_file() {
  sqlite3_busy_timeout(handle_, kBusyTimeoutMs);
  {
    // Reads every page: a few milliseconds for the sizes this file has. Before anything is written
    // to it.
    ASSIGN_OR_RETURN(Statement check, prepare("PRAGMA integrity_check(1)"));
    ASSIGN_OR_RETURN(const bool row, check.step());
    if (!row || check.text(0) != "ok") {
      return std::unexpected(
          Error{ErrorCode::kCorrupt,
                Retry::kNever,
                fmt::format("The database {} is damaged. Stop droverd and restore the file from a "
                            "backup, or move it away and pair the hosts anew.",
                            path_.string()),
                {row ? check.text(0) : std::string("integrity check gave no answer")}});
    }
  }
  {
    ASSIGN_OR_RETURN(Statement mode, prepare("PRAGMA journal_mode=WAL"));
    ASSIGN_OR_RETURN(const bool row, mode.step());
    if (!row || mode.text(0) != "wal") {
      return fail(ErrorCode::kSystem,
                  "The database {} cannot use a write-ahead log: is it on a network share?",
                  path_.string());
    }
  }
  // trusted_schema off: nothing in a file from elsewhere may call functions with side effects.
  return run(
      "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA "
      "journal_size_limit=4194304;"
      "PRAGMA cache_size=-512");
}

Status Database::migrate() {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::begin(*this));
  std::int64_t version = 0;
  {
    ASSIGN_OR_RETURN(Statement statement, prepare("PRAGMA user_version"));
    RETURN_IF_ERROR(statement.step());
    version = statement.number(0);
  }
  const auto known = static_cast<std::int64_t>(kSchemaSteps.size());
  if (version < 0 || version > known) {
    return fail(ErrorCode::kCorrupt,
                "The database {} was written by a newer Drover (schema {}, this one knows {}). "
                "Install that version "
                "again.",
                path_.string(), version, known);
  }
  if (version == known) return {};
  for (std::int64_t step = version; step < known; ++step) {
    RETURN_IF_ERROR(run(kSchemaSteps[static_cast<std::size_t>(step)]));
  }
  RETURN_IF_ERROR(run(fmt::format("PRAGMA user_version={}", known)));
  return transaction.commit();
}

Result<Statement> Database::prepare(std::string_view sql) {
  std::unique_lock lock(mutex_);
  sqlite3_stmt* handle = nullptr;
  const int code =
      sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &handle, nullptr);
  if (code != SQLITE_OK) return fail_sqlite("prepare a statement for");
  DROVER_CHECK(handle != nullptr);
  return Statement(*this, handle, std::move(lock));
}

Status Database::run(std::string_view sql) {
  const std::unique_lock lock(mutex_);
  if (sqlite3_exec(handle_, std::string(sql).c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return fail_sqlite("change");
  }
  return {};
}

std::int64_t Database::changes() const { return sqlite3_changes64(handle_); }

std::unexpected<Error> Database::fail_sqlite(std::string_view what) const {
  const int code = handle_ == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(handle_);
  Error error{ErrorCode::kSystem,
              Retry::kNever,
              fmt::format("Cannot {} the database {}.", what, path_.string()),
              {}};
  if (is_damage(code)) {
    error.code = ErrorCode::kCorrupt;
    error.message = fmt::format(
        "The database {} is damaged or is no database. Stop droverd and restore the file from a "
        "backup, or move it "
        "away and pair the hosts anew.",
        path_.string());
  }
  if ((code & 0xff) == SQLITE_FULL) error.code = ErrorCode::kNoSpace;
  if ((code & 0xff) == SQLITE_BUSY) {
    error.code = ErrorCode::kUnavailable;
    error.retry = Retry::kLater;
  }
  if ((code & 0xff) == SQLITE_CONSTRAINT) error.code = ErrorCode::kConflict;
  const char* text = handle_ == nullptr ? "out of memory" : sqlite3_errmsg(handle_);
  error.causes.push_back(fmt::format("SQLite {}: {}", code, text));
  return std::unexpected(std::move(error));
}

}  // namespace drover::journal
