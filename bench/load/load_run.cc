#include "load/load_run.h"

#include <sys/epoll.h>
#include <unistd.h>

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
        check_(expected, plan.rest ? 0 : kGrpcPrefixSize),
        tally_(expected.size()),
        epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~LoadThread() { close(epoll_); }

  void Connect() {
    const LoadContext context{plan_.request, phase_, check_, tally_};
    const int fd = ConnectTo(plan_.host, plan_.port);
    clients_.push_back(plan_.rest ? MakeRestClient(fd, context)
                                  : MakeGrpcClient(fd, context, plan_.streams));
    WatchSocket(epoll_, fd, clients_.back().get());
  }

  // Returns once drained, out of time, or without a connection.
  void Run() {
    std::vector<char> scratch(256 << 10);
    for (size_t i = clients_.size(); i-- > 0;) {
      if (!clients_[i]->Start()) Lose(clients_[i].get());
    }
    while (!clients_.empty() && !Drained()) {
      std::array<epoll_event, 64> events;
      const int count = epoll_wait(epoll_, events.data(), events.size(), 20);
      for (int i = 0; i < count; ++i) {
        auto* client = static_cast<LoadClient*>(events[i].data.ptr);
        if (!client->OnReady(events[i].events, scratch)) Lose(client);
      }
    }
    for (const auto& client : clients_) TallyUnanswered(*client, "timeout");
  }

  bool lost_all() const { return clients_.empty(); }
  const Tally& tally() const { return tally_; }

 private:
  bool Drained() {
    if (phase_.load(std::memory_order_relaxed) != Phase::kDrain) return false;
    const uint64_t now = NowNs();
    if (drain_deadline_ns_ == 0) drain_deadline_ns_ = now + uint64_t(plan_.drain_s * 1e9);
    if (now >= drain_deadline_ns_) return true;
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
  AnswerCheck check_;
  Tally tally_;
  const int epoll_;
  std::vector<std::unique_ptr<LoadClient>> clients_;
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

void Sleep(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

LoadReport Report(const Reading& begin, const Reading& end, size_t expected_answers,
                  const std::vector<std::unique_ptr<LoadThread>>& threads) {
  LoadReport report{.tally = Tally(expected_answers),
                    .window_s = static_cast<double>(end.at_ns - begin.at_ns) * 1e-9,
                    .client_cpu_ns = end.client_cpu_ns - begin.client_cpu_ns,
                    .ended_early = true};
  for (size_t i = 0; i < begin.cpu_ns.size(); ++i) {
    report.cpu_ns.push_back(end.cpu_ns[i] - begin.cpu_ns[i]);
  }
  for (const auto& thread : threads) {
    report.tally.Merge(thread->tally());
    report.ended_early = report.ended_early && thread->lost_all();
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
  for (const auto& load : loads) threads.emplace_back([&load] { load->Run(); });
  Sleep(plan.warm_up_s);
  const Reading begin(plan);
  phase = Phase::kMeasure;
  Sleep(plan.measure_s);
  const Reading end(plan);
  phase = Phase::kDrain;
  for (std::thread& thread : threads) thread.join();
  return Report(begin, end, expected.size(), loads);
}

}  // namespace fastserve::bench
