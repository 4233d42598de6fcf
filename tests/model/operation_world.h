// Carries a script out on one backend, with the contract watching.

#ifndef WEIR_TESTS_MODEL_OPERATION_WORLD_H_
#define WEIR_TESTS_MODEL_OPERATION_WORLD_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/mutex.h"
#include "tests/model/datagram_model.h"
#include "tests/model/operation_model.h"
#include "tests/model/operation_script.h"
#include "tests/model/operation_subjects.h"
#include "weir/event_loop.h"

namespace weir::operation_model {

struct Variant {
  std::string backend;
  // Of the loop.
  int threads = 1;
  // They run the loop, and the script's thread does not; else it does, alone.
  bool threaded = false;
};

struct Run {
  // "" if everything was as the contract says.
  std::string failure;
  // What was done and indicated, one a line, in its order.
  std::string log;
};

class World {
 public:
  // `patience`: how long something that has to come is waited for.
  World(const Script& script, const Variant& variant, absl::Duration patience);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Run Play();

 private:
  friend struct Token;
  class Calling;
  class Inside;
  class Running;
  using Mutex = internal::Mutex;
  using SubjectPtr = std::shared_ptr<Subject>;

  // What a thread is about, and what it has logged.
  struct Lane {
    struct Line {
      std::int64_t time;
      std::string text;
    };
    World* world = nullptr;
    int calls = 0;
    int handlers = 0;
    bool runs = false;
    // The endpoint of the handler that it is in.
    const Subject* inside = nullptr;
    std::vector<Line> lines;
  };
  static thread_local Lane* lane_;

  // --- what is seen: operation_world.cc
  void Fail(std::string_view what);
  // Of `subject`; nothing if `wrong` is empty.
  void Check(const Subject& subject, const std::string& wrong);
  void Expect(bool holds, std::string_view what);
  void Log(std::string text);
  bool failed() const { return failed_.load(); }
  std::string MergedLog();

  // --- the script
  void Do(const Step& step);
  void DoToEnd(const Step& step);
  void DoToAny(const SubjectPtr& subject, const Step& step);
  void React(const std::vector<Step>& steps);
  void Turn(const Step& step);
  void Idle();
  void StopLoop();
  void EndLoop();
  void EndWithLoop(Subject& subject);
  // Takes the loop's handle away, so that nobody uses it any more.
  std::unique_ptr<EventLoop> TakeLoop();
  // Lets everything take its course until `done`; a failure if it does not come
  // to that.
  void PumpUntil(const std::function<bool()>& done, const char* what);
  void PumpOnce();
  void MeetEveryThread();

  // --- the end: operation_world_end.cc
  void Finish();
  void SettleEverything();
  bool Settle(const SubjectPtr& subject);
  void Settle(RawEnd& raw);
  void Feed(const SubjectPtr& subject);
  void CancelEverything();
  void CloseEverything();
  void CheckPeers();
  void CheckSubjects();
  std::vector<SubjectPtr> Subjects();
  std::vector<std::shared_ptr<RawEnd>> RawEnds();

  // --- handlers: operation_world_calls.cc
  // Makes the call that starts `started`, in its direction's order.
  template <typename Call>
  bool Start(Subject& subject, const std::shared_ptr<Started>& started,
             const Step& step, Call call);
  template <typename Call>
  void BeginReceiver(const SubjectPtr& subject,
                     const std::shared_ptr<Receiver>& receiver, Call call);
  // With the subject's mutex: that was the receiver's last call.
  void NoteLast(Subject& subject, Receiver& receiver);
  std::shared_ptr<Receiver> NewReceiver(const Step& step);
  std::shared_ptr<Started> NewStarted(Verb verb, const Step& step);
  std::unique_ptr<Token> NewToken(SubjectPtr subject,
                                  std::shared_ptr<HandlerRecord> record);
  CompletionHandler HandlerOf(const SubjectPtr& subject,
                              const std::shared_ptr<Started>& started);
  CloseHandler CloseHandlerOf(const SubjectPtr& subject,
                              const std::shared_ptr<HandlerRecord>& record);
  // `also`: what is seen to besides, before the handler goes on.
  void OnIndicated(Subject& subject, Started& started,
                   const absl::Status& status, std::size_t bytes,
                   const std::function<void()>& also);
  void OnClosed(Subject& subject, HandlerRecord& record);
  void ReactOnce(HandlerRecord& record);
  // What is told by its handle alone.
  void ReapSilent(Subject& subject);
  // With the subject's mutex.
  void ReapAll(Subject& subject);
  void Reap(Subject& subject, Started& started);
  void Retire(Started& started, bool moved);
  // What the call that gave `record` away has to have made of it.
  void CheckGivenAway(Subject& subject, const HandlerRecord& record,
                      bool started, bool may_be_over);

  // --- acts on every kind of object
  void Pause(const SubjectPtr& subject, bool pause);
  void CancelOne(const SubjectPtr& subject, const Step& step);
  void CancelAll(const SubjectPtr& subject);
  void Close(const SubjectPtr& subject, const Step& step);
  void Destroy(Subject& subject);
  void Move(Subject& subject);
  void Misuse(const SubjectPtr& subject, const Step& step);
  void AskHandles(const SubjectPtr& subject);

