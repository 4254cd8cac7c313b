// SPDX-License-Identifier: Apache-2.0
//
// The program chatsdk-server as a process: what it prints, what it refuses and how it ends.
//
// Threads: one.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/limits.h"
#include "support/test_ca.h"
#include "unit/server/forge.h"
#include "unit/server/server_program.h"

namespace chatsdk::test {
namespace {

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

// Whether others than the owner may do anything with the file.
bool open_to_others(const std::filesystem::path& file) {
  using std::filesystem::perms;
  return (std::filesystem::status(file).permissions() & (perms::group_all | perms::others_all)) != perms::none;
}

TEST_F(ServerProgram, MakesFilesForItsOwnerAlone) {
  Program program(arguments(), error_file(), {}, [] { ::umask(0); });
  program.read_port();

  for (const char* suffix : {"", "-wal", "-shm", ".epoch", "-lock"}) {
    const std::string file = directory_ + "/chatsdk-server.db" + suffix;
    ASSERT_TRUE(std::filesystem::exists(file)) << file;
    EXPECT_FALSE(open_to_others(file)) << file;
  }
}

TEST_F(ServerProgram, TakesARestoredDatabaseFromOtherUsers) {
  const std::string file = directory_ + "/chatsdk-server.db";
  {
    Program first(arguments(), error_file());
    first.read_port();
    first.signal(SIGTERM);
    EXPECT_EQ(first.wait(), 0);
  }
  using std::filesystem::perms;
  std::filesystem::permissions(file, perms::owner_read | perms::owner_write | perms::group_read | perms::others_read);

  Program second(arguments(), error_file());
  second.read_port();

  EXPECT_FALSE(open_to_others(file));
  EXPECT_FALSE(open_to_others(file + "-wal"));
  EXPECT_NE(errors().find("was open to other users"), std::string::npos) << errors();
}

// A database of another program, with what its author's tools wrote last.
void make_database(const std::string& file, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(file.c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(db);
  sqlite3_close(db);
}

std::string content_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST_F(ServerProgram, LeavesWhatIsNotItsOwnAsItWas) {
  struct Case {
    std::string name;
    std::function<void(const std::string&)> make;
    std::string word;
  };
  const auto database = [](const std::string& sql) {
    return [sql](const std::string& file) { make_database(file, sql); };
  };
  const auto text = [](const std::string& content) {
    return [content](const std::string& file) { std::ofstream(file) << content; };
  };
  const std::vector<Case> cases = {
      {"notes.txt", text("no database at all, and longer than a header"), "no SQLite database"},
      {"one-byte", text("S"), "no SQLite database"},
      {"cut.db", text("SQLite format"), "no SQLite database"},
      {"theirs.db", database("CREATE TABLE theirs(x)"), "another program"},
      {"versioned.db", database("CREATE TABLE theirs(x); PRAGMA user_version = 1"), "another program"},
      {"newer.db", database("CREATE TABLE theirs(x); PRAGMA user_version = 77"), "another program"},
      {"logged.db", database("PRAGMA journal_mode = WAL; CREATE TABLE theirs(x)"), "another program"},
      {"odd name?#%41.db", database("CREATE TABLE theirs(x)"), "another program"},
      {"pipe", [](const std::string& file) { ASSERT_EQ(::mkfifo(file.c_str(), 0644), 0); }, "is a pipe"},
      {"folder", [](const std::string& file) { std::filesystem::create_directory(file); }, "is a directory"},
  };
  for (const Case& c : cases) {
    const std::string folder = directory_ + "/of-" + c.name;
    std::filesystem::create_directory(folder);
    const std::string file = folder + "/" + c.name;
    c.make(file);
    ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
    const bool is_file = std::filesystem::is_regular_file(file);
    const std::string before = is_file ? content_of(file) : "";

    Program program({"--database", file, "--port", "0"}, error_file());

    EXPECT_EQ(program.wait(), 1) << c.name;
    for (const std::string& word : {std::string("--database"), file, c.word}) {
      EXPECT_NE(errors().find(word), std::string::npos) << c.name << ": " << errors();
    }
    struct stat found = {};
    ASSERT_EQ(::stat(file.c_str(), &found), 0);
    EXPECT_EQ(found.st_mode & 07777U, 0644U) << c.name;
    EXPECT_EQ(is_file ? content_of(file) : "", before) << c.name;
    const auto entries = std::filesystem::directory_iterator(folder);
    EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << c.name << ": something was made beside it";
  }
}

TEST_F(ServerProgram, TellsOfAVariableThatNamesNothing) {
  Program program(arguments(), error_file(), {"CHATSDK_LOG_LEVLE=debug", "CHATSDK_SERVER=http://localhost:1"});
  ASSERT_NE(program.read_port(), 0) << errors();

  EXPECT_NE(errors().find("CHATSDK_LOG_LEVLE, which names no option"), std::string::npos) << errors();
  EXPECT_EQ(errors().find("CHATSDK_SERVER"), std::string::npos) << errors();
}

TEST_F(ServerProgram, TellsOfAReadyLineThatNobodyGot) {
  // Its log comes where its standard output came.
  Program program(arguments(), error_file(), {}, [] {
    ::dup2(STDOUT_FILENO, STDERR_FILENO);
    ::dup2(::open("/dev/full", O_WRONLY), STDOUT_FILENO);
  });

  std::string line = program.read_line();
  while (!line.empty() && line.find("ready line") == line.npos) line = program.read_line();
  EXPECT_NE(line.find("standard output took no ready line: No space left"), std::string::npos) << line;

  program.signal(SIGTERM);
  EXPECT_EQ(program.wait(), 0);
}

TEST_F(ServerProgram, NamesTheWayOutOfADamagedDatabase) {
  const std::string file = directory_ + "/chatsdk-server.db";
  {
    Program first(arguments(), error_file());
    ASSERT_NE(first.read_port(), 0) << errors();
    first.signal(SIGTERM);
    EXPECT_EQ(first.wait(), 0);
  }
  // The header stays, so that it is still known for the server's.
  std::string content = content_of(file);
  ASSERT_GT(content.size(), 4096U);
  std::fill(content.begin() + 100, content.begin() + 4096, '\x5a');
  std::ofstream(file, std::ios::binary) << content;

  Program second(arguments(), error_file());

  EXPECT_EQ(second.wait(), 1);
  EXPECT_NE(errors().find(file), std::string::npos) << errors();
  EXPECT_NE(errors().find("put a backup in its place"), std::string::npos) << errors();
  EXPECT_EQ(content_of(file), content);
}

TEST_F(ServerProgram, RefusesAPipeBesideTheDatabase) {
  const std::string pipe = directory_ + "/chatsdk-server.db.epoch";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0644), 0);

