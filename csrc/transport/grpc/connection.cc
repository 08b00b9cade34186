#include "transport/grpc/connection.h"

#include <utility>

#include "transport/grpc/io_thread.h"

namespace fastserve {
namespace {

// Frames are fetched from the session in portions of this size, one system call each.
constexpr size_t kPullBytes = 256 << 10;
// A message's bytes of which so many are still to come are read to where they belong; copying fewer
// costs less than handing over two pieces.
constexpr size_t kPlacedBytes = 16 << 10;
// What is read at a time at first, and as long as its frames are small on average: it is worked
// through before the next connection's turn. Of larger frames as much is read as the thread's
// buffer holds.
constexpr size_t kSmallRead = 4 << 10;
constexpr size_t kSmallFrame = 256;
// With TLS a record must fit.
constexpr size_t kSmallTlsRead = 2 * TlsStream::kMaxRecord;
// One connection's share of a turn of the loop.
constexpr size_t kWrittenPerTurn = 4 << 20;
// Answers go out once in so many turns while more calls are run in each: few writes, and few times
// that the peer is woken.
constexpr int kTurnsPerWrite = 8;
// How long a peer may take to answer the PING that follows GOAWAY, and to close after we have.
constexpr auto kDrainWait = std::chrono::milliseconds(1000);
constexpr auto kLingerWait = std::chrono::milliseconds(1000);
// Reads of what a peer still sends while we wait for that. The rest stays with the kernel, which
// stops a peer that floods us, and costs us nothing.
constexpr int kLingerReads = 16;

}  // namespace

Connection::Connection(IoThread& owner, UniqueFd fd, const TlsContext* tls,
                       std::shared_ptr<const CallOrigin> origin, double jitter)
    : owner_(owner),
      origin_(std::move(origin)),
      socket_(std::move(fd), tls),
      session_(*this, owner.methods(), owner.options().http2, owner.load(), origin_),
      watch_(owner.options().limits, EventLoop::Clock::now(), jitter),
      least_read_(tls == nullptr ? kSmallRead : kSmallTlsRead),
      read_size_(least_read_) {
  origin_->loop->Watch(socket_.fd(), EPOLLIN, this);
  OnOutput();  // our SETTINGS
}

Connection::~Connection() {
  origin_->loop->CancelTimer(timer_);
  origin_->loop->Undefer(this);
  origin_->loop->Unwatch(socket_.fd(), this);
}

size_t Connection::calls_in_flight() const {
  if (lingering_) return 0;
  const bool unsent = !session_.http2().output().empty() || socket_.must_flush();
  return session_.calls_in_flight() + (unsent ? 1 : 0);
}

void Connection::OnReady(uint32_t events) {
  const bool input = (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
  if (lingering_) {
    if (!socket_.Discard(owner_.read_buffer())) return Close();
    if (++linger_reads_ == kLingerReads) origin_->loop->Rewatch(socket_.fd(), 0, this);
  } else if ((input && !Read()) || !Flush()) {
    Close();
  }
}

void Connection::OnTurnEnd() {
  if (lingering_) return;
  if (!watching_output_) session_.RunHeld();
  if (!Flush()) Close();
}

void Connection::OnOutput() { origin_->loop->Defer(this); }

bool Connection::Read() {
  std::span<char> place = failed_ ? std::span<char>() : session_.http2().Room();
  if (place.size() < kPlacedBytes) place = {};
  const std::span<char> room = owner_.read_buffer().first(read_size_);
  const Socket::Received received = socket_.Receive(room, place);
  const uint64_t frames = session_.http2().frames();
  Take({place.data(), received.placed});
  Take({room.data(), received.bytes});
  const size_t bytes = received.placed + received.bytes;
  if ((session_.http2().frames() - frames) * kSmallFrame > bytes) {
    read_size_ = least_read_;
  } else if (bytes >= read_size_) {
    read_size_ = owner_.read_buffer().size();
  }
  if (received.state == Socket::State::kFailed) failed_ = true;
  return received.state != Socket::State::kEnded;
}

void Connection::Take(ByteView bytes) {
  received_ += bytes.size();
  if (!bytes.empty() && !failed_) failed_ = !session_.Receive(bytes).ok();
}

bool Connection::Flush() {
  if (!failed_ && !watching_output_ && session_.may_run_held() &&
      ++turns_unwritten_ < kTurnsPerWrite) {
    OnOutput();
    return true;
  }
  turns_unwritten_ = 0;
  if (!Write()) return false;
  session_.PublishLoad();
  if (watching_output_) return true;  // not all is written; also of what http2 has not handed out
  if (session_.may_run_held()) OnOutput();
  Http2Session& http2 = session_.http2();
  const bool drained = http2.drained() && session_.calls_in_flight() == 0;
  if (failed_ || drained || http2.finished()) Linger();
  return true;
}

bool Connection::Write() {
  Http2Session& http2 = session_.http2();
  OutputQueue& output = http2.output();
  const uint64_t enough = sent_ + kWrittenPerTurn;
  while (sent_ < enough) {
    if (!http2.Pull(kPullBytes)) return false;
    if (!socket_.wants_to_send(output)) {
      WatchOutput(false);
      return true;
    }
    const size_t before = output.size();
    const Socket::State state = socket_.Send(output);
    sent_ += before - output.size();
    if (state == Socket::State::kEnded) return false;
    if (state == Socket::State::kBlocked) break;
  }
  WatchOutput(true);
  return true;
}

void Connection::WatchOutput(bool on) {
  if (std::exchange(watching_output_, on) == on) return;
  origin_->loop->Rewatch(socket_.fd(), on ? EPOLLIN | EPOLLOUT : EPOLLIN, this);
}

void Connection::Linger() {
  lingering_ = true;
  session_.AbandonCalls();
  socket_.FinishSending();
  SetTimer(kLingerWait, &Connection::Close);
}

void Connection::Look(EventLoop::Clock::time_point now) {
  if (lingering_) return;
  Http2Session& http2 = session_.http2();
  const uint64_t moved = received_ + sent_;
  if (std::exchange(moved_, moved) == moved && http2.output().empty()) http2.output().Shrink();
  switch (watch_.Look(now, {.established = socket_.established(),
                            .greeted = http2.greeted(),
                            .calls = session_.calls_in_flight(),
                            .calls_begun = session_.calls_begun(),
                            .received = received_,
                            .sent = sent_,
                            .bodies_taken = session_.bytes_taken(),
                            .bodies_wait = session_.bytes_waiting() > 0,
                            .output_waits = watching_output_})) {
    case ConnectionWatch::Action::kNone:
      return;
    case ConnectionWatch::Action::kPing:
      http2.Ping();
      return OnOutput();
    case ConnectionWatch::Action::kDrain:
      return StartDrain();
    case ConnectionWatch::Action::kClose:
      return Close();
  }
}

void Connection::StartDrain() {
  if (lingering_ || std::exchange(draining_, true)) return;
  session_.http2().StartDrain();
  SetTimer(kDrainWait, &Connection::OnDrainTimer);
  OnOutput();
}

void Connection::OnDrainTimer() {
  session_.http2().FinishDrain();
  OnOutput();
}

void Connection::SetTimer(std::chrono::milliseconds delay, void (Connection::*task)()) {
  origin_->loop->CancelTimer(timer_);
  timer_ =
      origin_->loop->AddTimer(EventLoop::Clock::now() + delay, [this, task] { (this->*task)(); });
}

void Connection::Close() { owner_.Remove(*this); }

}  // namespace fastserve
