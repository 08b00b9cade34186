#include "load/load_run.h"

#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <memory>
#include <thread>

#include "load/flags.h"
#include "load/socket.h"

namespace fastserve::bench {
namespace {

constexpr size_t kGrpcPrefixSize = 5;

// The share of a run that one thread carries.
class LoadThread {
 public:
  LoadThread(const LoadPlan& plan, const ExpectedAnswers& expected, const std::atomic<Phase>& phase)
      : plan_(plan),
        phase_(phase),
        arrivals_(phase),
        check_(expected, plan.rest ? 0 : kGrpcPrefixSize),
        tally_(expected.size()),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~LoadThread() { close(epoll_); }

  void Connect() {
    const LoadContext context{plan_.request, phase_, arrivals_, check_, tally_};
    const int fd = ConnectTo(plan_.host, plan_.port);
    clients_.push_back(plan_.rest ? MakeRestClient(fd, context)
                                  : MakeGrpcClient(fd, context, plan_.streams));
    WatchSocket(epoll_, fd, clients_.back().get());
  }

  // Returns once drained, out of time, or without a connection.
  void Run(const Arrivals& arrivals) {
    arrivals_ = arrivals;
    prctl(PR_SET_TIMERSLACK, 1);  // wake when a request is due, not up to 50 us later
    std::vector<char> scratch(256 << 10);
    std::array<epoll_event, 64> events;
    while (!clients_.empty() && !Drained()) {
      SendDue();
      const timespec timeout = UntilNextDue();
      const int count = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
      for (int i = 0; i < count; ++i) {
        auto* client = static_cast<LoadClient*>(events[i].data.ptr);
        if (!client->OnReady(events[i].events, scratch)) Lose(client);
      }
    }
    for (const auto& client : clients_) TallyUnanswered(*client, "timeout");
    unsent_ = arrivals_.Abandon();
  }

  bool lost_all() const { return clients_.empty(); }
  const Tally& tally() const { return tally_; }
  uint64_t offered() const { return arrivals_.offered(); }
  uint64_t unsent() const { return unsent_; }

 private:
  // Gives the requests that are due to idle calls, connection after connection in turn.
  void SendDue() {
    for (size_t busy = 0; busy < clients_.size();) {
      LoadClient* client = clients_[++turn_ % clients_.size()].get();
      if (!client->idle()) {
        ++busy;
        continue;
      }
      const std::optional<Arrival> arrival = arrivals_.Take();
      if (!arrival) break;
      busy = 0;
      if (!client->Begin(*arrival)) Lose(client);
    }
    for (size_t i = clients_.size(); i-- > 0;) {
      if (!clients_[i]->Flush()) Lose(clients_[i].get());
    }
  }

  // How long the loop may sleep: until a request is due, or the phase should be looked at again.
  timespec UntilNextDue() const {
    constexpr uint64_t kLongest = 20'000'000;
    const uint64_t now = NowNs();
    const uint64_t next = arrivals_.next_ns();
    // What is overdue while all calls are taken waits for one, which comes with an answer.
    uint64_t wait = kLongest;
    if (next > now) {
      wait = std::min(next - now, kLongest);
    } else if (std::any_of(clients_.begin(), clients_.end(),
                           [](const auto& client) { return client->idle(); })) {
      wait = 0;  // it fell due since SendDue()
    }
    return {.tv_sec = 0, .tv_nsec = static_cast<long>(wait)};
  }

  bool Drained() {
    if (phase_.load(std::memory_order_relaxed) != Phase::kDrain) return false;
    const uint64_t now = NowNs();
    if (drain_deadline_ns_ == 0) drain_deadline_ns_ = now + uint64_t(plan_.drain_s * 1e9);
    if (now >= drain_deadline_ns_) return true;
    if (arrivals_.next_ns() != Arrivals::kNever) return false;
    for (const auto& client : clients_) {
      if (client->in_flight() > 0) return false;
    }
    return true;
  }

  void Lose(LoadClient* client) {
    TallyUnanswered(*client, "connection lost");
    std::erase_if(clients_, [&](const auto& owned) { return owned.get() == client; });
  }

  void TallyUnanswered(const LoadClient& client, const std::string& kind) {
    for (size_t i = client.in_flight(); i > 0; --i) tally_.Wrong(kind, "");
  }

