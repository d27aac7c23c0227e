/* `quorate check FILE`: is this history of client operations linearizable? Checkers read a history
 * (history.h) and report into a struct findings; the simulator uses the same ones. */
#pragma once

int check_main(int argc, char **argv);
