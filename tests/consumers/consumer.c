/* SPDX-License-Identifier: Apache-2.0
 *
 * The program that each consumer builds: it links, loads and runs.
 */
#include <chatsdk/chatsdk.h>
#include <stdio.h>

int main(void) {
  chatsdk_config* config = NULL;
  if (chatsdk_config_create(&config, NULL) != CHATSDK_OK) return 1;
  chatsdk_config_destroy(config);
  printf("chatsdk %s\n", chatsdk_version_string());
  return chatsdk_version_number() == CHATSDK_VERSION_NUMBER ? 0 : 1;
}
