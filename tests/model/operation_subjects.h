// What a world of operations is made of: sockets under test, plain sockets at
// their other ends, and what was started.
//
// Locks, in the order of taking: World::open_mu_; Subject::calls;
// Subject::order; then, last of all, one that guards a model.

#ifndef WEIR_TESTS_MODEL_OPERATION_SUBJECTS_H_
#define WEIR_TESTS_MODEL_OPERATION_SUBJECTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/mutex.h"
#include "tests/model/operation_model.h"
#include "tests/model/operation_script.h"
#include "weir/datagram_socket.h"
#include "weir/listener.h"
#include "weir/operation.h"
#include "weir/socket.h"
#include "weir/stream.h"

namespace weir::operation_model {

class World;
struct Subject;

// One connection, with what its ends have in common.
struct Connection {
  Connection(bool tcp, std::uint64_t from) : model(tcp, from) {}
  internal::Mutex mu;
  ConnectionModel model;
};

// An end that the script drives by itself.
struct RawEnd {
  internal::Mutex mu;
  Socket socket;
  std::shared_ptr<Connection> connection;
  int side = 0;
  // It is connected, or was.
  bool ready = true;
};

// A handler that was given away.
struct HandlerRecord {
  // The steps that are not done yet; all at once, or one for each call.
  std::vector<Step> reactions;
  bool one_each = false;
  std::size_t reacted = 0;
  // With the subject's mutex: how often it was called; destroyed.
  int called = 0;
  bool destroyed = false;
};

// An operation.
struct Started : Entry, HandlerRecord {
  int number = 0;
  Operation handle;
  // With the subject's mutex: the handle may be used; what it was told.
  bool has_handle = false;
  absl::Status status;
  std::size_t bytes = 0;
  // Asked for with on_this_thread.
  std::thread::id thread = {};
  std::vector<std::vector<std::byte>> memory;
  std::vector<MutableBuffer> buffers;
  // What all of the memory has to be from its end on.
  bool retired = false;
  std::byte poison{};
  // Of a send-file: what is asked for.
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  // Of a datagram that is sent: its number in the model.
  int datagram = -1;
  // It is longer than datagrams can be.
  bool too_much = false;
  // The script's choice.
  int which = 0;
};

struct Receiver : ReceiverEntry, HandlerRecord {
  int which = 0;
};

// A socket under test.
struct Subject : std::enable_shared_from_this<Subject> {
  Subject(int its_number, Contract::Kind its_kind, const LoopModel& loop,
          std::shared_ptr<Connection> its_connection, int its_side,
          Contract::Link link)
      : number(its_number),
        kind(its_kind),
        connection(std::move(its_connection)),
        side(its_side),
        contract(kind, loop,
                 connection == nullptr ? nullptr : &connection->model, side,
                 link) {}

  // Guards the contract and the lists.
  internal::Mutex& mu() {
    return connection == nullptr ? own_mu : connection->mu;
  }
  // Receives at 0, sends at 1: held by whoever starts one, so that the order of
  // starting is known.
  internal::Mutex& order_of(Verb verb) {
    return order[Receives(verb) ? 0 : 1];
  }

  const int number;
  const Contract::Kind kind;
  // Shared: calling; exclusive: moving and destroying.
  internal::Mutex calls;
  internal::Mutex order[2];
  Stream stream;
  weir::Listener listener;
  DatagramSocket datagrams;
  // Of a listener and a datagram socket.
  SocketAddress address;
  // What the model of datagrams calls it: the number of the first that had its
  // address, whose datagrams may still come.
  int name = 0;

  const std::shared_ptr<Connection> connection;
  const int side;
  internal::Mutex own_mu;
  Contract contract;
  std::vector<std::shared_ptr<Started>> started;
  std::vector<std::shared_ptr<Receiver>> receivers;
  std::vector<std::shared_ptr<HandlerRecord>> closes;
  // The handler that was called last, and should not exist any more.
  std::shared_ptr<HandlerRecord> last;
  // Of a listener: clients that have not been accepted.
  struct Client {
    SocketAddress address;
    std::shared_ptr<RawEnd> end;
  };
  std::vector<Client> clients;
  // Of a datagram socket: whom it sends to; who that may ever have been.
  std::shared_ptr<Subject> peer;
  std::vector<std::shared_ptr<Subject>> peer_maybe;

  // It was not connected from its beginning.
  bool connects = false;
  // In the end.
  bool disconnected = false;
  // How long it has been waited for a connect.
  int patience = 0;
  // A close has begun.
  std::atomic<bool> closing{false};
  // A handler is running.
  std::atomic<bool> inside{false};
};

// What a script's slot holds.
struct Slot {
  internal::Mutex mu;
  std::shared_ptr<Subject> subject;
  std::shared_ptr<RawEnd> raw;
  // Of an end, whoever is there, or is yet to come.
  std::shared_ptr<Connection> connection;
};

// In every handler: sees when it is destroyed.
struct Token {
  Token(World& its_world, std::shared_ptr<Subject> its_subject,
        std::shared_ptr<HandlerRecord> its_record);
  ~Token();
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;

  World& world;
  std::shared_ptr<Subject> subject;
  std::shared_ptr<HandlerRecord> record;
};

}  // namespace weir::operation_model

#endif  // WEIR_TESTS_MODEL_OPERATION_SUBJECTS_H_
