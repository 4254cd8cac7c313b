// SPDX-License-Identifier: Apache-2.0
#include "server-reference/options.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <optional>
#include <sstream>
#include <type_traits>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/url.h"

namespace chatsdk::server {

namespace {

// What is read as text or number and needs more than a range to become an option.
struct Raw {
  std::string data_dir = ".";
  std::string database;
  std::string app_issuer;
  std::string app_audience;
  std::string app_keys_file;
  std::vector<std::string> app_keys;
  std::vector<std::string> trusted_proxies;
  std::size_t argon_memory_mib = 64;
  std::uint64_t heartbeat_ms = static_cast<std::uint64_t>(std::chrono::milliseconds(limits::kHeartbeatDefault).count());
  std::uint64_t drain_seconds = 10;
  std::string log_level = "info";
  std::string log_format = "text";
};

constexpr std::pair<const char*, LogLevel> kLevels[] = {{"trace", LogLevel::kTrace},
                                                        {"debug", LogLevel::kDebug},
                                                        {"info", LogLevel::kInfo},
                                                        {"warning", LogLevel::kWarning},
                                                        {"error", LogLevel::kError}};

Error bad(const std::string& option, const std::string& value, const std::string& why) {
  return error(Code::kInvalidArgument, option + " \"" + value + "\": " + why);
}

// A numeric address: names are resolved by whoever connects, not by whoever listens.
std::string check_address(const std::string& text) {
  return is_address(text) ? "" : "\"" + text + "\" is not a numeric IPv4 or IPv6 address";
}

// A number in decimal digits, the first of several not 0: elsewhere 0x50 and 080 mean other numbers than they seem to.
std::optional<std::uint64_t> decimal(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_whole = failure == std::errc() && end == text.data() + text.size();
  return is_whole && (text.size() == 1 || text.front() != '0') ? std::optional(number) : std::nullopt;
}

CLI::Validator range(std::uint64_t least, std::uint64_t most) {
  const auto check = [least, most](const std::string& text) -> std::string {
    const auto number = decimal(text);
    if (number && *number >= least && *number <= most) return "";
    return "\"" + text + "\" is no number of " + std::to_string(least) + " to " + std::to_string(most) +
           " in decimal digits, without leading zeros";
  };
  return CLI::Validator(check, "in [" + std::to_string(least) + " - " + std::to_string(most) + "]");
}

std::string check_websocket_url(const std::string& text) {
  const Result<Url> url = parse_url(text, UrlKind::kWebSocket);
  if (url.ok()) return "";
  return "\"" + text + "\" is not a URL such as wss://chat.example/v1/ws: " + url.error().detail;
}

std::string check_origin(const std::string& text) {
  const std::size_t scheme_end = text.find("://");
  const bool ok = text == "*" || (scheme_end != std::string::npos && scheme_end > 0 && scheme_end + 3 < text.size() &&
                                  text.find('/', scheme_end + 3) == std::string::npos);
  return ok ? "" : "\"" + text + "\" is not an origin such as https://app.example";
}

constexpr std::string_view kEnvironmentPrefix = "CHATSDK_";
constexpr std::string_view kOfTheConsole = "CHATSDK_SERVER";  // where chatsdk-console finds a server

// What the environment says of an option; empty: nothing.
std::string environment_of(const CLI::Option& option) {
  const char* value = std::getenv(option.get_envname().c_str());
  return value == nullptr ? std::string() : value;
}

// The lines of the file, without the white space around them. Throws on what a terminal must not be shown.
std::vector<std::string> lines_of_text(std::istream& input) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(input, line);) {
    CLI::detail::trim(line);
    const auto is_control = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7F; };
    if (std::any_of(line.begin(), line.end(), is_control) || !is_utf8(line)) {
      throw CLI::ConfigError("line " + std::to_string(lines.size() + 1) + " is not text in UTF-8");
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

// The parser fills in first what the file says and then, where nothing stands yet, what the environment says. So the
// file says nothing of what the environment names.
class FileBelowEnvironment final : public CLI::ConfigBase {
 public:
  explicit FileBelowEnvironment(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const std::vector<std::string> lines = lines_of_text(input);
    std::stringstream text;
    for (const std::string& line : lines) text << line << '\n';
    std::vector<CLI::ConfigItem> said = ConfigBase::from_config(text);
    for (const CLI::ConfigItem& item : said) check(item, lines);
    std::erase_if(said, [this](const CLI::ConfigItem& item) { return !environment_of(*option_of(item)).empty(); });
    return said;
  }

 private:
  const CLI::Option* option_of(const CLI::ConfigItem& item) const {
    const CLI::Option* option = app_.get_option_no_throw("--" + item.name);
    return option != nullptr ? option : app_.get_option_no_throw(item.name);
  }

  // Where the parser would say that it was not able to parse.
  void check(const CLI::ConfigItem& item, const std::vector<std::string>& lines) const {
    if (!item.parents.empty()) throw CLI::ConfigError("\"" + item.parents.front() + "\": there are no sections");
    const CLI::Option* option = option_of(item);
    if (option == nullptr) throw CLI::ConfigError("there is no option \"" + item.name + "\"");
    const bool stands_alone = std::any_of(lines.begin(), lines.end(), [&](const std::string& line) {
      return CLI::detail::trim_copy(line.substr(0, line.find('#'))) == item.name;
    });
    if (stands_alone && option->get_items_expected_min() > 0) {
      throw CLI::ConfigError("option \"" + item.name + "\" has no value");
    }
  }

  const CLI::App& app_;
};

// CHATSDK_LOG_LEVEL for log-level.
CLI::Option* with_environment(CLI::Option* option) {
  std::string name = std::string(kEnvironmentPrefix) + option->get_lnames().front();
  for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return option->envname(name);
}

// A shell's variable that is not set: it must not name the root directory, nor turn TLS off.
std::string check_not_empty(const std::string& text) { return text.empty() ? "the value is empty" : ""; }

template <typename Value>
CLI::Option* add(CLI::App& app, const std::string& name, Value& value, const std::string& help) {
  CLI::Option* option = with_environment(app.add_option(name, value, help)->capture_default_str());
  if constexpr (!std::is_arithmetic_v<Value>) option->check(check_not_empty);
  return option;
}

void add_listener_options(CLI::App& app, ListenerOptions& listener, Raw& raw) {
  add(app, "--address", listener.address, "Numeric address to listen on")->check(check_address);
  add(app, "--port", listener.port, "Port to listen on; 0 takes any free one")
      ->check(range(0, std::numeric_limits<std::uint16_t>::max()));
  add(app, "--threads", listener.threads, "Listener threads, which share the port")
      ->check(range(1, limits::kListenerThreadsMax));
  add(app, "--connections-max", listener.connections_max, "Connections above this wait or are turned away")
      ->check(range(1, 10'000'000));
  add(app, "--connections-per-address-max", listener.connections_per_address_max,
      "Connections above this from one address (IPv6: one /64 network) are closed; a reverse proxy is one address")
      ->check(range(1, 10'000'000));
  add(app, "--tls-cert", listener.tls.certificate, "Certificate chain (PEM); needs --tls-key");
  add(app, "--tls-key", listener.tls.key, "Private key of the certificate (PEM)");
  add(app, "--trusted-proxy", raw.trusted_proxies,
      "Address or network of a reverse proxy whose X-Forwarded-For names the client; may be repeated");
  add(app, "--allowed-origin", listener.serving.allowed_origins,
      "Origin of web pages that may connect, beside pages of this host; may be repeated")
      ->check(check_origin);
}

void add_service_options(CLI::App& app, ServerOptions& server, Raw& raw) {
  add(app, "--advertise-url", server.advertised_url, "WebSocket URL that clients are told to connect to")
      ->check(check_websocket_url);
  add(app, "--text-bytes-max", server.gateway.text_bytes_max, "Largest text of a message, in bytes of UTF-8")
      ->check(range(1, limits::kTextBytesMax));
  add(app, "--heartbeat-ms", raw.heartbeat_ms, "How often an idle client shows that it is there")
      ->check(range(100, 600'000));
  add(app, "--hash-workers", server.hash_workers, "Threads for password hashes")->check(range(1, 64));
  add(app, "--argon-operations", server.accounts.password_cost.operations, "Argon2id passes for new password hashes")
      ->check(range(1, limits::kPasswordOperationsMax));
  add(app, "--argon-memory-mib", raw.argon_memory_mib, "Argon2id memory for new password hashes")
      ->check(range(1, limits::kPasswordMemoryBytesMax >> 20U));
  add(app, "--registrations-per-address", server.accounts.registrations_per_address.burst,
      "Accounts that one client address may make at once; it regains one a minute; 0: no limit")
      ->check(range(0, std::numeric_limits<std::uint32_t>::max()));
  add(app, "--group-members-max", server.groups.members_max, "Members that a group may have")
      ->check(range(2, limits::groups::kMembersMax));
  add(app, "--app-issuer", raw.app_issuer, "Issuer (iss) of tokens that the app's own backend signs");
  add(app, "--app-audience", raw.app_audience, "Audience (aud) of those tokens");
  add(app, "--app-keys", raw.app_keys_file, "File with the JWK set whose keys may sign them");
  add(app, "--app-key", raw.app_keys, "KID=FILE: a PEM public key that may sign them; may be repeated");
  with_environment(app.add_flag("--allow-passwords", server.accounts.passwords_beside_app_keys,
                                "Beside the tokens of --app-keys and --app-key, also take registrations and log-ins "
                                "with a password. Without app keys they are always taken"));
}

void add_program_options(CLI::App& app, Raw& raw) {
  std::vector<std::string> levels;
  for (const auto& [name, level] : kLevels) levels.emplace_back(name);
  add(app, "--data-dir", raw.data_dir, "Directory for the database");
  add(app, "--database", raw.database, "SQLite file; chatsdk-server.db in the data directory when not given");
  add(app, "--drain-seconds", raw.drain_seconds, "At most this long for a graceful stop")->check(range(0, 86'400));
  add(app, "--log-level", raw.log_level, "Least level that is logged")->check(CLI::IsMember(levels));
  add(app, "--log-format", raw.log_format, "text, or json: one object a line")
      ->check(CLI::IsMember(std::vector<std::string>{"text", "json"}));
  CLI::Option* file = with_environment(app.set_config("--config", "", "File with options: name=value lines"));
  // The parser looks for the file before it looks at the environment.
  if (const std::string named = environment_of(*file); !named.empty()) file->default_str(named)->required();
  app.config_formatter(std::make_shared<FileBelowEnvironment>(app));
}

// Why a file cannot be read. Empty: it can.
std::string reading_problem(const std::string& path) {
  std::error_code unknown;
  if (std::filesystem::is_directory(path, unknown)) return "it is a directory";
  if (::access(path.c_str(), R_OK) != 0) return std::string("the file cannot be read: ") + std::strerror(errno);
  return {};
}

Result<std::string> read_file(const std::string& option, const std::string& path) {
  if (const std::string problem = reading_problem(path); !problem.empty()) return bad(option, path, problem);
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

Status read_app_keys(const Raw& raw, ServerOptions& server) {
  const bool any_key = !raw.app_keys_file.empty() || !raw.app_keys.empty();
  if (!any_key && raw.app_issuer.empty() && raw.app_audience.empty()) return {};
  if (!any_key) return error(Code::kInvalidArgument, "--app-issuer and --app-audience need --app-keys or --app-key");
  if (raw.app_issuer.empty() || raw.app_audience.empty()) {
    return error(Code::kInvalidArgument, "--app-keys and --app-key need --app-issuer and --app-audience");
  }
  AppTokenOptions tokens;
  tokens.issuer = raw.app_issuer;
  tokens.audience = raw.app_audience;
  AppKeys keys(std::move(tokens));
  if (!raw.app_keys_file.empty()) {
    CHATSDK_ASSIGN(const std::string set, read_file("--app-keys", raw.app_keys_file));
    if (auto added = keys.add_jwk_set(set); !added.ok())
      return bad("--app-keys", raw.app_keys_file, added.error().detail);
  }
  for (const std::string& entry : raw.app_keys) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) return bad("--app-key", entry, "it is not KID=FILE");
    CHATSDK_ASSIGN(const std::string pem, read_file("--app-key", entry.substr(equals + 1)));
    if (auto added = keys.add_pem(entry.substr(0, equals), pem); !added.ok()) {
      return bad("--app-key", entry, added.error().detail);
    }
  }
  server.app_keys = std::make_shared<const AppKeys>(std::move(keys));
  return {};
}

Status read_trusted_proxies(const Raw& raw, ServerOptions& server) {
  for (const std::string& entry : raw.trusted_proxies) {
    if (const Status added = server.trusted_proxies.add(entry); !added.ok()) {
      return bad("--trusted-proxy", entry, added.error().detail);
    }
  }
  return {};
}

// A misspelt variable would be passed over in silence.
std::vector<std::string> unknown_environment(const CLI::App& app) {
  std::vector<std::string> unknown;
  for (const char* const* entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string name(text.substr(0, text.find('=')));
    const auto options = app.get_options([&](const CLI::Option* option) { return option->get_envname() == name; });
    if (name.starts_with(kEnvironmentPrefix) && name != kOfTheConsole && options.empty()) unknown.push_back(name);
  }
  return unknown;
}

Status finish(Raw raw, ProgramOptions& options) {
  ServerOptions& server = options.server;
  const TlsFiles& tls = server.listener.tls;
  if (tls.certificate.empty() != tls.key.empty()) {
    return error(Code::kInvalidArgument, "--tls-cert and --tls-key need each other");
  }
  if (!tls.certificate.empty() && server.advertised_url.starts_with("ws://")) {
    return bad("--advertise-url", server.advertised_url, "a client that came by https takes a wss:// URL only");
  }
  server.listener.serving.websockets_max = server.listener.connections_max;
  server.gateway.heartbeat = std::chrono::milliseconds(raw.heartbeat_ms);
  server.accounts.password_cost.memory_bytes = raw.argon_memory_mib << 20U;
  options.drain_time = std::chrono::seconds(raw.drain_seconds);
  for (const auto& [name, level] : kLevels) {
    if (raw.log_level == name) options.log_level = level;
  }
  options.log_format = raw.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  options.database = raw.database.empty() ? raw.data_dir + "/chatsdk-server.db" : raw.database;
  options.database_option = raw.database.empty() ? "--data-dir" : "--database";
  CHATSDK_TRY(read_trusted_proxies(raw, server));
  return read_app_keys(raw, server);
}

}  // namespace

Result<ParsedOptions> parse_options(int argc, const char* const* argv) {
  ProgramOptions options;
  options.server.listener.port = 8080;
  Raw raw;
  CLI::App app(
      "The chatsdk reference server. Options may also stand in the environment (--log-level as\n"
      "CHATSDK_LOG_LEVEL) or in the file named by --config (log-level=debug).",
      "chatsdk-server");
  app.set_version_flag("--version", "chatsdk-server " + std::string(kServerVersion));
  app.allow_config_extras(CLI::config_extras_mode::error);
  add_listener_options(app, options.server.listener, raw);
  add_service_options(app, options.server, raw);
  add_program_options(app, raw);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return ParsedOptions{std::nullopt, app.help()};
  } catch (const CLI::CallForVersion& version) {
    return ParsedOptions{std::nullopt, std::string(version.what()) + "\n"};
  } catch (const CLI::FileError& refused) {
    const auto file = app.get_config_ptr()->as<std::string>();
    const std::string problem = reading_problem(file);
    return bad("--config", file, problem.empty() ? refused.what() : problem);
  } catch (const CLI::ConfigError& refused) {
    return bad("--config", app.get_config_ptr()->as<std::string>(), refused.what());
  } catch (const CLI::Error& refused) {
    return error(Code::kInvalidArgument, refused.what());
  }
  CHATSDK_TRY(finish(std::move(raw), options));
  options.unknown_environment = unknown_environment(app);
  return ParsedOptions{std::move(options), {}};
}

}  // namespace chatsdk::server
