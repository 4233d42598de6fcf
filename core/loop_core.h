// The inside of an event loop: who may touch its state, its turns, and what
// waits to be delivered.
//
// One thread at a time, the leader, waits for the kernel; what it brings back
// goes to a queue of work from which every thread that runs the loop takes,
// and a thread that finds neither work nor a leader becomes the leader. With
// one thread this is the ordinary loop: wait, then deliver.
//
// Access. All state but the inbox belongs to whoever has Access. With
// several threads that is a mutex, never held while a handler runs or
// the leader waits. With one thread, that thread has access from the beginning
// of Run to its end, handlers included, and pays nothing for it; another
// thread gets access only while nobody runs the loop, and otherwise hands over
// a command, which is carried out before the running thread next touches the
// state. That is a flag and no mutex: a handler may take mutexes under which the
// program also calls the loop, which a check of mutex orders would refuse.

#ifndef WEIR_CORE_LOOP_CORE_H_
#define WEIR_CORE_LOOP_CORE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/handle_gate.h"
#include "core/loop_frame.h"
#include "core/loop_memory.h"
#include "core/loop_record.h"
#include "core/mutex.h"
#include "core/operation_record.h"
#include "core/readiness_state.h"
#include "core/registration_record.h"
#include "core/thread_local.h"
#include "core/timer_record.h"
#include "core/timer_wheel.h"
#include "platform/poll.h"
#include "platform/termination.h"
#include "weir/backend.h"
#include "weir/counted_ref.h"
#include "weir/event_loop.h"
#include "weir/registration.h"

namespace weir::internal {

class LoopCore : public std::enable_shared_from_this<LoopCore> {
 public:
  using Message = absl::AnyInvocable<void() &&>;
  using Command = absl::AnyInvocable<void()>;

  static std::shared_ptr<LoopCore> Create(std::unique_ptr<Backend> backend,
                                          std::string backend_reason,
                                          int threads, bool embedded);

  // This thread's stays in loops, innermost first.
  using Frame = LoopFrame;
  static Frame* CurrentFrame() { return current_frame_; }
  Frame* FrameOfThisThread() const {
    Frame* frame = current_frame_;
    while (frame != nullptr && frame->loop != this) frame = frame->outer;
    return frame;
  }

  // Access to the loop's state, if this thread can have it at once.
  class Access {
   public:
    // In a handler there is mostly nothing to be asked.
    explicit Access(LoopCore& loop)
        : loop_(loop), granted_(loop.HasFreeAccess()) {
      if (!granted_) Gain();
    }
    ~Access() {
      if (taken_) GiveUp();
    }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;
    // False: hand over a command.
    explicit operator bool() const { return granted_; }

   private:
    void Gain();
    void GiveUp();

    LoopCore& loop_;
    std::vector<Command> spent_;
    bool granted_;
    bool taken_ = false;
  };

  // A short stay with access to the loop's state for an endpoint that has
  // itself: takes the lock if there is one.
  class Scope {
   public:
    explicit Scope(LoopCore& loop) : loop_(loop) { loop_.Acquire(); }
    ~Scope() {
      if (!loop_.rules_.several_threads) return;
      loop_.TellOthers();
      loop_.mu_.Unlock();
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    LoopCore& loop_;
  };

  // --- turns: loop_turns.cc
  absl::StatusOr<int> Run(absl::Duration timeout, bool once);

  // --- the end: loop_end.cc
  void Stop();
  void Shutdown();
  absl::Status OnTermination(absl::AnyInvocable<void()> handler);
  absl::Status CheckNotStopped(const char* operation) const;
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }

  // --- the inbox: loop_inbox.cc
  absl::Status Post(Message message);
  absl::Status PostTo(std::uint64_t frame, Message message);
  // With Scope. False if the frame is no more.
  bool PostToFrame(std::uint64_t frame, Message message);
  // False if the loop has ended and will never carry it out. For those who have
  // no access.
  bool Enqueue(Command command);
  // Other threads have handed over commands that were not carried out yet.
  bool has_commands() const {
    return has_commands_.load(std::memory_order_acquire);
  }
  // One of both: what is started now is not as simple as it looks.
  bool has_commands_or_stopped() const {
    return has_commands_or_stopped_.load(std::memory_order_acquire);
  }
  // This thread has access, by running the loop alone, and no other thread has
  // handed over a command that comes first.
  bool HasFreeAccess() const {
    return !rules_.several_threads && current_frame_ != nullptr &&
           current_frame_->loop == this && !has_commands();
  }