  const LoadPlan& plan_;
  const std::atomic<Phase>& phase_;
  Arrivals arrivals_;
  AnswerCheck check_;
  Tally tally_;
  const int epoll_;
  std::vector<std::unique_ptr<LoadClient>> clients_;
  size_t turn_ = 0;
  uint64_t unsent_ = 0;
  uint64_t drain_deadline_ns_ = 0;
};

// The CPU clock of a whole process, threads that have ended included, in ns; finer than the ticks
// of /proc/<pid>/stat.
uint64_t CpuNs(pid_t pid) {
  clockid_t clock;
  timespec used;
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
    Die("no process " + std::to_string(pid) + " to read the CPU time of");
  }
  return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
}

// CPU times and the moment that they were read.
struct Reading {
  explicit Reading(const LoadPlan& plan) : at_ns(NowNs()), client_cpu_ns(CpuNs(getpid())) {
    for (const pid_t pid : plan.cpu_of) cpu_ns.push_back(CpuNs(pid));
  }
  uint64_t at_ns;
  uint64_t client_cpu_ns;
  std::vector<uint64_t> cpu_ns;
};

// CLOCK_MONOTONIC is std::chrono's steady clock.
void SleepUntil(uint64_t ns) {
  std::this_thread::sleep_until(
      std::chrono::steady_clock::time_point(std::chrono::nanoseconds(ns)));
}

// The moments of a run.
struct Times {
  Times(const LoadPlan& plan, uint64_t begin)
      : begin_ns(begin),
        window_ns(begin_ns + static_cast<uint64_t>(plan.warm_up_s * 1e9)),
        end_ns(window_ns + static_cast<uint64_t>(plan.measure_s * 1e9)) {}
  uint64_t begin_ns;
  uint64_t window_ns;  // the measured part is from here
  uint64_t end_ns;     // to here
};

// A thread's share of what the plan sends.
Arrivals ArrivalsOf(const LoadPlan& plan, const std::atomic<Phase>& phase, const Times& times,
                    size_t thread) {
  if (!plan.open) return Arrivals(phase);
  OpenLoop share = *plan.open;
  share.rate /= static_cast<double>(plan.threads);
  share.seed += thread;
  return Arrivals(share, times.begin_ns, times.window_ns, times.end_ns);
}

LoadReport Report(const Reading& begin, const Reading& end, size_t expected_answers,
                  const std::vector<std::unique_ptr<LoadThread>>& threads) {
  LoadReport report{.tally = Tally(expected_answers),
                    .window_s = static_cast<double>(end.at_ns - begin.at_ns) * 1e-9,
                    .client_cpu_ns = end.client_cpu_ns - begin.client_cpu_ns,
                    .ended_early = true,
                    .offered = 0,
                    .unsent = 0};
  for (size_t i = 0; i < begin.cpu_ns.size(); ++i) {
    report.cpu_ns.push_back(end.cpu_ns[i] - begin.cpu_ns[i]);
  }
  for (const auto& thread : threads) {
    report.tally.Merge(thread->tally());
    report.ended_early = report.ended_early && thread->lost_all();
    report.offered += thread->offered();
    report.unsent += thread->unsent();
  }
  return report;
}

}  // namespace

LoadReport RunLoad(const LoadPlan& plan, const ExpectedAnswers& expected) {
  std::atomic<Phase> phase = Phase::kWarmUp;
  std::vector<std::unique_ptr<LoadThread>> loads;
  for (size_t i = 0; i < plan.threads; ++i) {
    loads.push_back(std::make_unique<LoadThread>(plan, expected, phase));
  }
  for (size_t i = 0; i < plan.connections; ++i) loads[i % plan.threads]->Connect();

  std::vector<std::thread> threads;
  const Times times(plan, NowNs());
  for (size_t i = 0; i < plan.threads; ++i) {
    threads.emplace_back([&, i] { loads[i]->Run(ArrivalsOf(plan, phase, times, i)); });
  }
  SleepUntil(times.window_ns);
  const Reading begin(plan);
  phase = Phase::kMeasure;
  SleepUntil(times.end_ns);
  const Reading end(plan);
  phase = Phase::kDrain;
  for (std::thread& thread : threads) thread.join();
  return Report(begin, end, expected.size(), loads);
}

}  // namespace fastserve::bench