  Program program(arguments(), error_file());

  EXPECT_EQ(program.wait(), 1);
  EXPECT_NE(errors().find("\"" + pipe + "\" is a pipe"), std::string::npos) << errors();
  EXPECT_TRUE(open_to_others(pipe));
}

TEST_F(ServerProgram, TakesAnEmptyFileAndOneThatWasKilled) {
  const std::string file = directory_ + "/chatsdk-server.db";
  std::ofstream(file).close();
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  {
    Program first(arguments(), error_file());
    ASSERT_NE(first.read_port(), 0) << errors();
    EXPECT_FALSE(open_to_others(file));
    first.signal(SIGKILL);
    EXPECT_EQ(first.wait(), -1);
  }
  ASSERT_EQ(::chmod(file.c_str(), 0644), 0);
  Program second(arguments(), error_file());
  ASSERT_NE(second.read_port(), 0) << errors();

  EXPECT_FALSE(open_to_others(file));
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
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(30)) << "the drain went on";
}

TEST_F(ServerProgram, NeedsDescriptors) {
  const auto allow = [](rlim_t count) {
    return [count] {
      const rlimit limit{count, count};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    };
  };
  Program few(arguments(), error_file(), {}, allow(limits::kDescriptorsMin - 1));
  EXPECT_EQ(few.wait(), 1);
  EXPECT_EQ(errors(), "chatsdk-server: the system allows 63 open files, at least 64 are needed\n");

  Program enough(arguments(), error_file(), {}, allow(limits::kDescriptorsMin));
  RawClient client(enough.read_port());
  EXPECT_EQ(client.upgrade().status, 101);
}