  // --- registrations: loop_registrations.cc, loop_changes.cc, loop_reports.cc
  absl::StatusOr<Registration> Register(
      const std::shared_ptr<SocketState>& socket,
      const RegistrationOptions& options, ReadinessHandler handler);
  std::vector<absl::StatusOr<Registration>> RegisterBatch(
      std::span<RegistrationRequest> requests);
  std::vector<absl::Status> ModifyBatch(
      std::span<ModificationRequest> requests);
  absl::Status Modify(const std::shared_ptr<RegistrationRecord>& record,
                      RegistrationChange change, bool enable);
  absl::Status SetEnabled(const std::shared_ptr<RegistrationRecord>& record,
                          bool enabled);
  absl::Status Remove(const std::shared_ptr<RegistrationRecord>& record);
  absl::Status Drained(const std::shared_ptr<RegistrationRecord>& record,
                       Condition directions, bool short_transfer);
  void EndRead(const std::shared_ptr<RegistrationRecord>& record);
  void RoleChanged(const std::shared_ptr<RegistrationRecord>& record);
  // Closes the handle, after the registration, if any, was removed.
  void Close(const std::shared_ptr<SocketState>& socket,
             const std::shared_ptr<RegistrationRecord>& record);
  // The kernel lets go of the file of a removed registration, if it can be told
  // so from here.
  void LetGo(const std::shared_ptr<RegistrationRecord>& record);
  // Drained, for a thread that is known to run this loop alone.
  void DrainedHere(RegistrationRecord& record, Condition directions,
                   bool short_transfer);

  // --- timers: loop_timers.cc
  void SetTimer(const std::shared_ptr<TimerRecord>& timer,
                std::int64_t delay_ns, std::int64_t period_ns);
  void CancelTimer(const std::shared_ptr<TimerRecord>& timer);

  // --- endpoints: loop_endpoints.cc
  absl::Status Adopt(const CountedRef<Endpoint>& endpoint);
  // With Scope:
  void Schedule(Endpoint& endpoint, bool later);
  void SetWatch(Endpoint& endpoint, const weir::Watch& watch);
  // The mechanism forgets the socket. False: it may have requests that name the
  // handle; ask again in the next turn, before closing that. So it is for want of
  // memory, and, with `may_wait`, where they can be ended together with others.
  bool Unwatch(Endpoint& endpoint, HandleFate fate, bool may_wait);
  // It has ended.
  void Forget(Endpoint& endpoint);
  void InsertOperation(OperationRecord& record, absl::Duration timeout);
  void CancelOperation(OperationRecord& record);
  absl::Status StartSubmission(Submission& submission,
                               std::span<const std::span<std::byte>> buffers);
  // With one thread, and without a submission of the endpoint.
  absl::Status StartReceiveMany(Endpoint& endpoint);
  void CancelSubmission(Submission& submission);
  std::optional<ReceivedChunk> NextChunk(Submission& submission) {
    return backend_->NextChunk(submission);
  }
  bool KeepChunk(std::int32_t id) { return backend_->KeepChunk(id); }
  void ReturnChunk(std::int32_t id) { backend_->ReturnChunk(id); }
  std::optional<NativeSocket> NextAccepted(Submission& submission) {
    return backend_->NextAccepted(submission);
  }
  bool has_submissions() const { return capabilities_.submissions; }
  LoopMemory& memory() { return memory_; }
  ReadinessModel readiness_model() const { return rules_.model; }
  // With one thread.
  void CountLentBufferHere() { Count(counters_.buffers_lent); }
  // Without access.
  void CountLentBuffer() {
    if (rules_.several_threads) {
      counters_.buffers_lent.fetch_add(1, std::memory_order_relaxed);
    } else {
      Count(counters_.buffers_lent);
    }
  }
  void CountCompletions(int told) {
    Count(counters_.completions, static_cast<std::uint64_t>(told));
  }

  std::int64_t NextTimer() const {
    return wheel_ == nullptr ? Backend::kForever : wheel_->NextDeadline();
  }
  LoopCounters counters() const;
  const Backend& backend() const { return *backend_; }
  const std::string& backend_name() const { return backend_name_; }
  const std::string& backend_reason() const { return backend_reason_; }
  const Capabilities& capabilities() const { return capabilities_; }
  bool several_threads() const { return rules_.several_threads; }
  // Of the handle of `of`, and of many others.
  HandleGate& HandleGateOf(const LoopRecord* of) {
    return handle_gates_[reinterpret_cast<std::uintptr_t>(of) / 256 %
                         handle_gates_.size()];
  }

 private:
  friend class RunScope;
  // Of the owners that Create has made, together, and of each endpoint.
  friend void AddReference(LoopCore& loop);
  friend void DropReference(LoopCore& loop);

  LoopCore(std::unique_ptr<Backend> backend, std::string backend_reason,
           int threads, bool embedded);
  ~LoopCore();

