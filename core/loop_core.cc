// Turns: who leads, who takes work, and how a loop ends.

#include "core/loop_core.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/endpoint.h"
#include "platform/clock.h"

namespace weir::internal {
namespace {

constexpr std::int64_t kForever = Backend::kForever;
// How soon a change that failed for want of memory is tried again.
constexpr std::int64_t kRetryNs = 10'000'000;

ReadinessRules RulesFor(const Capabilities& capabilities, int threads) {
  return ReadinessRules{.model = capabilities.readiness_model,
                        .several_threads = threads > 1};
}

}  // namespace

void AddReference(LoopCore& loop) {
  loop.references_.fetch_add(1, std::memory_order_relaxed);
}

void DropReference(LoopCore& loop) {
  if (loop.references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete &loop;
  }
}

std::shared_ptr<LoopCore> LoopCore::Create(std::unique_ptr<Backend> backend,
                                           std::string backend_reason,
                                           int threads, bool embedded) {
  return std::shared_ptr<LoopCore>(
      new LoopCore(std::move(backend), std::move(backend_reason), threads,
                   embedded),
      [](LoopCore* loop) { DropReference(*loop); });
}

LoopCore::LoopCore(std::unique_ptr<Backend> backend,
                   std::string backend_reason, int threads, bool embedded)
    : backend_(std::move(backend)),
      backend_name_(backend_->name()),
      backend_reason_(std::move(backend_reason)),
      capabilities_(backend_->capabilities()),
      rules_(RulesFor(capabilities_, threads)),
      threads_(threads),
      embedded_(embedded) {}

LoopCore::~LoopCore() = default;

void LoopCore::Take() {
  mu_.Lock();
  if (rules_.several_threads) return;
  mu_.Await(absl::Condition(+[](bool* taken) { return !*taken; }, &taken_));
  taken_ = true;
  mu_.Unlock();
}

bool LoopCore::TryTake() {
  if (rules_.several_threads) return mu_.TryLock();
  absl::MutexLock lock(&mu_);
  return !std::exchange(taken_, true);
}

void LoopCore::Give() {
  if (!rules_.several_threads) {
    mu_.Lock();
    taken_ = false;
  }
  mu_.Unlock();
}

LoopCore::Access::Access(LoopCore& loop) : loop_(loop) {
  if (loop_.rules_.several_threads) {
    loop_.Take();
    taken_ = granted_ = true;
    return;
  }
  if (loop_.FrameOfThisThread() != nullptr) {
    granted_ = true;
  } else {
    // A loop that has run belongs to the thread that ran it, running or not:
    // its ring may be used from there alone. A stopped one is nobody's.
    const std::thread::id owner = loop_.owner_.load(std::memory_order_acquire);
    if (owner == std::this_thread::get_id()) {
      loop_.Take();
      taken_ = granted_ = true;
    } else if (owner == std::thread::id() || loop_.stopped()) {
      taken_ = granted_ = loop_.TryTake();
    }
  }
  if (granted_) loop_.ApplyCommands(spent_);
}

LoopCore::Access::~Access() {
  if (!taken_) return;
  if (loop_.rules_.several_threads) {
    loop_.TellLeader();
  } else if (loop_.embedded_) {
    // The outer loop waits for the handle: this is to be looked at.
    loop_.WakeIfWaiting();
  }
  loop_.Give();
  spent_.clear();
  loop_.ApplyLeftCommands();
}

// What was changed while another thread waits cannot wait for the next turn.
void LoopCore::TellLeader() {
  if (!has_leader_ || ended_) return;
  if (!dirty_.empty() || unsubmitted_) {
    FlushChanges();
    // A refusal shows again, and is told, when the leader submits.
    if (!SubmitChanges().ok() || retry_soon_) WakeIfWaiting();
  }
  if (HasWork() || !later_.empty() || !carried_over_.empty()) WakeIfWaiting();
}

// There may be work now: for a thread that idles, else for the leader.
void LoopCore::TellOthers() {
  if (idle_threads_ > 0 && HasWork()) {
    work_or_lead_.Signal();
    if (dirty_.empty() && !unsubmitted_) return;
  }
  TellLeader();
}

absl::Status LoopCore::CheckNotStopped(const char* operation) const {
  if (!stopped()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(operation, ": the event loop is stopped"));
}

// --- the inbox

absl::Status LoopCore::Post(Message message) {
  if (!message) return absl::InvalidArgumentError("post: the message is empty");
  if (absl::Status status = CheckNotStopped("post"); !status.ok()) {
    return status;
  }
  {
    absl::MutexLock lock(&inbox_mu_);
    if (inbox_closed_) {
      return absl::FailedPreconditionError("post: the event loop is destroyed");
    }
    inbox_.push_back(std::move(message));
    inbox_filled_.store(true, std::memory_order_seq_cst);
  }
  WakeIfWaiting();
  return absl::OkStatus();
}

bool LoopCore::Enqueue(Command command) {
  {
    absl::MutexLock lock(&inbox_mu_);
    if (inbox_closed_) return false;
    commands_.push_back(std::move(command));
    has_commands_.store(true, std::memory_order_seq_cst);
    has_commands_or_stopped_.store(true, std::memory_order_seq_cst);
  }
  WakeIfWaiting();
  ApplyLeftCommands();
  return true;
}

void LoopCore::ApplyCommands(std::vector<Command>& spent) {
  while (has_commands_.load(std::memory_order_acquire)) {
    std::vector<Command> commands;
    {
      absl::MutexLock lock(&inbox_mu_);
      commands.swap(commands_);
      has_commands_.store(false, std::memory_order_relaxed);
      has_commands_or_stopped_.store(false, std::memory_order_seq_cst);
      // Stop sets both, this one last.
      if (stopped_.load(std::memory_order_seq_cst)) {
        has_commands_or_stopped_.store(true, std::memory_order_seq_cst);
      }
    }
    for (Command& command : commands) {
      command();
      spent.push_back(std::move(command));
    }
  }
}

// Nobody will run a stopped loop and find what was enqueued just when the
// loop was left: whoever enqueues, and whoever gives access up, looks.
void LoopCore::ApplyLeftCommands() {
  while (stopped() && has_commands_.load(std::memory_order_seq_cst) &&
         TryTake()) {
    std::vector<Command> spent;
    ApplyCommands(spent);
    Give();
  }
}

// Lead() sets waiting_ before it looks at the inbox for the last time, and a
// poster fills the inbox before it looks at waiting_: one of them sees the
// other (R18).
void LoopCore::WakeIfWaiting() {
  if (waiting_.exchange(false, std::memory_order_seq_cst)) {
    counters_.wake_ups.fetch_add(1, std::memory_order_relaxed);
    absl::MutexLock lock(&wake_mu_);
    if (backend_ != nullptr) backend_->Wake();
  }
}

// As if it were waiting: the outer loop does. What the mechanism is to be told,
// and what is left for the next turn, would wait for a turn that nobody makes.
void LoopCore::BeWakeable() {
  FlushChanges();
  bool has_work = !SubmitChanges().ok() || retry_soon_;
  has_work = has_work || HasWork() || !later_.empty() || !carried_over_.empty();
  waiting_.store(true, std::memory_order_seq_cst);
  if (has_work || inbox_filled_.load(std::memory_order_seq_cst) ||
      has_commands_.load(std::memory_order_seq_cst)) {
    WakeIfWaiting();
  }
}

// --- running

absl::Status LoopCore::EnterRun(const char* operation) {
  if (FrameOfThisThread() != nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        operation, ": called from a handler of the same event loop"));
  }
  absl::MutexLock lock(&run_mu_);
  if (absl::Status status = CheckNotStopped(operation); !status.ok()) {
    return status;
  }
  if (runners_ >= threads_) {
    return absl::FailedPreconditionError(
        absl::StrCat(operation, ": the event loop is run already, by ",
                     runners_, " of at most ", threads_, " threads"));
  }
  if (!rules_.several_threads) {
    const std::thread::id self = std::this_thread::get_id();
    const std::thread::id owner = owner_.load(std::memory_order_relaxed);
    if (owner != std::thread::id() && owner != self) {
      return absl::FailedPreconditionError(absl::StrCat(
          operation,
          ": an event loop for one thread belongs to the first thread that "
          "runs it; ask for more with EventLoopOptions::threads"));
    }
    owner_.store(self, std::memory_order_relaxed);
  }
  ++runners_;
  return absl::OkStatus();
}