// The options that --help names, but for those that only print.
std::vector<std::string> options_of(Program& help) {
  std::vector<std::string> names;
  const std::string text = help.read_all();
  for (std::size_t at = text.find("\n  "); at != text.npos; at = text.find("\n  ", at + 1)) {
    const std::size_t begin = text.find("--", at);
    const std::size_t end = text.find_first_of(" ,\n", begin);
    // A name stands at the begin of its line, after a short one at most.
    if (begin == text.npos || begin > at + 6) continue;
    const std::string name = text.substr(begin, end - begin);
    if (name != "--help" && name != "--version") names.push_back(name);
  }
  return names;
}

TEST_F(ServerProgram, WarnsOfADatabaseThatIsGoneOrWasPutBack) {
  const std::string database = directory_ + "/chatsdk-server.db";
  const auto starts = [&] {
    Program program(arguments(), error_file());
    ASSERT_TRUE(program.read_line().starts_with("chatsdk-server ")) << errors();
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);
  };
  const auto lines_with = [&](const std::string& words) {
    const std::string text = errors();
    int count = 0;
    for (std::size_t at = text.find(words); at != text.npos; at = text.find(words, at + 1)) ++count;
    return count;
  };
  const std::string gone = "is of a database that is gone";
  const std::string went_back = "went back to an older state";

  starts();
  EXPECT_EQ(lines_with(gone) + lines_with(went_back), 0) << errors();
  std::filesystem::copy_file(database, directory_ + "/copy");
  starts();
  EXPECT_EQ(lines_with(gone) + lines_with(went_back), 0) << errors();

  // Another database's epoch file and an older copy look the same: the file does not vouch for what is there.
  std::filesystem::remove(database + ".epoch");
  starts();
  EXPECT_EQ(lines_with(went_back), 1) << errors();
  EXPECT_EQ(lines_with(gone), 0) << errors();
  std::filesystem::copy_file(directory_ + "/copy", database, std::filesystem::copy_options::overwrite_existing);
  starts();
  EXPECT_EQ(lines_with(went_back), 1) << errors();
  starts();
  EXPECT_EQ(lines_with(went_back), 0) << errors();

  std::filesystem::remove(database);
  starts();
  EXPECT_EQ(lines_with(gone), 1) << errors();
  EXPECT_EQ(lines_with(went_back), 0) << errors();
  starts();
  EXPECT_EQ(lines_with(gone), 0) << errors();
}

TEST_F(ServerProgram, SaysNothingOfAFirstStartThatWasKilled) {
  const auto start = [&] {
    Program program(arguments(), error_file());
    ASSERT_TRUE(program.read_line().starts_with("chatsdk-server ")) << errors();
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);
  };
  start();
  std::filesystem::resize_file(directory_ + "/chatsdk-server.db.epoch", 0);

  start();

  EXPECT_EQ(errors().find("went back"), std::string::npos) << errors();
}

TEST_F(ServerProgram, WarnsOfACertificateOutOfItsTime) {
  constexpr long kDay = 86'400;
  const TestCa root;
  const CertificateRequest old_issuer{.common_name = "old issuer", .valid_from_s = -3 * kDay, .valid_to_s = -kDay};
  const TestCa issuer(root, old_issuer);
  struct Case {
    Identity identity;
    std::string warning;
  };
  const Case cases[] = {
      {TestCa::self_signed({.valid_to_s = 15 * kDay}), ""},
      {TestCa::self_signed({.valid_to_s = 13 * kDay + kDay / 2}), "expires in less than 14 days"},
      {TestCa::self_signed({.valid_to_s = 3'600}), "expires in less than 1 day\n"},
      {TestCa::self_signed({.valid_from_s = -2 * kDay, .valid_to_s = -kDay}), "has expired"},
      {TestCa::self_signed({.valid_from_s = kDay, .valid_to_s = 30 * kDay}), "is not valid yet"},
      {issuer.issue({.valid_to_s = 30 * kDay}), "has expired"},
  };
  for (const Case& c : cases) {
    const std::string certificate = write("cert.pem", c.identity.certificate_pem + c.identity.chain_pem);
    const std::string key = write("key.pem", c.identity.key_pem);
    Program program(arguments({"--tls-cert", certificate, "--tls-key", key}), error_file());
    ASSERT_TRUE(program.read_line().starts_with("chatsdk-server ")) << errors();
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);

    const std::string words = "a certificate in TLS file \"" + certificate + "\" " + c.warning;
    EXPECT_EQ(errors().find("a certificate in TLS file") == std::string::npos, c.warning.empty()) << errors();
    EXPECT_EQ(errors().find(words) == std::string::npos, c.warning.empty()) << errors();
  }
}

// The key under a pass phrase: as PKCS #8, or as OpenSSL wrote keys before that.
std::string encrypted_key(const std::string& pem, bool pkcs8) {
  using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free_all);
  const Bio out(BIO_new(BIO_s_mem()), &BIO_free_all);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
  unsigned char phrase[] = "a pass phrase";
  const auto write = pkcs8 ? &PEM_write_bio_PrivateKey : &PEM_write_bio_PrivateKey_traditional;
  EXPECT_EQ(write(out.get(), key.get(), EVP_aes_256_cbc(), phrase, sizeof phrase - 1, nullptr, nullptr), 1);
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(bytes)};
}

