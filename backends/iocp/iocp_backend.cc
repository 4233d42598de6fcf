#include "backends/iocp/iocp_backend.h"

#include <winsock2.h>
#include <windows.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "backends/iocp/afd_notifications.h"
#include "backends/iocp/completion_port.h"
#include "backends/iocp/native_notifications.h"
#include "backends/iocp/notification_registry.h"
#include "backends/iocp/overlapped_submissions.h"

namespace weir::internal {
namespace {

constexpr std::int64_t kNsPerMs = 1'000'000;

// Rounded up: never early (survey trap 62). The port counts milliseconds.
std::uint32_t ToMilliseconds(std::int64_t timeout_ns) {
  if (timeout_ns == Backend::kForever) return kNotifyForever;
  constexpr std::int64_t kLongest = 1'000'000'000;
  const std::int64_t rounded =
      timeout_ns / kNsPerMs + (timeout_ns % kNsPerMs != 0 ? 1 : 0);
  return static_cast<std::uint32_t>(std::min(rounded, kLongest));
}

class IocpBackend final : public Backend {
 public:
  IocpBackend(IocpMode mode, std::unique_ptr<CompletionPort> port,
              std::unique_ptr<SocketNotifications> source,
              const BackendOptions& options)
      : port_(std::move(port)),
        source_(std::move(source)),
        registry_(*source_),
        several_threads_(options.threads > 1),
        packets_(static_cast<std::size_t>(options.max_events)) {
    if (mode == IocpMode::kOverlapped) operations_.emplace(*port_);
  }

  // The kernel writes to what is under way until its packets are here.
  ~IocpBackend() override {
    if (!operations_.has_value()) return;
    operations_->CancelAll();
    constexpr std::uint32_t kPatienceMs = 10'000;
    while (operations_->in_flight() > 0 &&
           source_->Process({}, kPatienceMs, packets_, &received_) ==
               kNotifySuccess) {
      for (const PortPacket& packet : TakeReceived()) {
        if (Is(packet, PortKey::kOverlapped)) operations_->Discard(packet);
      }
    }
  }

  std::string_view name() const override {
    return operations_.has_value() ? "iocp-overlapped" : "iocp-psn";
  }

  Capabilities capabilities() const override {
    return {.readiness_model = ReadinessModel::kSingleShot,
            .submissions = operations_.has_value(),
            .datagram_submissions = operations_.has_value(),
            .file_submissions = operations_.has_value(),
            .usable_by_any_thread = true,
            .errors_without_cause = true,
            .readiness_source = source_->name()};
  }

  absl::Status Arm(WatchedSocket& socket, const Watch&,
                   const Watch& to) override {
    registry_.Arm(socket, to);
    return absl::OkStatus();
  }

  bool Forget(WatchedSocket& socket, HandleFate fate) override {
    return registry_.Forget(socket, fate);
  }

  absl::Status Start(Submission& submission,
                     std::span<const std::span<std::byte>> buffers) override {
    return operations_->Start(submission, buffers);
  }
  void Cancel(Submission& submission) override {
    operations_->Cancel(submission);
    if (operations_->has_untold()) WakeIfWaiting();
  }
  std::optional<ReceivedChunk> NextChunk(Submission& submission) override {
    return operations_->NextChunk(submission);
  }
  void ReturnChunk(std::int32_t id) override { operations_->ReturnChunk(id); }
  std::optional<NativeSocket> NextAccepted(Submission& submission) override {
    return operations_->NextAccepted(submission);
  }

  absl::Status Submit() override {
    absl::Status status = registry_.Submit();
    if (registry_.LongestWaitMs() != kNotifyForever) WakeIfWaiting();
    return status;
  }

  absl::Status Wait(std::int64_t timeout_ns) override {
    absl::Status status;
    if (several_threads_) {
      waiting_.store(true, std::memory_order_seq_cst);
      status = registry_.Wait(WaitTime(timeout_ns), packets_, &received_);
      waiting_.store(false, std::memory_order_relaxed);
    } else {
      status =
          registry_.SubmitAndWait(WaitTime(timeout_ns), packets_, &received_);
    }
    if (!absl::IsResourceExhausted(status)) return status;
    // A moment's pause, because the caller will come again at once.
    Sleep(1);
    return absl::OkStatus();
  }

