// SPDX-License-Identifier: Apache-2.0
//
// The program chatsdk-server as a process: what it prints, what it refuses and how it ends.
//
// Threads: one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "support/raw_client.h"

namespace chatsdk::test {
namespace {

// One run of the program.
class Program {
 public:
  Program(const std::vector<std::string>& arguments, const std::string& error_file,
          const std::vector<std::string>& environment = {}) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return;
    output_ = ends[0];
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(ends[1], STDOUT_FILENO);
      ::dup2(::open(error_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
      for (const std::string& entry : environment) ::putenv(const_cast<char*>(entry.c_str()));
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

  // Up to a line end; empty when the program ends or takes more than 20 s.
  std::string read_line() {
    std::string line;
    char c = 0;
    pollfd entry{output_, POLLIN, 0};
    while (::poll(&entry, 1, 20'000) > 0 && ::read(output_, &c, 1) == 1) {
      if (c == '\n') return line;
      line += c;
    }
    return line;
  }
  // The port that the start line names.
  std::uint16_t read_port() {
    const std::string line = read_line();
    const std::size_t host = line.find("://127.0.0.1:");
    return host == std::string::npos ? std::uint16_t{0} : static_cast<std::uint16_t>(std::stoi(line.substr(host + 13)));
  }
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
  ServerProgram() {
    std::string name = (std::filesystem::temp_directory_path() / "chatsdk-program-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
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

  static RawClient::Response get(std::uint16_t port, const std::string& path) {
    RawClient client(port);
    client.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n");
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

constexpr const char* kAlice =
    R"({"userId":"alice","password":"alices-password","deviceName":"d","installationId":"AAAAAAAAAAAAAAAAAAAAAA=="})";

TEST_F(ServerProgram, SaysWhereItListensServesAndStopsOnSigterm) {
  Program program(arguments(), error_file());

  const std::string line = program.read_line();
  const std::string version_and_url = "chatsdk-server 0.1.0 listening on http://127.0.0.1:";
  ASSERT_TRUE(line.starts_with(version_and_url)) << line << errors();
  const auto port = static_cast<std::uint16_t>(std::stoi(line.substr(version_and_url.size())));
  EXPECT_EQ(line, version_and_url + std::to_string(port) + " and ws://127.0.0.1:" + std::to_string(port) +
                      "/v1/ws, database " + directory_ + "/chatsdk-server.db");
  EXPECT_EQ(get(port, "/healthz").status, 200);
  EXPECT_EQ(get(port, "/readyz").status, 200);

  program.signal(SIGTERM);

  EXPECT_EQ(program.wait(), 0) << errors();
  EXPECT_FALSE(RawClient(port).connected());
}

TEST_F(ServerProgram, KeepsAccountsAndKeysOverARestart) {
  std::string token;
  {
    Program first(arguments(), error_file());
    const RawClient::Response made = post(first.read_port(), "/v1/accounts", kAlice);
    ASSERT_EQ(made.status, 201) << made.body << errors();
    const std::size_t begin = made.body.find("\"accessToken\":\"") + 15;
    token = made.body.substr(begin, made.body.find('"', begin) - begin);
    first.signal(SIGINT);
    EXPECT_EQ(first.wait(), 0);
  }
  Program second(arguments(), error_file());
  RawClient client(second.read_port());

  EXPECT_EQ(client.upgrade("Authorization: Bearer " + token + "\r\n").status, 101);
}

TEST_F(ServerProgram, DrainsConnectionsAndASecondSignalStopsAtOnce) {
  Program program(arguments({"--drain-seconds", "60"}), error_file());
  RawClient silent(program.read_port());
  ASSERT_EQ(silent.upgrade().status, 101);
  const auto begun = std::chrono::steady_clock::now();

  program.signal(SIGTERM);
  // Told to go, the client says nothing.
  EXPECT_NE(silent.read_frame().opcode, -1);
  program.signal(SIGTERM);

  EXPECT_EQ(program.wait(), 0) << errors();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(4));
}

TEST_F(ServerProgram, RefusesBadOptionsByName) {
  const std::string unreadable = directory_ + "/none";
  const std::string no_pem = write("no.pem", "no certificate");
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::vector<std::string> words;
  };
  const std::vector<Case> cases = {
      {{"--nope"}, 2, {"--nope"}},
      {{"stray"}, 2, {"stray"}},
      {{"--port", "x"}, 2, {"--port", "x"}},
      {{"--port", "65536"}, 2, {"--port", "65536"}},
      {{"--address", "localhost"}, 2, {"--address", "localhost"}},
      {{"--threads", "0"}, 2, {"--threads", "0", "1 to 64"}},
      {{"--text-bytes-max", "524289"}, 2, {"--text-bytes-max", "524289", "524288"}},
      {{"--heartbeat-ms", "1"}, 2, {"--heartbeat-ms", "100"}},
      {{"--log-level", "loud"}, 2, {"--log-level", "loud"}},
      {{"--log-format", "xml"}, 2, {"--log-format", "xml"}},
      {{"--allowed-origin", "app.example"}, 2, {"--allowed-origin", "app.example"}},
      {{"--advertise-url", "http://x"}, 2, {"--advertise-url", "http://x"}},
      {{"--tls-cert", no_pem}, 2, {"--tls-key"}},
      {{"--tls-cert", unreadable, "--tls-key", no_pem}, 2, {"--tls-cert", unreadable, "No such file"}},
      {{"--tls-cert", no_pem, "--tls-key", no_pem}, 2, {"--tls-cert", no_pem}},
      {{"--app-issuer", "i"}, 2, {"--app-issuer", "--app-keys"}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-keys", unreadable}, 2, {"--app-keys", unreadable}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-keys", no_pem}, 2, {"--app-keys", no_pem}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-key", "kid"}, 2, {"--app-key", "KID=FILE"}},
      {{"--config", unreadable}, 2, {unreadable}},
      {{"--config", write("bad.ini", "prot=1\n")}, 2, {"--config", "bad.ini", "prot"}},
      {{"--config", write("worse.ini", "threads=0\n")}, 2, {"threads", "0"}},
      {{"--data-dir", unreadable}, 1, {"--data-dir", unreadable, "No such file"}},
      {{"--database", no_pem + "/x.db"}, 1, {"--database", "Not a directory"}},
      {{"--database", no_pem}, 1, {"--database", no_pem}},
      {{"--address", "192.0.2.1"}, 1, {"--address", "192.0.2.1"}},
  };
  for (const Case& c : cases) {
    std::vector<std::string> all{"--data-dir", directory_, "--port", "0"};
    // What a case sets itself stands alone: an option may come once.
    for (const char* option : {"--data-dir", "--port"}) {
      if (std::find(c.arguments.begin(), c.arguments.end(), option) == c.arguments.end()) continue;
      const auto at = std::find(all.begin(), all.end(), option);
      all.erase(at, at + 2);
    }
    all.insert(all.end(), c.arguments.begin(), c.arguments.end());
    Program program(all, error_file());

    EXPECT_EQ(program.wait(), c.exit_code) << c.arguments[0] << ": " << errors();
    for (const std::string& word : c.words) {
      EXPECT_NE(errors().find(word), std::string::npos) << c.arguments[0] << ": " << errors();
    }
    EXPECT_TRUE(errors().find("chatsdk-server: ") != std::string::npos) << errors();
  }
}

TEST_F(ServerProgram, APortOrStoreInUseIsARunTimeError) {
  Program first(arguments(), error_file());
  const std::uint16_t port = first.read_port();
  ASSERT_NE(port, 0) << errors();
  const std::string other = directory_ + "/other";
  std::filesystem::create_directory(other);

  Program same_port({"--data-dir", other, "--port", std::to_string(port)}, error_file());
  EXPECT_EQ(same_port.wait(), 1);
  EXPECT_NE(errors().find("127.0.0.1:" + std::to_string(port)), std::string::npos) << errors();
  EXPECT_NE(errors().find("--port"), std::string::npos) << errors();
  Program same_store(arguments(), error_file());
  EXPECT_EQ(same_store.wait(), 1);
  EXPECT_NE(errors().find("chatsdk-server.db"), std::string::npos) << errors();

  EXPECT_EQ(get(port, "/healthz").status, 200);
}

TEST_F(ServerProgram, TheCommandLineOutranksTheEnvironmentAndThatTheFile) {
  const std::string config = write("server.ini", "log-format=json\nlog-level=info\nthreads=2\nport=0\n");
  Program program({"--data-dir", directory_, "--config", config, "--log-level", "info"}, error_file(),
                  {"CHATSDK_LOG_LEVEL=error", "CHATSDK_LOG_FORMAT=json", "CHATSDK_ADDRESS=127.0.0.1"});
  ASSERT_NE(program.read_port(), 0) << errors();

  program.signal(SIGTERM);

  EXPECT_EQ(program.wait(), 0);
  EXPECT_NE(errors().find("\"level\":\"info\",\"area\":\"server\",\"message\":\"stopped\"}"), std::string::npos)
      << errors();
}

TEST_F(ServerProgram, PrintsHelpAndVersion) {
  Program version({"--version"}, error_file());
  EXPECT_EQ(version.read_line(), "chatsdk-server 0.1.0");
  EXPECT_EQ(version.wait(), 0);
  Program help({"--help"}, error_file());
  EXPECT_FALSE(help.read_line().empty());
}

}  // namespace
}  // namespace chatsdk::test