TEST_F(ServerProgram, WarnsWhereClientsWouldBeSentInVain) {
  const Identity identity = TestCa::self_signed({});
  const std::string certificate = write("cert.pem", identity.certificate_pem);
  const std::string key = write("key.pem", identity.key_pem);
  struct Case {
    std::vector<std::string> arguments;
    std::string warning;
  };
  const std::string sent = "without an advertised URL: clients are sent to ";
  const Case cases[] = {
      {{}, ""},
      {{"--address", "0.0.0.0"}, "listening on every address " + sent + "ws://0.0.0.0:"},
      {{"--address", "0.0.0.0", "--advertise-url", "ws://chat.example/v1/ws"}, ""},
      {{"--address", "0.0.0.0", "--advertise-url", "ws://[fd00::7]:65535"}, ""},
      {{"--tls-cert", certificate, "--tls-key", key}, "TLS " + sent + "wss://127.0.0.1:"},
      {{"--tls-cert", certificate, "--tls-key", key, "--advertise-url", "wss://chat.example/v1/ws"}, ""},
  };
  for (const Case& c : cases) {
    Program program(arguments(c.arguments), error_file());
    ASSERT_TRUE(program.read_line().starts_with("chatsdk-server ")) << errors();

    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);

    EXPECT_EQ(errors().find("without an advertised URL") == std::string::npos, c.warning.empty()) << errors();
    EXPECT_NE(errors().find(c.warning), std::string::npos) << errors();
  }
}

