// SPDX-License-Identifier: Apache-2.0
#include "engine/account.h"

namespace chatsdk {

namespace {

Status check_user_id(const std::string& user_id) {
  if (user_id.empty()) return error(Code::kInvalidArgument, "user id of 0 B");
  if (user_id.size() > limits::kUserIdBytesMax) {
    return error(Code::kTooLarge, "user id " + std::to_string(user_id.size()) + " B, limit " +
                                      std::to_string(limits::kUserIdBytesMax) + " B");
  }
  if (!is_utf8(user_id)) return error(Code::kInvalidUtf8, "the user id is not valid UTF-8");
  return {};
}

Status check_text(const char* name, const std::string& text, std::size_t bytes_max) {
  if (text.size() > bytes_max) {
    return error(Code::kTooLarge, std::string(name) + " " + std::to_string(text.size()) + " B, limit " +
                                      std::to_string(bytes_max) + " B");
  }
  if (!is_utf8(text)) return error(Code::kInvalidUtf8, std::string(name) + " is not valid UTF-8");
  return {};
}

Status check_registration(const Registration& registration) {
  CHATSDK_TRY(check_user_id(registration.user_id));
  CHATSDK_TRY(check_text("password", registration.password, limits::kPasswordBytesMax));
  CHATSDK_TRY(check_text("display name", registration.display_name, limits::kDisplayNameBytesMax));
  CHATSDK_TRY(check_text("e-mail address", registration.email, limits::kEmailBytesMax));
  CHATSDK_TRY(check_text("phone number", registration.phone, limits::kPhoneBytesMax));
  if (registration.password.size() < limits::kPasswordBytesMin) {
    return error(Code::kInvalidArgument, "password of " + std::to_string(registration.password.size()) +
                                             " B, at least " + std::to_string(limits::kPasswordBytesMin) + " B");
  }
  return {};
}

Status check_login(const std::string& user_id, const std::string& password) {
  CHATSDK_TRY(check_user_id(user_id));
  if (password.empty()) return error(Code::kInvalidArgument, "password of 0 B");
  return check_text("password", password, limits::kPasswordBytesMax);
}

}  // namespace

bool Account::open(RequestId request) {
  if (open_.size() >= limits::kOpenRequestsMax) {
    context_.events.completed(request,
                              error(Code::kBusy, std::to_string(limits::kOpenRequestsMax) + " requests are open"));
    return false;
  }
  open_.insert(request);
  return true;
}

void Account::complete(RequestId request, Status status) {
  if (open_.count(request) == 0) return;
  context_.events.completed(request, std::move(status));
  open_.erase(request);
}

Session::StatusCallback Account::completing(RequestId request) {
  return guard_.wrap([this, request](Status status) { complete(request, std::move(status)); });
}

void Account::register_account(RequestId request, const Registration& registration) {
  if (!open(request)) return;
  if (auto checked = check_registration(registration); !checked.ok()) return complete(request, std::move(checked));
  session_.register_account(registration, completing(request));
}

void Account::login(RequestId request, const std::string& user_id, const std::string& password) {
  if (!open(request)) return;
  if (auto checked = check_login(user_id, password); !checked.ok()) return complete(request, std::move(checked));
  session_.login(user_id, password, completing(request));
}

void Account::login_with_assertion(RequestId request, const std::string& assertion) {
  if (!open(request)) return;
  if (assertion.empty() || assertion.size() > limits::kRequestBodyBytesMax / 2 || !is_utf8(assertion)) {
    return complete(request, error(Code::kInvalidArgument, "assertion of " + std::to_string(assertion.size()) + " B"));
  }
  session_.login_with_assertion(assertion, completing(request));
}

void Account::logout(RequestId request) {
  if (!open(request)) return;
  // First, so that a refusal leaves the connection alone.
  if (auto allowed = session_.may_log_out(); !allowed.ok()) return complete(request, std::move(allowed));
  connection_.pause();
  session_.logout([this](Session::StatusCallback done) { unlink(session_.device_id(), guard_.wrap(std::move(done))); },
                  guard_.wrap([this, request](Status status) {
                    connection_.unpause();
                    complete(request, std::move(status));
                  }));
}

void Account::list_devices(RequestId request) {
  if (!open(request)) return;
  session_.authorized<wire::Devices>(
      [this](const std::string& token, RestApi::Callback<wire::Devices> done) {
        rest_.devices(token, std::move(done));
      },
      guard_.wrap([this, request](Result<wire::Devices> answer) {
        if (!answer.ok()) return complete(request, std::move(answer).error());
        std::vector<DeviceInfo> devices;
        for (const wire::Device& device : answer->devices()) {
          auto name = name_of(device);
          if (!name.ok()) return complete(request, std::move(name).error());
          devices.push_back({DeviceId{device.device_id()}, std::move(*name), from_unix_ms(device.created_at_ms()),
                             from_unix_ms(device.last_seen_ms()), device.current()});
        }
        context_.events.devices(request, std::move(devices));
        complete(request, {});
      }));
}

// The server's word counts only for a device that has told the others no name.
Result<std::string> Account::name_of(const wire::Device& device) {
  if (encryption_ == nullptr) return device.name();
  CHATSDK_ASSIGN(auto sealed, encryption_->device_name(DeviceId{device.device_id()}));
  return sealed ? std::move(*sealed) : device.name();
}

void Account::unlink(DeviceId device, Session::StatusCallback done) {
  if (encryption_ == nullptr) return done({});
  encryption_->unlink(device, std::move(done));
}

void Account::revoke_device(RequestId request, DeviceId device) {
  if (!open(request)) return;
  if (!device) return complete(request, error(Code::kInvalidArgument, "no device id"));
  unlink(device, guard_.wrap([this, request, device](Status unlinked) {
    if (!unlinked.ok()) return complete(request, std::move(unlinked));
    remove_device(request, device);
  }));
}

void Account::remove_device(RequestId request, DeviceId device) {
  session_.authorized<void>(
      [this, device](const std::string& token, RestApi::Callback<void> done) {
        rest_.revoke_device(token, device, std::move(done));
      },
      completing(request));
}

void Account::cancel_all(const Error& cause) {
  guard_.renew();
  while (!open_.empty()) {
    context_.events.completed(*open_.begin(), cause);
    open_.erase(open_.begin());
  }
}

}  // namespace chatsdk
