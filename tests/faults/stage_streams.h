// Connections through operations: echoes, their clients, and a sender of files.

#ifndef WEIR_TESTS_FAULTS_STAGE_STREAMS_H_
#define WEIR_TESTS_FAULTS_STAGE_STREAMS_H_

#include <functional>
#include <memory>
#include <string>

#include "tests/faults/stage.h"
#include "weir/file.h"
#include "weir/listener.h"

namespace weir::faults {

// Accepts connections; each becomes what `serve` makes of it.
class ListenerPart final : public Part {
 public:
  enum class How { kGoingOn, kPosted };
  using Serve = std::function<void(Stream)>;

  ListenerPart(Stage& stage, How how, Serve serve);
  void Close() override;
  // Unspecified if it does not listen.
  SocketAddress address() const { return address_; }

 private:
  void Begin(How how);
  AcceptHandler Handler(std::shared_ptr<Promise> promise, bool goes_on);

  Stage& stage_;
  const Serve serve_;
  const std::shared_ptr<Owner> owner_ = std::make_shared<Owner>();
  Listener listener_;
  SocketAddress address_;
  bool closing_ = false;
};

// Receives, sends back, and so on; at the end of the stream it disconnects.
class CompletionEcho final : public StreamPart {
 public:
  CompletionEcho(Stage& stage, Stream stream);

 private:
  void Next();
  std::string buffer_ = std::string(4096, '\0');
};

// The same with runtime-supplied buffers and copies, pausing once.
class StreamEcho final : public StreamPart {
 public:
  StreamEcho(Stage& stage, Stream stream);

 private:
  bool paused_ = false;
};

// Sends a file, and ends the stream.
class FileServer final : public StreamPart {
 public:
  FileServer(Stage& stage, Stream stream, const std::string& path);

 private:
  File file_;
};

// Connects to an echo, sends several pieces, the first of which is copied or
// not and the others the other way, and compares what comes back.
class EchoClient final : public StreamPart {
 public:
  EchoClient(Stage& stage, const SocketAddress& address, unsigned seed,
             bool first_is_copied);

 private:
  void Next();
  const std::string payload_;
  std::string received_;
  std::string buffer_ = std::string(4096, '\0');
};

// The same with copies and runtime-supplied buffers.
class CopyingClient final : public StreamPart {
 public:
  CopyingClient(Stage& stage, const SocketAddress& address, unsigned seed);

 private:
  void Begin();
  const std::string payload_;
  std::string received_;
};

// Connects, and reads to the end of the stream what is to be `expected`.
class Downloader final : public StreamPart {
 public:
  Downloader(Stage& stage, const SocketAddress& address, std::string expected);

 private:
  void Next();
  const std::string expected_;
  std::string received_;
  std::string buffer_ = std::string(16384, '\0');
};

// One end of a pair, with a receive that nothing will complete: left open when
// the loop is destroyed (C04).
class Idler final : public StreamPart {
 public:
  Idler(Stage& stage, Stream stream);
  void Close() override {}

 private:
  std::string buffer_ = std::string(64, '\0');
};

}  // namespace weir::faults

#endif  // WEIR_TESTS_FAULTS_STAGE_STREAMS_H_