  void Collect(ReadyList& ready) override {
    TakePackets(ready);
    // They can have been registered before the wait, and what holds of them is
    // due in the turn that follows that (R03).
    if (registry_.has_successors() &&
        registry_.SubmitAndWait(0, packets_, &received_).ok()) {
      TakePackets(ready);
    }
    if (operations_.has_value()) operations_->ReportUntold(ready);
  }

  // One packet is enough until it was collected.
  void Wake() override {
    if (woken_.exchange(true, std::memory_order_seq_cst)) return;
    posts_.fetch_add(1, std::memory_order_relaxed);
    port_->Post(PortKey::kWake);
  }

  std::uint64_t system_calls() const override {
    return source_->system_calls() + posts_.load(std::memory_order_relaxed) +
           (operations_.has_value() ? operations_->system_calls() : 0);
  }

 private:
  static bool Is(const PortPacket& packet, PortKey key) {
    return packet.key == static_cast<std::uintptr_t>(key);
  }
  std::span<const PortPacket> TakeReceived() {
    return std::span(packets_).first(std::exchange(received_, 0u));
  }
  void TakePackets(ReadyList& ready) {
    for (const PortPacket& packet : TakeReceived()) {
      if (NotificationRegistry::Owns(packet.key)) {
        registry_.Take(packet, ready);
      } else if (Is(packet, PortKey::kOverlapped)) {
        operations_->Complete(packet, ready);
      } else if (Is(packet, PortKey::kWake)) {
        woken_.store(false, std::memory_order_seq_cst);
      }
    }
    registry_.EndBatch(ready);
  }

  // Whoever changes something looks whether somebody waits, and whoever waits has
  // said so before he looks whether he may: one of them sees the other.
  void WakeIfWaiting() {
    if (waiting_.load(std::memory_order_seq_cst)) Wake();
  }
  std::uint32_t WaitTime(std::int64_t timeout_ns) const {
    if (operations_.has_value() && operations_->has_untold()) return 0;
    return ToMilliseconds(timeout_ns);
  }

  const std::unique_ptr<CompletionPort> port_;
  const std::unique_ptr<SocketNotifications> source_;
  NotificationRegistry registry_;
  std::optional<OverlappedSubmissions> operations_;
  const bool several_threads_;
  // Of the last wait.
  std::vector<PortPacket> packets_;
  std::uint32_t received_ = 0;
  std::atomic<bool> waiting_{false};
  std::atomic<bool> woken_{false};
  std::atomic<std::uint64_t> posts_{0};
};

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> CreateIocpBackend(
    IocpMode mode, NotificationSource kind, const BackendOptions& options) {
  auto created = CompletionPort::Create();
  if (!created.ok()) return created.status();
  auto port = std::make_unique<CompletionPort>(*std::move(created));
  std::unique_ptr<SocketNotifications> source;
  if (kind == NotificationSource::kBest) {
    source = CreateNativeNotifications(port->handle());
  }
  if (source == nullptr) {
    auto afd = AfdNotifications::Create(*port);
    if (!afd.ok()) return afd.status();
    source = *std::move(afd);
  }
  return std::make_unique<IocpBackend>(mode, std::move(port),
                                       std::move(source), options);
}

absl::StatusOr<std::unique_ptr<Backend>> CreateIocpPsnBackend(
    const BackendOptions& options) {
  return CreateIocpBackend(IocpMode::kNotifications, NotificationSource::kBest,
                           options);
}

absl::StatusOr<std::unique_ptr<Backend>> CreateIocpOverlappedBackend(
    const BackendOptions& options) {
  return CreateIocpBackend(IocpMode::kOverlapped, NotificationSource::kBest,
                           options);
}

}  // namespace weir::internal
