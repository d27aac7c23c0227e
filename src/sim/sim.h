/* The deterministic simulator: whole clusters of the real node code on virtual clocks, network, disks and
 * engine, with faults, simulated clients and checkers. A seed names one run, bit for bit.
 * The command line is in `quorate sim --help`; README.md has the reading order. */
#pragma once

int sim_main(int argc, char **argv);