  // --- connections: operation_world_streams.cc
  // Where the bytes of a new connection begin.
  std::uint64_t NextBase();
  void OpenPair(const Step& step);
  void Connect(const Step& step);
  void AcceptPlainly();
  void Clear(int slot);
  // `fill` completes it before others see it.
  SubjectPtr NewSubject(Contract::Kind kind,
                        std::shared_ptr<Connection> connection, int side,
                        Contract::Link link,
                        const std::function<void(Subject&)>& fill);
  SubjectPtr NewStream(Stream stream, std::shared_ptr<Connection> connection,
                       int side, Contract::Link link);
  void Put(int slot, SubjectPtr subject, std::shared_ptr<RawEnd> raw);
  void DoToStream(const SubjectPtr& subject, const Step& step);
  bool Receive(const SubjectPtr& subject, const Step& step);
  void Send(const SubjectPtr& subject, const Step& step);
  void SendCopy(Subject& subject, const Step& step);
  void SendFile(const SubjectPtr& subject, const Step& step);
  bool StartSimple(const SubjectPtr& subject, const Step& step, Verb verb);
  void StartReceive(const SubjectPtr& subject, const Step& step);
  void OnReceived(Subject& subject, Receiver& receiver,
                  const weir::Received& received);
  void Shutdown(Subject& subject, const Step& step);
  void Detach(const SubjectPtr& subject, const Step& step);
  void Attach(const std::shared_ptr<RawEnd>& raw, const Step& step);

  // --- plain sockets: operation_world_peers.cc
  std::shared_ptr<RawEnd> NewRawEnd(Socket socket,
                                    std::shared_ptr<Connection> connection,
                                    int side, bool ready = true);
  void DoToRaw(const std::shared_ptr<RawEnd>& raw, const Step& step);
  void RawSend(RawEnd& raw, std::size_t size);
  // False: nothing more is to be had at present.
  bool RawReceive(RawEnd& raw, std::size_t most);
  void RawShutdown(RawEnd& raw, ShutdownDirection direction);
  void RawClose(RawEnd& raw, bool abortive);

  // --- listeners: operation_world_listeners.cc
  void DoToListener(const SubjectPtr& subject, const Step& step);
  void Listen(const Step& step);
  void Arrive(Subject& subject, const Step& step);
  void AbandonClients(Subject& subject);
  void Accept(const SubjectPtr& subject, const Step& step);
  void StartAccepting(const SubjectPtr& subject, const Step& step);
  void OnAccepted(Subject& subject, AcceptedStream&& accepted, int which);

  // --- datagrams: operation_world_datagrams.cc
  void DoToDatagram(const SubjectPtr& subject, const Step& step);
  void Bind(const Step& step);
  void NameDatagramSocket(Subject& subject);
  void SetPeer(Subject& subject, const Step& step);
  void ReceiveFrom(const SubjectPtr& subject, const Step& step);
  void SendTo(const SubjectPtr& subject, const Step& step);
  void SendDatagramCopy(Subject& subject, const Step& step);
  void StartReceiveDatagrams(const SubjectPtr& subject, const Step& step);
  void FillDatagram(Started& started);
  // With the subject's mutex, these and the next ones.
  void OnDatagramSent(Subject& subject, Started& started);
  void OnDatagram(Subject& subject, Started& started,
                  const DatagramCompletion& done);
  void CheckDatagram(Subject& subject, const SocketAddress& source,
                     ConstBuffer data, std::size_t room, bool truncated);
  // Of one that is told by its handle alone.
  void SilentDatagram(Subject& subject, Started& started);
  void CheckDatagramError(Subject& subject, const absl::Status& status);
  void OnDatagrams(Subject& subject, Receiver& receiver,
                   const ReceivedDatagrams& received);
  // The socket that `step` sends to; null if none.
  SubjectPtr DestinationOf(const Step& step);

  const Script& script_;
  const Variant variant_;
  const absl::Duration patience_;

  LoopModel loop_model_;
  Mutex loop_mu_;  // shared: using the loop; exclusive: taking it away
  std::unique_ptr<EventLoop> loop_;
  std::vector<std::thread> threads_;

  // Held while the slots of a pair change together.
  Mutex open_mu_;
  std::array<Slot, kSlots> slots_;
  // Connects whose other end has not been accepted.
  struct Expected {
    Socket listener;
    std::shared_ptr<Connection> connection;
    int slot;
    bool abortive;
  };
  std::vector<Expected> expected_;
  // Nobody listens there.
  Socket refused_;

  Mutex registry_mu_;
  std::vector<SubjectPtr> subjects_;
  std::vector<std::shared_ptr<RawEnd>> raw_ends_;
  std::uint64_t next_base_ = 0;

  Mutex datagrams_mu_;
  // Two that send to each other keep each other; they are parted at the end.
  std::vector<std::weak_ptr<Subject>> with_peers_;
  DatagramModel datagrams_;
  // Sends to those that wait for a datagram.
  SubjectPtr feeder_;
  Socket feeder_socket_;

  std::atomic<bool> failed_{false};
  std::atomic<int> handlers_{0};
  std::atomic<int> calls_{0};
  Mutex failure_mu_;
  std::string failure_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

}  // namespace weir::operation_model

#endif  // WEIR_TESTS_MODEL_OPERATION_WORLD_H_