  // --- access: loop_core.cc
  // From outside a handler: waits for it, asks for it, gives it up.
  void Take();
  bool TryTake();
  void Give();
  // Around what is the application's, inside Run.
  void Acquire() {
    if (rules_.several_threads) mu_.Lock();
  }
  void Release() {
    if (rules_.several_threads) mu_.Unlock();
  }

  // --- turns
  absl::Status EnterRun(const char* operation);
  void LeaveRun();
  absl::Status Lead(std::int64_t deadline_ns);
  void CarryOver();
  void TakeInbox();
  void Follow(std::int64_t deadline_ns);
  std::int64_t WaitTime(std::int64_t deadline_ns);
  bool HasWork() const {
    return !ready_.empty() || next_message_ < messages_.size() ||
           !expired_.empty();
  }
  // Takes and runs a piece of work, of ready sockets all there are if nobody
  // else takes from them; false if there is none. `delivered` counts what
  // reached the application.
  bool RunSomeWork(int& delivered);
  bool RunReadySockets(int& delivered);
  void RunMessage(Message message);
  bool RunOwnMessage();

  // --- the inbox
  // Those that were carried out go to `spent`: what they hold is the
  // application's, to be destroyed without the lock.
  void ApplyCommands(std::vector<Command>& spent);
  void ApplyLeftCommands();
  void WakeIfWaiting();
  void BeWakeable();
  void TellLeader();
  void TellOthers();

  // --- the end
  void DoShutdown();

  // --- registrations
  // `handler` is moved from only if it succeeds, so that it is never destroyed
  // in here, where a lock may be held.
  absl::StatusOr<Registration> RegisterWithAccess(
      const Access& access, const std::shared_ptr<SocketState>& socket,
      const RegistrationOptions& options, ReadinessHandler& handler);
  absl::Status ModifyWithAccess(
      const Access& access, const std::shared_ptr<RegistrationRecord>& record,
      RegistrationChange& change, bool enable);
  void Admit(const std::shared_ptr<RegistrationRecord>& record);
  absl::Status AdmitNow(const std::shared_ptr<RegistrationRecord>& record);
  void ApplyChange(RegistrationRecord& record, RegistrationChange& change,
                   bool enable);
  void ApplyEnabled(RegistrationRecord& record, bool enabled);
  void ApplyDrained(RegistrationRecord& record, Condition directions,
                    bool short_transfer, bool at_once);
  void ApplyEndRead(RegistrationRecord& record);
  void ApplyClose(SocketState& socket, RegistrationRecord* record);
  void BeginRemoval(RegistrationRecord& record,
                    HandleFate fate = HandleFate::kStaysOpen);
  void Disarm(LoopRecord& record);
  void ForgetClosed(LoopRecord& record);
  void DisarmAll();
  void Fail(RegistrationRecord& record, absl::Status status);
  static void Suspect(RegistrationRecord& record, Condition conditions);
  void SuspectReportOnItsWay(RegistrationRecord& record,
                             Condition conditions);
  void LookAgain(RegistrationRecord& record);
  void MarkDirty(LoopRecord& record);
  void FlushChanges() {
    retry_soon_ = false;
    if (!dirty_.empty()) FlushDirty();
  }
  void FlushDirty();
  void FlushEndpoint(Endpoint& endpoint);
  absl::Status SubmitChanges();
  void Reap();
  void DigestReports();
  void NoteBusy();
  void DigestSingleShots();
  void AddCheck(RegistrationRecord& record, Condition conditions);
  // If the mechanism has lost reports.
  void TakeLoss();
  Condition Confirm(RegistrationRecord& record, Condition conditions);
  absl::Status TakeFailure(SocketState& socket, SocketRole& role);
  absl::Status PresumedFailure(SocketState& socket, SocketRole role,
                               absl::Status failure) const;
  bool Dispatch(RegistrationRecord& record);
  bool DispatchOrdinary(RegistrationRecord& record, Event& event);
  void DeliverRemoved(RegistrationRecord& record);
  void CallHandler(RegistrationRecord& record, Events events,
                   const absl::Status& status);
  void CallHandlerHere(RegistrationRecord& record, const Event& event);
  void ReplaceHandler(RegistrationRecord& record);

  // --- endpoints
  static Submission& ReceiveOf(WatchedSocket& socket);
  int RunEndpoint(Endpoint& endpoint);
  int RunEndpointHere(Frame& frame, Endpoint& endpoint, int& completions);
  void EndSubmissions();
  void EndUnreported(int error);
  void ShutDownEndpoint(CountedRef<Endpoint> endpoint);
  void ExpireOperation(OperationRecord& record);

  // --- timers
  TimerWheel& wheel();
  void ApplySetTimer(TimerRecord& timer, std::int64_t deadline_ns,
                     std::int64_t period_ns);
  static std::int64_t DeadlineAfter(std::int64_t delay_ns);
  void InsertTimer(TimerNode& node, std::int64_t deadline_ns);
  void ApplyCancelTimer(TimerRecord& timer);
  bool FireTimer(TimerNode& node);

