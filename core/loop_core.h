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
// state.

#ifndef WEIR_CORE_LOOP_CORE_H_
#define WEIR_CORE_LOOP_CORE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "platform/poll.h"
#include "platform/termination.h"
#include "core/readiness_state.h"
#include "core/registration_record.h"
#include "core/timer_record.h"
#include "core/timer_wheel.h"
#include "weir/backend.h"
#include "weir/event_loop.h"
#include "weir/registration.h"

namespace weir::internal {

class LoopCore : public std::enable_shared_from_this<LoopCore> {
 public:
  using Message = absl::AnyInvocable<void() &&>;
  using Command = absl::AnyInvocable<void()>;

  LoopCore(std::unique_ptr<Backend> backend, std::string backend_reason,
           int threads);
  ~LoopCore();

  // A thread's stay in Run or RunOnce; innermost first.
  struct Frame {
    LoopCore* loop;
    Frame* outer;
  };
  static Frame* CurrentFrame();
  Frame* FrameOfThisThread() const;

  // Access to the loop's state, if this thread can have it at once.
  class Access {
   public:
    explicit Access(LoopCore& loop);
    ~Access();
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;
    // False: hand over a command.
    explicit operator bool() const { return granted_; }

   private:
    LoopCore& loop_;
    std::vector<Command> spent_;
    bool granted_ = false;
    bool locked_ = false;
  };

  // --- turns: loop_core.cc
  absl::StatusOr<int> Run(absl::Duration timeout, bool once);
  void Stop();
  void Shutdown();
  absl::Status Post(Message message);
  absl::Status OnTermination(absl::AnyInvocable<void()> handler);
  bool stopped() const { return stopped_.load(std::memory_order_acquire); }
  absl::Status CheckNotStopped(const char* operation) const;

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

  LoopCounters counters() const;
  const Backend& backend() const { return *backend_; }
  const std::string& backend_name() const { return backend_name_; }
  const std::string& backend_reason() const { return backend_reason_; }
  Capabilities capabilities() const { return capabilities_; }
  bool several_threads() const { return rules_.several_threads; }

 private:
  friend class RunScope;

  // --- turns
  void Acquire() {
    if (rules_.several_threads) mu_.Lock();
  }
  void Release() {
    if (rules_.several_threads) mu_.Unlock();
  }
  absl::Status EnterRun(const char* operation);
  void LeaveRun();
  absl::Status Lead(std::int64_t deadline_ns);
  void Follow(std::int64_t deadline_ns);
  std::int64_t WaitTime(std::int64_t deadline_ns);
  bool HasWork() const;
  // Takes and runs one piece of work; false if there is none. `delivered`
  // counts what reached the application.
  bool RunOneWorkItem(int& delivered);
  void RunMessage(Message message);
  // False if the loop has ended and will never carry it out.
  bool Enqueue(Command command);
  // Those that were carried out go to `spent`: what they hold is the
  // application's, to be destroyed without the lock.
  void ApplyCommands(std::vector<Command>& spent);
  void ApplyLeftCommands();
  void WakeIfWaiting();
  void TellLeader();
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
  void BeginRemoval(RegistrationRecord& record);
  void Disarm(RegistrationRecord& record);
  void DisarmAll();
  void Fail(RegistrationRecord& record, absl::Status status);
  void SuspectReportOnItsWay(RegistrationRecord& record,
                             Condition conditions);
  void LookAgain(RegistrationRecord& record);
  void MarkDirty(RegistrationRecord& record);
  void FlushChanges();
  void Reap();
  void DigestReports();
  void AddCheck(RegistrationRecord& record, Condition conditions);
  void ArmAllAnew();
  Condition Confirm(RegistrationRecord& record, Condition conditions);
  absl::Status TakeFailure(SocketState& socket, SocketRole& role);
  bool Dispatch(RegistrationRecord& record);
  void DeliverRemoved(RegistrationRecord& record);
  void CallHandler(RegistrationRecord& record, Events events,
                   const absl::Status& status);

  // --- timers
  TimerWheel& wheel();
  void ApplySetTimer(TimerRecord& timer, std::int64_t deadline_ns,
                     std::int64_t period_ns);
  void InsertTimer(TimerRecord& timer, std::int64_t deadline_ns);
  void ApplyCancelTimer(TimerRecord& timer);
  bool FireTimer(TimerNode& node);

  std::unique_ptr<Backend> backend_;
  const std::string backend_name_;
  const std::string backend_reason_;
  const Capabilities capabilities_;
  const ReadinessRules rules_;
  const int threads_;

  // The inbox: from any thread.
  absl::Mutex inbox_mu_;
  std::vector<Message> inbox_ ABSL_GUARDED_BY(inbox_mu_);
  std::vector<Command> commands_ ABSL_GUARDED_BY(inbox_mu_);
  bool inbox_closed_ ABSL_GUARDED_BY(inbox_mu_) = false;
  std::atomic<bool> inbox_filled_{false};
  std::atomic<bool> has_commands_{false};
  // The leader is in, or about to enter, the kernel's wait.
  std::atomic<bool> waiting_{false};
  std::atomic<bool> stopped_{false};
  // Between a wake-up from another thread and the end of the mechanism.
  absl::Mutex wake_mu_;

  absl::Mutex run_mu_;
  int runners_ ABSL_GUARDED_BY(run_mu_) = 0;
  std::atomic<bool> shutdown_on_exit_{false};

  // Everything below: with Access.
  absl::Mutex mu_;
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

  ReadyList ready_;
  std::vector<Message> messages_;
  std::size_t next_message_ = 0;
  TimerList expired_;
  std::unique_ptr<TimerWheel> wheel_;

  absl::flat_hash_set<std::shared_ptr<RegistrationRecord>> records_;
  std::vector<RegistrationRecord*> dirty_;
  std::vector<RegistrationRecord*> flushing_;
  // Readable without the kernel saying so again; delivered in the next turn.
  std::vector<RegistrationRecord*> carried_over_;
  std::vector<std::shared_ptr<RegistrationRecord>> graveyard_;
  std::vector<platform::PollEntry> poll_entries_;
  std::vector<RegistrationRecord*> poll_records_;

  std::atomic<bool> watches_termination_{false};
  std::unique_ptr<platform::TerminationWatch> termination_;
  absl::AnyInvocable<void()> termination_handler_;

  struct Counters {
    std::atomic<std::uint64_t> turns{0};
    std::atomic<std::uint64_t> checks{0};
    std::atomic<std::uint64_t> events{0};
    std::atomic<std::uint64_t> stale{0};
    std::atomic<std::uint64_t> messages{0};
    std::atomic<std::uint64_t> timers{0};
    std::atomic<std::uint64_t> wake_ups{0};
    std::atomic<std::uint64_t> registrations{0};
    std::atomic<std::uint64_t> system_calls{0};
  };
  static void Count(std::atomic<std::uint64_t>& counter) {
    // Written with access only: no read-modify-write needed.
    counter.store(counter.load(std::memory_order_relaxed) + 1,
                  std::memory_order_relaxed);
  }
  Counters counters_;
};

}  // namespace weir::internal

#endif  // WEIR_CORE_LOOP_CORE_H_
