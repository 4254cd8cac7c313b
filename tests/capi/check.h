/* SPDX-License-Identifier: Apache-2.0
 *
 * The few lines that the C tests need: a failed check prints where and what, and the program ends with 1.
 */
#ifndef CHATSDK_TESTS_CAPI_CHECK_H
#define CHATSDK_TESTS_CAPI_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                             \
  do {                                                                               \
    if (!(condition)) {                                                              \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      exit(1);                                                                       \
    }                                                                                \
  } while (0)

#define CHECK_STATUS(wanted, call)                                                                          \
  do {                                                                                                      \
    int32_t check_status = (call);                                                                          \
    if (check_status != (wanted)) {                                                                         \
      fprintf(stderr, "%s:%d: %s gave %s\n", __FILE__, __LINE__, #call, chatsdk_status_name(check_status)); \
      exit(1);                                                                                              \
    }                                                                                                       \
  } while (0)

#endif