  WEIR_IN_STATIC_BLOCK
  static inline constinit thread_local Frame* current_frame_ = nullptr;

  std::unique_ptr<Backend> backend_;
  const std::string backend_name_;
  const std::string backend_reason_;
  const Capabilities capabilities_;
  const ReadinessRules rules_;
  const int threads_;
  const bool embedded_;
  std::atomic<std::uint64_t> references_{1};
  // What an event has that is no error.
  const absl::Status ok_;

  // The inbox: from any thread.
  Mutex inbox_mu_;
  std::vector<Message> inbox_ ABSL_GUARDED_BY(inbox_mu_);
  std::vector<Command> commands_ ABSL_GUARDED_BY(inbox_mu_);
  bool inbox_closed_ ABSL_GUARDED_BY(inbox_mu_) = false;
  std::atomic<bool> inbox_filled_{false};
  std::atomic<bool> has_commands_{false};
  // The leader is in, or about to enter, the kernel's wait.
  std::atomic<bool> waiting_{false};
  std::atomic<bool> stopped_{false};
  std::atomic<bool> has_commands_or_stopped_{false};
  // Between a wake-up from another thread and the end of the mechanism.
  Mutex wake_mu_;

  Mutex run_mu_;
  int runners_ ABSL_GUARDED_BY(run_mu_) = 0;
  std::atomic<bool> shutdown_on_exit_{false};

  // Everything below: with Access.
  Mutex mu_;
  // With one thread: somebody has access.
  bool taken_ ABSL_GUARDED_BY(mu_) = false;
  absl::CondVar work_or_lead_;
  std::atomic<std::thread::id> owner_{};
  bool has_leader_ = false;
  int idle_threads_ = 0;
  bool ended_ = false;
  // The mechanism was told something that Submit has to follow.
  bool unsubmitted_ = false;
  // A change could not be made for want of memory: try again soon.
  bool retry_soon_ = false;
  std::uint64_t turn_ = 0;

  ReadyList ready_{&ReceiveOf};
  // Endpoints that go on in the next turn.
  ReadyList later_;
  Frame* frames_ = nullptr;
  std::uint64_t last_frame_ = 0;
  // With one thread: its frame, 0 while it runs nothing.
  std::atomic<std::uint64_t> newest_frame_{0};
  std::vector<Message> messages_;
  std::size_t next_message_ = 0;
  TimerList expired_;
  std::unique_ptr<TimerWheel> wheel_;

  absl::flat_hash_set<std::shared_ptr<RegistrationRecord>> records_;
  std::vector<LoopRecord*> dirty_;
  std::vector<LoopRecord*> flushing_;
  // Readable without the kernel saying so again; delivered in the next turn.
  std::vector<RegistrationRecord*> carried_over_;
  std::vector<std::shared_ptr<RegistrationRecord>> graveyard_;
  Endpoint* endpoints_ = nullptr;
  std::vector<CountedRef<Endpoint>> ended_endpoints_;
  // Of those that the mechanism does not take: why, until they are told.
  absl::flat_hash_map<Endpoint*, absl::Status> refusals_;
  std::vector<platform::PollEntry> poll_entries_;
  std::vector<RegistrationRecord*> poll_records_;

  std::atomic<bool> watches_termination_{false};
  std::unique_ptr<platform::TerminationWatch> termination_;
  absl::AnyInvocable<void()> termination_handler_;

  // Its own to guard.
  LoopMemory memory_{*this};

  // Any thread's.
  std::array<HandleGate, 16> handle_gates_;

  struct Counters {
    std::atomic<std::uint64_t> turns{0};
    std::atomic<std::uint64_t> checks{0};
    std::atomic<std::uint64_t> events{0};
    std::atomic<std::uint64_t> stale{0};
    std::atomic<std::uint64_t> completions{0};
    std::atomic<std::uint64_t> messages{0};
    std::atomic<std::uint64_t> timers{0};
    std::atomic<std::uint64_t> wake_ups{0};
    std::atomic<std::uint64_t> buffers_lent{0};
    std::atomic<std::uint64_t> registrations{0};
    std::atomic<std::uint64_t> system_calls{0};
  };
  // Want of memory, which mends; not a limit that is reached.
  static bool IsTransient(const absl::Status& status);
  static void Count(std::atomic<std::uint64_t>& counter,
                    std::uint64_t by = 1) {
    // Written with access only: no read-modify-write needed.
    counter.store(counter.load(std::memory_order_relaxed) + by,
                  std::memory_order_relaxed);
  }
  Counters counters_;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_LOOP_CORE_H_
