// SPDX-License-Identifier: Apache-2.0
#include "transport/curl_library.h"

#include <dlfcn.h>

#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace chatsdk {

namespace {

// libcurl has kept one binary interface since 2006; these are its names.
#if defined(__APPLE__)
constexpr const char* kFileName = "libcurl.4.dylib";
#else
constexpr const char* kFileName = "libcurl.so.4";
#endif

template <typename Function>
bool find(void* file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(file, name));
  return function != nullptr;
}

Result<CurlLibrary> load_once() {
  void* file = ::dlopen(kFileName, RTLD_NOW | RTLD_LOCAL);
  CurlLibrary curl{};
  const bool whole =
      file != nullptr && find(file, "curl_global_init", curl.global_init) &&
      find(file, "curl_easy_init", curl.easy_init) && find(file, "curl_easy_cleanup", curl.easy_cleanup) &&
      find(file, "curl_easy_setopt", curl.easy_setopt) && find(file, "curl_easy_getinfo", curl.easy_getinfo) &&
      find(file, "curl_easy_strerror", curl.easy_strerror) && find(file, "curl_multi_init", curl.multi_init) &&
      find(file, "curl_multi_cleanup", curl.multi_cleanup) &&
      find(file, "curl_multi_add_handle", curl.multi_add_handle) &&
      find(file, "curl_multi_remove_handle", curl.multi_remove_handle) &&
      find(file, "curl_multi_perform", curl.multi_perform) && find(file, "curl_multi_poll", curl.multi_poll) &&
      find(file, "curl_multi_wakeup", curl.multi_wakeup) && find(file, "curl_multi_info_read", curl.multi_info_read) &&
      find(file, "curl_slist_append", curl.slist_append) && find(file, "curl_slist_free_all", curl.slist_free_all);
  if (!whole) {
    const char* reason = ::dlerror();
    const std::string detail = reason != nullptr ? reason : kFileName;
    if (file != nullptr) ::dlclose(file);
    return error(Code::kUnsupported, detail);
  }
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    ::dlclose(file);
    return error(Code::kUnsupported, "libcurl did not start");
  }
  return curl;
}

}  // namespace

Result<const CurlLibrary*> CurlLibrary::load() {
  static std::mutex mutex;
  static std::optional<CurlLibrary> loaded;
  const std::lock_guard lock(mutex);
  if (!loaded) {
    auto library = load_once();
    if (!library.ok()) return std::move(library).error();
    loaded = *library;
  }
  return &*loaded;
}

}  // namespace chatsdk
