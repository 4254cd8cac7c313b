// SPDX-License-Identifier: Apache-2.0
//
// libcurl, loaded at the first request instead of with this library: with the libraries that it brings along it is most
// of what a program would pay at its start (docs/performance.md), and an app that is logged in and connected makes a
// request only every few weeks. It knows the functions that curl_http.cpp uses, and their types from libcurl's header.
//
// Threads: any. The library stays loaded to the end of the process.
#pragma once

#include <curl/curl.h>

#include "base/result.h"

namespace chatsdk {

struct CurlLibrary {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_add_handle) multi_add_handle;
  decltype(&::curl_multi_remove_handle) multi_remove_handle;
  decltype(&::curl_multi_perform) multi_perform;
  decltype(&::curl_multi_poll) multi_poll;
  decltype(&::curl_multi_wakeup) multi_wakeup;
  decltype(&::curl_multi_info_read) multi_info_read;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;

  // The first call loads and initialises it. UNSUPPORTED: this machine has no libcurl of the ABI that we were built
  // against, or had no memory for it just then: the next call looks again.
  static Result<const CurlLibrary*> load();
};

}  // namespace chatsdk
