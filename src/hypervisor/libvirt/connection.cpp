// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/libvirt/connection.h"

#include <utility>

#include <unistd.h>

#include "base/log.h"
#include "hypervisor/libvirt/failure.h"

namespace drover::libvirt {
namespace {

// libvirtd answers within its main loop: 6 x 5 s of silence mean that it hangs or is stopped, and
// ends waiting calls.
constexpr int kKeepaliveSeconds = 5;
constexpr unsigned kKeepaliveCount = 6;
constexpr auto kRetryAfter = std::chrono::milliseconds(1000);
constexpr auto kPatience =
    std::chrono::milliseconds(3000);  // of a caller, for a connection that is being made

constexpr const char* kMonolithicSocket = "/run/libvirt/libvirt-sock";
constexpr const char* kModularSocket = "/run/libvirt/virtqemud-sock";

std::string effective_uri(const std::string& uri) {
  if (uri != "qemu:///system") return uri;
  if (::access(kMonolithicSocket, F_OK) == 0 || ::access(kModularSocket, F_OK) != 0) return uri;
  return std::string("qemu+unix:///system?socket=") + kModularSocket;
}

Result<ConnectHandle> open_connection(const std::string& uri) {
  ConnectHandle connection(virConnectOpen(effective_uri(uri).c_str()));
  if (!connection) {
    auto failed = fail_libvirt("libvirt does not answer at " + uri);
    failed.error().code = ErrorCode::kUnavailable;
    failed.error().retry = Retry::kLater;
    return failed;
  }
  // Not all transports have it (the test driver does not); then there is none.
  (void)virConnectSetKeepAlive(connection.get(), kKeepaliveSeconds, kKeepaliveCount);
  return connection;
}

std::string uuid_of(virDomainPtr domain) {
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  return virDomainGetUUIDString(domain, uuid) == 0 ? uuid : "";
}

VmEvent::Kind kind_of(int event) {
  switch (event) {
    case VIR_DOMAIN_EVENT_DEFINED:
      return VmEvent::Kind::kDefined;
    case VIR_DOMAIN_EVENT_UNDEFINED:
      return VmEvent::Kind::kUndefined;
    case VIR_DOMAIN_EVENT_STARTED:
      return VmEvent::Kind::kStarted;
    case VIR_DOMAIN_EVENT_SUSPENDED:
      return VmEvent::Kind::kSuspended;
    case VIR_DOMAIN_EVENT_RESUMED:
      return VmEvent::Kind::kResumed;
    case VIR_DOMAIN_EVENT_STOPPED:
      return VmEvent::Kind::kStopped;
    default:
      return VmEvent::Kind::kOther;
  }
}

bool is_by_migration(int event, int detail) {
  return (event == VIR_DOMAIN_EVENT_STARTED && detail == VIR_DOMAIN_EVENT_STARTED_MIGRATED) ||
         (event == VIR_DOMAIN_EVENT_SUSPENDED && detail == VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED) ||
         (event == VIR_DOMAIN_EVENT_STOPPED && detail == VIR_DOMAIN_EVENT_STOPPED_MIGRATED);
}

}  // namespace

// libvirt's callbacks, on its event thread. `self` outlives them: the destructor deregisters them
// and lets the loop settle before anything goes away.
struct Connection::Callbacks {
  static int lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* self) {
    auto* connection = static_cast<Connection*>(self);
    const char* name = virDomainGetName(domain);
    VmEvent happened{kind_of(event), uuid_of(domain), name != nullptr ? name : "",
                     is_by_migration(event, detail)};
    connection->changed(happened.uuid);
    connection->publish(std::move(happened));
    return 0;
  }
  static void device(virConnectPtr, virDomainPtr domain, const char*, void* self) {
    static_cast<Connection*>(self)->changed(uuid_of(domain));
  }
  static void tray(virConnectPtr, virDomainPtr domain, const char*, int, void* self) {
    static_cast<Connection*>(self)->changed(uuid_of(domain));
  }
  static void block_job(virConnectPtr, virDomainPtr domain, const char*, int, int, void* self) {
    static_cast<Connection*>(self)->changed(uuid_of(domain));
  }
  // Labels: whoever lists VMs shall see them at once.
  static void metadata(virConnectPtr, virDomainPtr domain, int, const char*, void* self) {
    auto* connection = static_cast<Connection*>(self);
    const char* name = virDomainGetName(domain);
    VmEvent happened{VmEvent::Kind::kOther, uuid_of(domain), name != nullptr ? name : "", false};
    connection->changed(happened.uuid);
    connection->publish(std::move(happened));
  }
  static void closed(virConnectPtr, int, void* self) {
    auto* connection = static_cast<Connection*>(self);
    const std::lock_guard lock(connection->mutex_);
    connection->closed_ = true;
    connection->state_changed_.notify_all();
  }
};

Connection::Connection(std::string uri) : uri_(std::move(uri)) {
  hander_ = std::jthread([this] { hand_out(); });
  keeper_ = std::jthread([this](const std::stop_token& stop) { keep(stop); });
}

Connection::~Connection() {
  keeper_.request_stop();
  keeper_.join();
  close();
  loop_->settle();
  events_.close();
  hander_.join();
}

