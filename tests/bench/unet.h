#ifndef TESTS_BENCH_UNET_H
#define TESTS_BENCH_UNET_H

/* `bench unet`; the arguments after it. The exit status; 2: a wrong command line. */
int bench_unet(int argc, char **argv);

#endif
