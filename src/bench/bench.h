/* `quorate bench`: what the parts cost on this machine, by themselves: the disk's durable writes,
 * RESP parsing, the front table. Whole-cluster figures beside Redis are `make bench`. */
#pragma once

int bench_main(int argc, char **argv);
