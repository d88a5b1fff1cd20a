#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lake/pack.h"

// Real ratchet-worker processes and real step folders for tests. Everything waits on a condition, with a deadline.
namespace ratchet::worker::testing {

// A fork server on the other end of a socket. Ended, and waited for, by the destructor.
class WorkerProcess {
 public:
  explicit WorkerProcess(const std::vector<std::string>& flags = {}, const std::string& role = "recipes");
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  pid_t pid() const { return pid_; }
  void Send(const nlohmann::json& packet) const;
  void SendText(const std::string& packet) const;
  nlohmann::json Next() const;                           // the next packet; null after the deadline
  nlohmann::json Await(const std::string& event) const;  // passes over others
  void CloseSocket();

 private:
  pid_t pid_ = -1;
  int socket_ = -1;
};

// Asks the supervisor to end the step, as ratchetd does.
void KillStep(pid_t supervisor, const std::string& folder, const std::string& error_class, const std::string& message);

// True once the process is gone; false after the deadline.
bool AwaitDeath(pid_t pid);

// A data directory with one step in it, under a temporary folder that is removed at the end.
class StepFolder {
 public:
  StepFolder();
  ~StepFolder();
  StepFolder(const StepFolder&) = delete;
  StepFolder& operator=(const StepFolder&) = delete;

  const std::string& root() const { return root_; }  // outside the data directory
  const std::string& data_dir() const { return data_; }
  const std::string& path() const { return step_; }
  nlohmann::json step;  // what step.json will say; filled with sound values

  // A pack below the data directory, readable to the step where `granted`.
  std::string AddPack(const std::string& name, const lake::Schema& schema, const std::vector<lake::Row>& rows,
                      bool granted = true);
  // A file below the data directory, or, with an absolute name, anywhere.
  std::string AddFile(const std::string& name, const std::string& content);
  // A shell script as the step's trainer.
  void TrainBy(const std::string& script);
  void Write() const;

  // A shell script as the step, of kind `command`.
  void RunScript(const std::string& script);

  // Writes step.json, starts the step, waits for its supervisor's end: exit.json.
  nlohmann::json Run(const WorkerProcess& worker);
  nlohmann::json Start(const WorkerProcess& worker);  // the `started` packet
  nlohmann::json AwaitExit() const;                   // of the step started last: exit.json, null where there is none
  nlohmann::json Exit() const;                        // exit.json; null where there is none
  pid_t supervisor() const { return supervisor_; }

  nlohmann::json Result() const;  // result.json; null where there is none
  std::string Read(const std::string& name) const;
  bool Has(const std::string& name) const;
  bool AwaitFile(const std::string& name) const;  // false after the deadline

  // A fifo, work/ready.fifo of the step's folder: what a trainer writes into it is how a test knows that it has come
  // that far.
  void MakeFifo();
  std::string AwaitLine() const;

 private:
  std::string root_, data_, step_;
  int fifo_ = -1;
  pid_t supervisor_ = -1;
};

// Rows of `x` REAL, `label` INTEGER, label = 1 where x > 0.
lake::Schema ToySchema();
std::vector<lake::Row> ToyRows(int count);

}  // namespace ratchet::worker::testing
