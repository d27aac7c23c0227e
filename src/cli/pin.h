/* A directory of keys and where it is led. */
#pragma once

#include "cli/verbs.h"

int pin_directory(struct verb_call *call); /* words: keyspace, prefix; rows: node=N or group=ID. The exit status */
