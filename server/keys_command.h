/* `reflectd keys`: API keys, made and revoked on the data folder itself, where whoever can write it needs no key. */
#ifndef SERVER_KEYS_COMMAND_H
#define SERVER_KEYS_COMMAND_H

int keys_command(int argc, char **argv);

#endif
