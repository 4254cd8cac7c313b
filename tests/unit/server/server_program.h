// SPDX-License-Identifier: Apache-2.0
//
// chatsdk-server as a process, for tests: runs of the program in a directory of their own, what they print, and plain
// requests to them.
//
// Threads: one.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/raw_client.h"
#include "support/scratch_directory.h"

namespace chatsdk::test {

// One run of the program.
class Program {
 public:
  // before: runs in the new process, before it becomes the program.
  Program(const std::vector<std::string>& arguments, const std::string& error_file,
          const std::vector<std::string>& environment = {}, const std::function<void()>& before = {}) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    output_ = ends[0];
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(::open(error_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
      for (const std::string& entry : environment) ::putenv(const_cast<char*>(entry.c_str()));
      if (before) before();
      std::vector<char*> argv{const_cast<char*>(CHATSDK_SERVER_PROGRAM)};
      for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
      argv.push_back(nullptr);
      ::execv(CHATSDK_SERVER_PROGRAM, argv.data());
      ::_exit(127);
    }
    ::close(ends[1]);
  }
  ~Program() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(output_);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Up to a line end; empty when the program ends or takes more than 60 s.
  std::string read_line() {
    std::string line;
    char c = 0;
    pollfd entry{output_, POLLIN, 0};
    while (::poll(&entry, 1, 60'000) > 0 && ::read(output_, &c, 1) == 1) {
      if (c == '\n') return line;
      line += c;
    }
    return line;
  }
  // All that it prints until it ends; nothing may have been read before.
  std::string read_all() {
    std::string text;
    char c = 0;
    pollfd entry{output_, POLLIN, 0};
    while (::poll(&entry, 1, 60'000) > 0 && ::read(output_, &c, 1) == 1) text += c;
    return text;
  }
  // The port that the start line names.
  std::uint16_t read_port() {
    const std::string line = read_line();
    const std::size_t host = line.find("://127.0.0.1:");
    return host == std::string::npos ? std::uint16_t{0} : static_cast<std::uint16_t>(std::stoi(line.substr(host + 13)));
  }
  pid_t id() const { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }
  // The exit code, -1 when it was killed.
  int wait() {
    int status = 0;
    // The pipe ends with the program.
    while (!read_line().empty()) {
    }
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

class ServerProgram : public ::testing::Test {
 protected:
  ServerProgram() : directory_(make_scratch_directory("program")) {}
  ~ServerProgram() override { std::filesystem::remove_all(directory_); }

  std::vector<std::string> arguments(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"--data-dir", directory_, "--port", "0"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::string error_file() const { return directory_ + "/stderr"; }
  std::string errors() const {
    std::ifstream file(error_file());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ + "/" + name) << text;
    return directory_ + "/" + name;
  }

  // more_headers: whole lines.
  static RawClient::Response get(std::uint16_t port, const std::string& path, const std::string& more_headers = "") {
    return ask(port, "GET", path, more_headers);
  }
  static RawClient::Response ask(std::uint16_t port, const std::string& method, const std::string& path,
                                 const std::string& more_headers = "") {
    RawClient client(port);
    client.send(method + " " + path + " HTTP/1.1\r\nHost: h\r\n" + more_headers + "\r\n");
    return client.read_response();
  }
  static RawClient::Response post(std::uint16_t port, const std::string& path, const std::string& json) {
    RawClient client(port);
    client.send("POST " + path + " HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: " +
                std::to_string(json.size()) + "\r\n\r\n" + json);
    return client.read_response();
  }

  std::string directory_;
};

}  // namespace chatsdk::test