void LoopCore::LeaveRun() {
  bool last = false;
  {
    absl::MutexLock lock(&run_mu_);
    last = runners_ == 1 && shutdown_on_exit_.load();
    if (!last) --runners_;
  }
  if (last) {
    DoShutdown();
    absl::MutexLock lock(&run_mu_);
    --runners_;
  }
}

// Holds a thread's place in the loop, and its access.
class RunScope {
 public:
  explicit RunScope(LoopCore& loop) : loop_(loop) {
    frame_.loop = &loop;
    frame_.outer = LoopCore::current_frame_;
    LoopCore::current_frame_ = &frame_;
    loop_.Take();
    frame_.id = ++loop_.last_frame_;
    loop_.newest_frame_.store(frame_.id, std::memory_order_release);
    frame_.next = loop_.frames_;
    loop_.frames_ = &frame_;
  }
  ~RunScope() {
    LoopCore::Frame** at = &loop_.frames_;
    while (*at != &frame_) at = &(*at)->next;
    *at = frame_.next;
    if (!loop_.rules_.several_threads) {
      loop_.newest_frame_.store(0, std::memory_order_release);
    }
    // Others take over what this thread was to do itself.
    std::move(frame_.messages.begin(), frame_.messages.end(),
              std::back_inserter(loop_.messages_));
    if (!frame_.messages.empty() && loop_.rules_.several_threads) {
      loop_.TellOthers();
    }
    GiveBack(frame_.cork, loop_.lent_buffers_);
    GiveBack(frame_.lent, loop_.lent_buffers_);
    GiveBack(frame_.lent_for_datagrams, loop_.lent_datagram_buffers_);
    loop_.Give();
    LoopCore::current_frame_ = frame_.outer;
    loop_.ApplyLeftCommands();
  }

