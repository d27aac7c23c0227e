/* From settings to a node's configuration. */
#pragma once

#include "cli/settings.h"
#include "server/node.h"

/* false: problem is a sentence with the remedy. open_kvs is the caller's. */
bool node_config_from(const struct settings *s, struct node_config *out, char *problem,
                      size_t problem_size);
