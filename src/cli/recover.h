/* `quorate group recover`, a verb of cli/group_cmd.c. */
#pragma once

#include "cli/verbs.h"

int group_recover(struct verb_call *call);