 private:
  using Buffer = std::unique_ptr<std::byte[]>;
  static void GiveBack(Buffer& buffer, std::vector<Buffer>& pool) {
    if (buffer != nullptr) pool.push_back(std::move(buffer));
  }

  LoopCore& loop_;
  LoopCore::Frame frame_;
};

absl::StatusOr<int> LoopCore::Run(absl::Duration timeout, bool once) {
  const std::shared_ptr<LoopCore> keep = shared_from_this();
  if (absl::Status status = EnterRun(once ? "run one turn" : "run");
      !status.ok()) {
    return status;
  }
  std::int64_t deadline = kForever;
  if (timeout <= absl::ZeroDuration()) {
    deadline = 0;
  } else if (timeout < absl::Hours(24 * 365 * 100)) {
    deadline =
        platform::MonotonicNanoseconds() + absl::ToInt64Nanoseconds(timeout);
  }
  absl::Status failure;
  int delivered = 0;
  {
    RunScope scope(*this);
    bool waited = false;
    while (!stopped()) {
      if (waited || (!once && HasWork())) {
        // Whoever is idle takes the next piece, or the lead.
        if (idle_threads_ > 0 && HasWork()) work_or_lead_.Signal();
        if (RunSomeWork(delivered)) {
          if (rules_.several_threads) TellLeader();
          continue;
        }
      }
      if (once && waited &&
          (delivered > 0 || deadline == 0 ||
           (deadline != kForever &&
            platform::MonotonicNanoseconds() >= deadline))) {
        break;
      }
      if (has_leader_) {
        Follow(deadline);
      } else if (failure = Lead(deadline); !failure.ok()) {
        break;
      }
      waited = true;
    }
    if (stopped() && !rules_.several_threads) {
      DisarmAll();
      EndSubmissions();
    }
    // Somebody else has to take the lead, or to see that it is over.
    if (idle_threads_ > 0) work_or_lead_.SignalAll();
    if (embedded_ && !stopped()) BeWakeable();
  }
  LeaveRun();
  if (!failure.ok()) return failure;
  return delivered;
}

bool LoopCore::HasWork() const {
  return !ready_.empty() || next_message_ < messages_.size() ||
         !expired_.empty();
}

std::int64_t LoopCore::WaitTime(std::int64_t deadline_ns) {
  if (deadline_ns == 0 || HasWork()) return 0;
  std::int64_t until = deadline_ns;
  if (wheel_ != nullptr) until = std::min(until, wheel_->NextDeadline());
  if (until == kForever && !retry_soon_) return kForever;
  const std::int64_t wait =
      until == kForever
          ? kForever
          : std::max<std::int64_t>(0,
                                   until - platform::MonotonicNanoseconds());
  return retry_soon_ ? std::min(wait, kRetryNs) : wait;
}