TEST_F(ServerProgram, RefusesBadOptionsByName) {
  const std::string unreadable = directory_ + "/none";
  const std::string no_pem = write("no.pem", "no certificate");
  const Identity identity = TestCa::self_signed({});
  const std::string certificate = write("cert.pem", identity.certificate_pem);
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::vector<std::string> words;
  };
  const std::vector<Case> cases = {
      {{"--nope"}, 2, {"--nope"}},
      {{"stray"}, 2, {"stray"}},
      {{"--port", "x"}, 2, {"--port", "x", "0 to 65535"}},
      {{"--port", "65536"}, 2, {"--port", "65536", "0 to 65535"}},
      {{"--port", "70000"}, 2, {"--port", "70000", "0 to 65535"}},
      {{"--port", "-1"}, 2, {"--port", "-1", "0 to 65535"}},
      {{"--port", "0x50"}, 2, {"--port", "\"0x50\" is no number of 0 to 65535 in decimal digits"}},
      {{"--port", "08090"}, 2, {"--port", "\"08090\" is no number of 0 to 65535 in decimal digits"}},
      {{"--port", "+80"}, 2, {"--port", "\"+80\" is no number of 0 to 65535 in decimal digits"}},
      {{"--port", "80.0"}, 2, {"--port", "\"80.0\" is no number of 0 to 65535 in decimal digits"}},
      {{"--heartbeat-ms", "010000"}, 2, {"--heartbeat-ms", "without leading zeros"}},
      {{"--config", write("octal.conf", "drain-seconds=010\n")}, 2, {"drain-seconds", "\"010\"", "decimal digits"}},
      {{"--address", "localhost"}, 2, {"--address", "localhost"}},
      {{"--threads", "0"}, 2, {"--threads", "0", "1 to 64"}},
      {{"--threads", "65"}, 2, {"--threads", "65", "1 to 64"}},
      {{"--connections-max", "0"}, 2, {"--connections-max", "0", "1 to 10000000"}},
      {{"--connections-max", "10000001"}, 2, {"--connections-max", "10000001", "1 to 10000000"}},
      {{"--connections-per-address-max", "0"}, 2, {"--connections-per-address-max", "0", "1 to 10000000"}},
      {{"--connections-per-address-max", "many"}, 2, {"--connections-per-address-max", "many", "1 to 10000000"}},
      {{"--hash-workers", "0"}, 2, {"--hash-workers", "0", "1 to 64"}},
      {{"--hash-workers", "65"}, 2, {"--hash-workers", "65", "1 to 64"}},
      {{"--drain-seconds", "86401"}, 2, {"--drain-seconds", "86401", "86400"}},
      {{"--drain-seconds", "-1"}, 2, {"--drain-seconds", "-1", "0 to 86400"}},
      {{"--allow-passwords=perhaps"}, 2, {"--allow-passwords", "perhaps"}},
      {{"--text-bytes-max", "0"}, 2, {"--text-bytes-max", "0", "524288"}},
      {{"--text-bytes-max", "524289"}, 2, {"--text-bytes-max", "524289", "524288"}},
      {{"--heartbeat-ms", "1"}, 2, {"--heartbeat-ms", "100"}},
      {{"--argon-operations", "65"}, 2, {"--argon-operations", "65", "64"}},
      {{"--argon-memory-mib", "1025"}, 2, {"--argon-memory-mib", "1025", "1024"}},
      {{"--trusted-proxy", "proxy.example"}, 2, {"--trusted-proxy", "proxy.example"}},
      {{"--trusted-proxy", "10.0.0.0/33"}, 2, {"--trusted-proxy", "10.0.0.0/33", "32"}},
      {{"--registrations-per-address", "-1"}, 2, {"--registrations-per-address", "-1", "0 to 4294967295"}},
      {{"--registrations-per-address", "4294967296"}, 2, {"--registrations-per-address", "0 to 4294967295"}},
      {{"--group-members-max", "1"}, 2, {"--group-members-max", "1", "2 to 1000"}},
      {{"--group-members-max", "1001"}, 2, {"--group-members-max", "1001", "2 to 1000"}},
      {{"--log-level", "loud"}, 2, {"--log-level", "loud"}},
      {{"--log-format", "xml"}, 2, {"--log-format", "xml"}},
      {{"--allowed-origin", "app.example"}, 2, {"--allowed-origin", "app.example"}},
      {{"--advertise-url", "http://x"}, 2, {"--advertise-url", "http://x"}},
      {{"--advertise-url", "ws://"}, 2, {"--advertise-url", "ws://"}},
      {{"--advertise-url", "ws://a b/"}, 2, {"--advertise-url", "ws://a b/"}},
      {{"--advertise-url", "ws:///v1/ws"}, 2, {"--advertise-url", "ws:///v1/ws"}},
      {{"--advertise-url", "wss://user@chat.example/"}, 2, {"--advertise-url", "user@"}},
      {{"--advertise-url", "wss://chat.example:0/"}, 2, {"--advertise-url", "chat.example:0"}},
      {{"--advertise-url", "wss://chat.example:65536/"}, 2, {"--advertise-url", "chat.example:65536"}},
      {{"--advertise-url", "wss://[::g]/"}, 2, {"--advertise-url", "[::g]"}},
      {{"--advertise-url", "wss://chat.example/#part"}, 2, {"--advertise-url", "#part"}},
      {{"--tls-cert", certificate, "--tls-key", write("its.pem", identity.key_pem), "--advertise-url", "ws://x/"},
       2,
       {"--advertise-url", "ws://x/", "wss://"}},
      {{"--tls-cert", certificate, "--tls-key",
        write("rsa.pem", server::testing::Signer::make_rsa(2'048).private_pem())},
       2,
       {"--tls-key", "rsa.pem", "certificate"}},
      {{"--tls-cert", no_pem}, 2, {"--tls-key"}},
      {{"--tls-cert", unreadable, "--tls-key", no_pem}, 2, {"--tls-cert", unreadable, "No such file"}},
      {{"--tls-cert", no_pem, "--tls-key", no_pem}, 2, {"--tls-cert", no_pem}},
      {{"--tls-cert", certificate, "--tls-key", write("key.pem", encrypted_key(identity.key_pem, true))},
       2,
       {"--tls-key", "key.pem", "encrypted"}},
      {{"--tls-cert", certificate, "--tls-key", write("old.pem", encrypted_key(identity.key_pem, false))},
       2,
       {"--tls-key", "old.pem", "encrypted"}},
      {{"--app-issuer", "i"}, 2, {"--app-issuer", "--app-keys"}},
      {{"--app-audience", "a"}, 2, {"--app-audience", "--app-keys"}},
      {{"--app-keys", no_pem}, 2, {"--app-keys", "--app-issuer", "--app-audience"}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-keys", unreadable}, 2, {"--app-keys", unreadable}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-keys", no_pem}, 2, {"--app-keys", no_pem}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-key", "kid"}, 2, {"--app-key", "KID=FILE"}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-keys", write("none.json", R"({"keys":[]})")},
       2,
       {"--app-keys", "none.json", "JWK set holds no key\n"}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-keys",
        write("enc.json", R"({"keys":[{"kty":"OKP","crv":"X25519","use":"enc","kid":"a"},{"use":"other"}]})")},
       2,
       {"--app-keys", "enc.json", "no key for signing"}},
      {{"--config", unreadable}, 2, {"--config", unreadable, "No such file"}},
      {{"--config", "/"}, 2, {"--config", "\"/\"", "directory"}},
      {{"--tls-cert", "/", "--tls-key", no_pem}, 2, {"--tls-cert", "\"/\"", "directory"}},
      {{"--app-issuer", "i", "--app-audience", "a", "--app-keys", "/"}, 2, {"--app-keys", "\"/\"", "directory"}},
      {{"--config", write("bad.ini", "prot=1\n")}, 2, {"--config", "bad.ini", "there is no option \"prot\""}},
      {{"--config", write("name.ini", "# nope\nnope\n")}, 2, {"--config", "there is no option \"nope\""}},
      {{"--config", write("section.ini", "[sec]\nthreads=2\n")}, 2, {"--config", "\"sec\": there are no sections"}},
      {{"--config", write("dots.ini", "sec.threads=2\n")}, 2, {"--config", "\"sec\": there are no sections"}},
      {{"--config", write("bare.ini", "allow-passwords\nthreads\n")}, 2, {"--config", "\"threads\" has no value"}},
      {{"--config", write("binary.ini", std::string("\n\x7f"
                                                    "ELF\x02\x00\x1b[31m=1\n",
                                                    15))},
       2,
       {"--config", "binary.ini", "line 2 is not text in UTF-8"}},
      {{"--config", write("latin.ini", "data-dir=caf\xe9\n")}, 2, {"--config", "line 1 is not text in UTF-8"}},
      {{"--config", write("worse.ini", "threads=0\n")}, 2, {"threads", "0"}},
      {{"--data-dir", ""}, 2, {"--data-dir", "empty"}},
      {{"--database", ""}, 2, {"--database", "empty"}},
      {{"--tls-cert", "", "--tls-key", ""}, 2, {"--tls-", "empty"}},
      {{"--app-key", ""}, 2, {"--app-key", "empty"}},
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
    const std::string said = errors();
    EXPECT_TRUE(
        std::all_of(said.begin(), said.end(), [](char byte) { return byte == '\n' || (byte >= ' ' && byte < 0x7F); }))
        << c.arguments[0] << " has bytes of no text printed";
  }
  // Every option that takes a value is among them.
  const auto tried = [&cases](const std::string& option) {
    return std::any_of(cases.begin(), cases.end(), [&option](const Case& c) {
      return std::any_of(c.arguments.begin(), c.arguments.end(), [&option](const std::string& word) {
        return word == option || word.starts_with(option + "=");
      });
    });
  };
  Program help({"--help"}, error_file());
  const std::vector<std::string> options = options_of(help);
  EXPECT_GT(options.size(), 20U);
  for (const std::string& option : options) EXPECT_TRUE(tried(option)) << "no bad value of " << option << " is tried";
}

