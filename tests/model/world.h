// Carries out a script on real sockets and a real loop, beside the model, and
// stops at the first difference.

#ifndef WEIR_TESTS_MODEL_WORLD_H_
#define WEIR_TESTS_MODEL_WORLD_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/model/readiness_model.h"
#include "tests/model/script.h"
#include "tests/model/socket_model.h"
#include "weir/event_loop.h"

namespace weir::model {

// What one registration was told in one turn.
struct Told {
  // When the turn began, and when the event came.
  Expectation at_first;
  Expectation at_last;
  Events events = Events::kNone;
};

struct Run {
  // "" if the backend did what the contract says.
  std::string failure;
  // The operations that were carried out and what they brought, one a line.
  std::string log;
  // For each turn, for each registration there was.
  std::vector<std::vector<Told>> turns;
};

struct Variant {
  std::string backend;
  int threads = 1;
};

class World {
 public:
  World(const Script& script, const Variant& variant);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Run Play();

 private:
  struct Handler;
  class Calling;

  void Fail(std::string_view what);
  void Expect(bool holds, std::string_view what);
  void Log(std::string_view line);

  bool Do(const Operation& operation);
  bool DoToSocket(const Operation& operation);
  bool DoToRegistration(const Operation& operation);
  void Turn(const Operation& operation);
  // A loop that has nothing to tell waits, and does not spin.
  void Idle();
  void React(const Operation::Reaction& reaction);
  void EndLoop();

  // Operations on sockets.
  void Open(int end, Kind kind);
  void OpenUnconnected(int end);
  void Connect(int end);
  void ConnectRefused(int end);
  void CloseAll(int end);
  void Close(int end, bool keep_duplicate);
  void Send(int end);
  void Fill(int end);
  // False: nothing more is to be had.
  bool Receive(int end, int most);
  void ReceiveAll(int end);
  void ReceiveFlood(int end);
  void ReceiveNatively(int end);
  void Accept(int end, bool all);
  // Waits until the kernel has got where the model is.
  void Settle(int end);

  // Operations on registrations.
  ReadinessHandler NewHandler(int id, int number);
  void Register(int end, const RegistrationOptions& options);
  void RegisterBatch(const Operation& operation);
  void Modify(const Operation& operation);
  void ModifyBatch(const Operation& operation);
  void Remove(int end);
  void UseStale(int end);
  void OnEvent(int id, int number, const Event& event);

  Socket& SocketOf(int end) { return sockets_[static_cast<std::size_t>(end)]; }
  const Registration& Handle(int id) const {
    return handles_[static_cast<std::size_t>(id)];
  }

  const Script& script_;
  SocketModel model_;
  ReadinessModel readiness_{model_};
  Run run_;
  int step_ = 0;
  int handlers_ = 0;
  // Inside a call of the library, where no handler may run.
  bool calling_ = false;
  bool in_turn_ = false;
  int calls_ = 0;
  const Operation* turn_ = nullptr;
  std::vector<bool> reacted_;

  std::vector<Socket> sockets_;
  // Descriptors; -1 for none.
  std::vector<NativeSocket> duplicates_;
  // Of those that are flooded: how many bytes are still to come.
  std::vector<std::size_t> flood_;
  // Of the connections that a listener was sent.
  std::vector<Socket> clients_;
  std::vector<Registration> handles_;
  std::unique_ptr<EventLoop> loop_;
};

}  // namespace weir::model

#endif  // WEIR_TESTS_MODEL_WORLD_H_