absl::Status LoopCore::Lead(std::int64_t deadline_ns) {
  {
    std::vector<Command> spent;
    ApplyCommands(spent);
  }
  for (RegistrationRecord* record : carried_over_) {
    if (!std::exchange(record->end_is_readable, false)) continue;
    ReadyList::AddConditions(*record, Condition::kReadable);
    ready_.Push(*record);
  }
  carried_over_.clear();
  while (WatchedSocket* endpoint = later_.Pop()) ready_.Push(*endpoint);
  FlushChanges();
  Reap();
  absl::Status status;
  if (rules_.several_threads) status = SubmitChanges();
  std::int64_t timeout = WaitTime(deadline_ns);
  ++turn_;
  Count(counters_.turns);
  has_leader_ = true;
  waiting_.store(true, std::memory_order_seq_cst);
  if (inbox_filled_.load(std::memory_order_seq_cst) ||
      has_commands_.load(std::memory_order_seq_cst) || stopped()) {
    timeout = 0;
  }
  Release();
  if (status.ok()) status = backend_->Wait(timeout);
  Acquire();
  waiting_.store(false, std::memory_order_relaxed);
  has_leader_ = false;
  backend_->Collect(ready_);
  DigestReports();
  counters_.system_calls.store(backend_->system_calls(),
                               std::memory_order_relaxed);
  if (wheel_ != nullptr && !wheel_->empty()) {
    wheel_->Advance(platform::MonotonicNanoseconds(), &expired_);
  }
  if (inbox_filled_.load(std::memory_order_acquire)) {
    if (next_message_ == messages_.size()) {
      messages_.clear();
      next_message_ = 0;
    }
    absl::MutexLock lock(&inbox_mu_);
    if (messages_.empty()) {
      messages_.swap(inbox_);
    } else {
      std::move(inbox_.begin(), inbox_.end(), std::back_inserter(messages_));
      inbox_.clear();
    }
    inbox_filled_.store(false, std::memory_order_relaxed);
  }
  if (termination_ != nullptr && termination_->TakeRequested()) {
    messages_.push_back([this] {
      if (termination_handler_) {
        termination_handler_();
      } else {
        Stop();
      }
    });
  }
  return status;
}

void LoopCore::Follow(std::int64_t deadline_ns) {
  ++idle_threads_;
  const Frame& frame = *FrameOfThisThread();
  while (!stopped() && has_leader_ && !HasWork() && frame.messages.empty()) {
    if (deadline_ns == kForever) {
      work_or_lead_.Wait(&mu_);
      continue;
    }
    const std::int64_t left =
        deadline_ns == 0 ? 0 : deadline_ns - platform::MonotonicNanoseconds();
    if (left <= 0) break;
    work_or_lead_.WaitWithTimeout(&mu_, absl::Nanoseconds(left));
  }
  --idle_threads_;
}

// Sockets, then messages, then timers: all that one wait brought is run before
// the next, so none can starve another (survey trap 65).
bool LoopCore::RunSomeWork(int& delivered) {
  if (rules_.several_threads && RunOwnMessage()) {
    ++delivered;
    return true;
  }
  if (RunReadySockets(delivered)) return true;
  if (next_message_ < messages_.size()) {
    RunMessage(std::move(messages_[next_message_++]));
    ++delivered;
    return true;
  }
  if (TimerNode* node = expired_.PopFront(); node != nullptr) {
    if (node->owner() == TimerNode::Owner::kOperation) {
      ExpireOperation(static_cast<OperationRecord&>(*node));
    } else if (FireTimer(*node)) {
      ++delivered;
    }
    return true;
  }
  return false;
}

void LoopCore::RunMessage(Message message) {
  Count(counters_.messages);
  Release();
  std::move(message)();
  // The captures go before anything else runs, and outside the lock.
  message = nullptr;
  Acquire();
}

absl::Status LoopCore::OnTermination(absl::AnyInvocable<void()> handler) {
  if (absl::Status status = CheckNotStopped("watch for termination");
      !status.ok()) {
    return status;
  }
  if (watches_termination_.exchange(true)) {
    return absl::AlreadyExistsError(
        "watch for termination: the event loop does so already");
  }
  auto watch = platform::TerminationWatch::Create(
      [backend = backend_.get()] { backend->Wake(); });
  if (!watch.ok()) {
    watches_termination_.store(false);
    return watch.status();
  }
  auto install = [this, watch = *std::move(watch),
                  handler = std::move(handler)]() mutable {
    termination_ = std::move(watch);
    termination_handler_ = std::move(handler);
    // A signal that came before this found nobody to tell.
    backend_->Wake();
  };
  Access access(*this);
  if (access) {
    install();
  } else {
    Enqueue(std::move(install));
  }
  return absl::OkStatus();
}