TEST_F(ServerProgram, RefusesBadValuesOfTheEnvironmentByName) {
  const std::pair<std::string, std::string> cases[] = {{"CHATSDK_THREADS=0", "threads"},
                                                       {"CHATSDK_HEARTBEAT_MS=soon", "heartbeat-ms"},
                                                       {"CHATSDK_DRAIN_SECONDS=0x10", "drain-seconds"},
                                                       {"CHATSDK_LOG_LEVEL=loud", "log-level"},
                                                       {"CHATSDK_ARGON_MEMORY_MIB=2048", "argon-memory-mib"},
                                                       {"CHATSDK_ALLOW_PASSWORDS=perhaps", "allow-passwords"},
                                                       {"CHATSDK_TRUSTED_PROXY=10.0.0", "trusted-proxy"}};
  for (const auto& [variable, option] : cases) {
    Program program(arguments(), error_file(), {variable});

    EXPECT_EQ(program.wait(), 2) << variable << ": " << errors();
    EXPECT_NE(errors().find("--" + option), std::string::npos) << variable << ": " << errors();
    EXPECT_NE(errors().find(variable.substr(variable.find('=') + 1)), std::string::npos) << errors();
  }
}

TEST_F(ServerProgram, ReportsAVariableThatNamesNoOption) {
  Program program(arguments(), error_file(), {"CHATSDK_THREDS=value-4711", "CHATSDK_ALLOW_PASSWORDS=true"});
  ASSERT_NE(program.read_port(), 0) << errors();

  EXPECT_NE(errors().find("CHATSDK_THREDS"), std::string::npos) << errors();
  EXPECT_EQ(errors().find("value-4711"), std::string::npos) << errors();
  EXPECT_EQ(errors().find("CHATSDK_ALLOW_PASSWORDS"), std::string::npos) << errors();
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

// Runs to its end and says whether it wrote JSON lines of level info, which only the winner of each test names.
class Precedence : public ServerProgram {
 protected:
  bool writes_json_of_info(const std::vector<std::string>& options, const std::vector<std::string>& environment) {
    std::vector<std::string> all{"--data-dir", directory_};
    all.insert(all.end(), options.begin(), options.end());
    Program program(all, error_file(), environment);
    EXPECT_NE(program.read_port(), 0) << errors();
    program.signal(SIGTERM);
    EXPECT_EQ(program.wait(), 0);
    return errors().find("\"level\":\"info\",\"area\":\"server\",\"message\":\"stopped\"}") != std::string::npos;
  }
};

TEST_F(Precedence, TheFileHasItsSay) {
  const std::string config = write("server.ini", "log-format=json\nlog-level=info\nthreads=2\nport=0\n");

  EXPECT_TRUE(writes_json_of_info({"--config", config}, {})) << errors();
  EXPECT_TRUE(writes_json_of_info({}, {"CHATSDK_CONFIG=" + config})) << errors();
}

TEST_F(Precedence, TheEnvironmentOutranksTheFile) {
  const std::string config = write("server.ini", "log-format=text\nlog-level=error\nthreads=2\nport=0\n");

  EXPECT_TRUE(writes_json_of_info({"--config", config}, {"CHATSDK_LOG_LEVEL=info", "CHATSDK_LOG_FORMAT=json"}))
      << errors();
  // An empty variable says nothing.
  EXPECT_FALSE(writes_json_of_info({"--config", config}, {"CHATSDK_LOG_LEVEL=", "CHATSDK_LOG_FORMAT=json"}));
}

TEST_F(Precedence, AnOptionOutranksBoth) {
  const std::string config = write("server.ini", "log-format=text\nlog-level=error\nport=0\n");

  EXPECT_TRUE(writes_json_of_info({"--config", config, "--log-level", "info", "--log-format", "json"},
                                  {"CHATSDK_LOG_LEVEL=error", "CHATSDK_LOG_FORMAT=text"}))
      << errors();
  EXPECT_TRUE(writes_json_of_info({"--port", "0", "--log-level", "info", "--log-format", "json"},
                                  {"CHATSDK_LOG_LEVEL=error", "CHATSDK_LOG_FORMAT=text"}))
      << errors();
}

TEST_F(Precedence, AFileThatIsNamedMustBeThere) {
  const std::string none = directory_ + "/none.ini";
  Program program(arguments(), error_file(), {"CHATSDK_CONFIG=" + none});

  EXPECT_EQ(program.wait(), 2);
  EXPECT_NE(errors().find(none), std::string::npos) << errors();
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