bool Connection::connected() {
  const std::lock_guard lock(mutex_);
  return connection_ && !closed_;
}

Result<ConnectHandle> Connection::get() {
  std::unique_lock lock(mutex_);
  if (!connection_ || closed_) {
    const unsigned before = attempts_;
    wanted_now_ = true;
    state_changed_.notify_all();
    // An attempt at a daemon that hangs lasts as long as libvirt's own patience; nobody waits for
    // it twice.
    const Deadline limit = attempting_ ? attempt_due_ : Deadline::after(kPatience);
    state_changed_.wait_until(lock, limit.at(),
                              [&] { return (connection_ && !closed_) || attempts_ != before; });
  }
  if (connection_ && !closed_) {
    virConnectRef(connection_.get());
    return ConnectHandle(connection_.get());
  }
  if (!last_failure_.message.empty()) return std::unexpected(last_failure_);
  return std::unexpected(Error{
      ErrorCode::kUnavailable, Retry::kLater, "libvirt does not answer at " + uri_ + ".", {}});
}

Result<ConnectHandle> Connection::open_own() const { return open_connection(uri_); }

Result<ConnectHandle> open_once(const std::string& uri) { return open_connection(uri); }

void Connection::subscribe(std::function<void(const VmEvent&)> callback) {
  const std::lock_guard lock(mutex_);
  subscriber_ = std::move(callback);
}

void Connection::on_change(std::function<void(const std::string&)> callback) {
  const std::lock_guard lock(mutex_);
  on_change_ = std::move(callback);
}

void Connection::keep(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    {
      const std::lock_guard lock(mutex_);
      attempting_ = true;
      attempt_due_ = Deadline::after(kPatience);
    }
    const bool open_now = open();
    std::unique_lock lock(mutex_);
    attempting_ = false;
    ++attempts_;
    wanted_now_ = false;
    state_changed_.notify_all();
    if (open_now) {
      state_changed_.wait(lock, stop, [this] { return closed_; });
      lock.unlock();
      if (!stop.stop_requested()) close();
    } else {
      state_changed_.wait_for(lock, stop, kRetryAfter, [this] { return wanted_now_; });
    }
  }
}

bool Connection::open() {
  auto opened = open_connection(uri_);
  if (!opened) {
    const std::lock_guard lock(mutex_);
    if (last_failure_.text() != opened.error().text()) log::warning("{}", opened.error().text());
    last_failure_ = std::move(opened).error();
    return false;
  }
  virConnectPtr raw = opened->get();
  (void)virConnectRegisterCloseCallback(raw, Callbacks::closed, this, nullptr);
  std::vector<int> ids;
  const auto listen = [&](int event, virConnectDomainEventGenericCallback callback) {
    const int id = virConnectDomainEventRegisterAny(raw, nullptr, event, callback, this, nullptr);
    if (id >= 0) ids.push_back(id);
  };
  listen(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(Callbacks::lifecycle));
  listen(VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(Callbacks::device));
  listen(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(Callbacks::device));
  listen(VIR_DOMAIN_EVENT_ID_TRAY_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(Callbacks::tray));
  listen(VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2, VIR_DOMAIN_EVENT_CALLBACK(Callbacks::block_job));
  listen(VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, VIR_DOMAIN_EVENT_CALLBACK(Callbacks::metadata));
  if (ids.empty()) log::warning("{}", fail_libvirt("No events come from libvirt").error().text());
  {
    const std::lock_guard lock(mutex_);
    connection_ = std::move(*opened);
    registered_ = std::move(ids);
    closed_ = false;
    last_failure_ = {};
  }
  log::info("Connected to libvirt at {}.", uri_);
  changed("");
  publish({VmEvent::Kind::kConnected, "", ""});
  return true;
}

void Connection::close() {
  ConnectHandle gone;
  std::vector<int> ids;
  {
    const std::lock_guard lock(mutex_);
    gone = std::move(connection_);
    ids = std::exchange(registered_, {});
  }
  if (!gone) return;
  for (const int id : ids) (void)virConnectDomainEventDeregisterAny(gone.get(), id);
  (void)virConnectUnregisterCloseCallback(gone.get(), Callbacks::closed);
  gone.reset();
  changed("");
  publish({VmEvent::Kind::kDisconnected, "", ""});
  log::info("Disconnected from libvirt at {}.", uri_);
}

void Connection::publish(VmEvent event) {
  const std::size_t size = sizeof event + event.uuid.size() + event.name.size();
  // libvirt's event thread must not wait for a slow subscriber for long: an event that finds no
  // room is lost, loudly.
  if (!events_.push(std::move(event), size, Deadline::after(std::chrono::milliseconds(500)))) {
    log::warning("An event of libvirt was dropped: its subscriber does not keep up.");
  }
}

void Connection::changed(const std::string& uuid) {
  std::function<void(const std::string&)> callback;
  {
    const std::lock_guard lock(mutex_);
    callback = on_change_;
  }
  if (callback) callback(uuid);
}

void Connection::hand_out() {
  while (auto event = events_.pop()) {
    std::function<void(const VmEvent&)> callback;
    {
      const std::lock_guard lock(mutex_);
      callback = subscriber_;
    }
    if (callback) callback(*event);
  }
}

}  // namespace drover::libvirt