// --- the end

void LoopCore::Stop() {
  stopped_.store(true, std::memory_order_seq_cst);
  has_commands_or_stopped_.store(true, std::memory_order_seq_cst);
  if (rules_.several_threads) {
    absl::MutexLock lock(&mu_);
    work_or_lead_.SignalAll();
  }
  WakeIfWaiting();
}

void LoopCore::Shutdown() {
  Stop();
  if (FrameOfThisThread() != nullptr) {
    shutdown_on_exit_.store(true);
    return;
  }
  {
    absl::MutexLock lock(&run_mu_);
    run_mu_.Await(absl::Condition(
        +[](int* runners) { return *runners == 0; }, &runners_));
  }
  DoShutdown();
}

void LoopCore::DoShutdown() {
  std::vector<Message> unread;
  std::vector<Command> spent;
  {
    RunScope scope(*this);
    if (ended_) return;
    {
      absl::MutexLock lock(&inbox_mu_);
      inbox_closed_ = true;
      unread.swap(inbox_);
    }
    // The last that other threads asked for: nothing can come after it.
    ApplyCommands(spent);
    termination_.reset();
    // With one thread, the one that ran the loop has done so, if it stopped it.
    if (rules_.several_threads || capabilities_.usable_by_any_thread ||
        owner_.load() == std::this_thread::get_id()) {
      EndSubmissions();
    }
    for (const auto& record : records_) BeginRemoval(*record);
    // A handler may remove, close and cancel, but it cannot register or start
    // anything: the loop is stopped.
    for (;;) {
      if (endpoints_ != nullptr) {
        ShutDownEndpoint(CountedRef(*endpoints_));
        continue;
      }
      WatchedSocket* socket = ready_.Pop();
      if (socket == nullptr) break;
      auto& record = static_cast<LoopRecord&>(*socket);
      if (record.use == LoopRecord::Use::kRegistration) {
        Dispatch(static_cast<RegistrationRecord&>(record));
      }
    }
    while (later_.Pop() != nullptr) {
    }
    if (wheel_ != nullptr) {
      wheel_->Advance(TimerWheel::kNoDeadline, &expired_);
    }
    while (TimerNode* node = expired_.PopFront()) {
      if (node->owner() == TimerNode::Owner::kOperation) {
        ExpireOperation(static_cast<OperationRecord&>(*node));
        continue;
      }
      auto& timer = static_cast<TimerRecord&>(*node);
      // The Timer may live on; what its handler holds may not (C04).
      TimerHandler handler = std::exchange(timer.handler, nullptr);
      std::shared_ptr<TimerRecord> last = std::move(timer.self);
      Release();
      handler = nullptr;
      last.reset();
      Acquire();
    }
    std::move(messages_.begin(), messages_.end(), std::back_inserter(unread));
    messages_.clear();
    (void)backend_->Submit();
    ended_ = true;
  }
  // Destroyed where no lock is held: the captures are the application's.
  unread.clear();
  spent.clear();
  termination_handler_ = nullptr;
  // What the kernel still has of the records goes with its descriptor.
  {
    absl::MutexLock lock(&wake_mu_);
    backend_.reset();
  }
  for (const auto& record : graveyard_) record->socket->Forget(*record);
  graveyard_.clear();
  ended_endpoints_.clear();
}

LoopCounters LoopCore::counters() const {
  const auto get = [](const std::atomic<std::uint64_t>& counter) {
    return counter.load(std::memory_order_relaxed);
  };
  return LoopCounters{
      .turns = get(counters_.turns),
      .system_calls = get(counters_.system_calls) + get(counters_.checks),
      .events = get(counters_.events),
      .completions = get(counters_.completions),
      .stale_reports = get(counters_.stale),
      .messages = get(counters_.messages),
      .timers = get(counters_.timers),
      .wake_ups = get(counters_.wake_ups),
      .buffers_lent = get(counters_.buffers_lent),
      .registrations = get(counters_.registrations)};
}

}  // namespace weir::internal
