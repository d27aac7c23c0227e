/* What goes wrong. Swarm testing (Groce et al. 2012): each seed leaves out some kinds of faults and
 * draws the frequency of the others, so that no kind always hides behind another. */
#pragma once

#include "sim/world.h"

struct host;
struct faults;
struct disk_character;

/* Draw the mix of this seed, and the character of its network. */
struct faults *faults_new(struct world *w);
void faults_free(struct faults *f);
void faults_say(const struct faults *f); /* --verbose: what was drawn */

void faults_start(struct world *w);
/* Stop all faults, mend everything, start every node; but keep_one: a minority of one may stay away, with its
 * power or its disk or its links gone, until it is healed, too, by a second call without. */
void faults_heal(struct world *w, bool keep_one);
void faults_heal_links(struct world *w); /* no other fault */
bool faults_are_over(const struct world *w);

/* A node has just died: when it comes back. */
void faults_plan_restart(struct world *w, struct host *h);

/* world.crash_at_answer has come: an answer to a client is on the wire at this time, and no later. */
void faults_on_answer(struct world *w, nanos at);

/* A chunk of a snapshot leaves from one node to another: a transfer is under way. */
void faults_on_chunk(struct world *w, u32 from, u32 to);

/* The names of the table, for --help and for checking --faults. */
const char *faults_name(u32 row); /* NULL: no such row */

/* Monotonic clocks run beyond the bound that leases are proven for: a read may be answered by a leader that is one no
 * more, and return an old value. Nothing else may break. */
bool faults_skew_clocks(const struct world *w);

/* Upper bound of every wall clock's distance from the world's time, in microseconds, with all steps. */
u64 faults_wall_error_us(const struct world *w);
